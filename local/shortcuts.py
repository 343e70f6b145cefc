"""Leaves out work that botocore and moto repeat for each call although its result never changes.

It is about a fifth of a call's CPU time, and the calls are most of what a case costs here.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache

from botocore.useragent import UserAgentString
from moto import backend_index
from moto.core import responses

from local.replacement import replaced

_FREQUENT = ("dynamodb", "sqs", "stepfunctions", "lambda", "secretsmanager", "events")


def _user_agent(_: UserAgentString) -> str:
    return "countersign-local"


@contextmanager
def shortcuts() -> Iterator[None]:
    """Take the shortcuts while the block runs."""
    # moto tries the patterns one after the other; those of the frequent services overlap with no others.
    patterns = sorted(backend_index.backend_url_patterns, key=lambda pattern: pattern[0] not in _FREQUENT)
    names = lru_cache(maxsize=None)(responses.method_names_from_class)  # type: ignore[attr-defined]
    with ExitStack() as stack:
        stack.enter_context(replaced(UserAgentString, "to_string", _user_agent))
        stack.enter_context(replaced(backend_index, "backend_url_patterns", patterns))
        stack.enter_context(replaced(responses, "method_names_from_class", names))
        yield

"""Leaves out work that botocore and moto repeat for each call although its result never changes.

It is about a fifth of a call's CPU time, and the calls are most of what a case costs here.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any

from botocore.signers import RequestSigner
from botocore.useragent import UserAgentString
from moto import backend_index
from moto.core import responses
from moto.core.base_backend import BaseBackend
from moto.dynamodb.parsing.ast_nodes import Node  # type: ignore[attr-defined]  # moto checks no types there

from local.replacement import replaced

MADE_UP_KEY = "local"
"""The access key of the made-up credentials; whatever has another one is signed as on AWS."""

_MOTO_KEY = "FOOBARKEY"
_really_sign, _put_together = RequestSigner.sign, BaseBackend.urls.fget  # type: ignore[attr-defined]
_FREQUENT = ("dynamodb", "sqs", "stepfunctions", "lambda", "secretsmanager", "events")


def _sign(signer: Any, operation_name: str, request: Any, *args: Any, **kwargs: Any) -> None:
    """The header that says who calls what and where, which is all that moto reads of a signature.

    S3's own says besides how the body is cut into pieces, so it stays.
    """
    credentials = signer._credentials
    made_up = credentials is not None and credentials.access_key in (MADE_UP_KEY, _MOTO_KEY)
    if not made_up or signer.signing_name == "s3":
        _really_sign(signer, operation_name, request, *args, **kwargs)
        return
    scope = f"{credentials.access_key}/19700101/{signer.region_name}/{signer.signing_name}/aws4_request"
    request.headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"


def _init_node(node: Any, children: list[Any] | None = None) -> None:
    """What `Node.__init__` does, without asking an abstract class about every leaf's text."""
    node.type, node.children, node.parent = type(node).__name__, children, None
    for child in children or ():
        if Node in type(child).__mro__:
            child.set_parent(node)


def _urls(backend: Any) -> dict[str, Any]:
    """A backend's patterns of addresses, put together once."""
    kept: dict[str, Any] | None = vars(backend).get("_kept_urls")
    if kept is None:
        kept = backend._kept_urls = _put_together(backend)
    return kept


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
        stack.enter_context(replaced(RequestSigner, "sign", _sign))
        stack.enter_context(replaced(Node, "__init__", _init_node))
        stack.enter_context(replaced(BaseBackend, "urls", property(_urls)))
        yield

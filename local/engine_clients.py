"""boto3 clients of moto's Step Functions engine, made once instead of for each state."""

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from moto.stepfunctions.parser.asl.utils import boto_client

from local.replacement import replaced


@contextmanager
def shared_engine_clients() -> Iterator[None]:
    """Let the engine's service integrations share their clients while the block runs."""
    original = boto_client.boto_client_for
    clients: dict[tuple[str, str], Any] = {}
    lock = threading.Lock()

    def client_for(region: str, service: str, state_credentials: Any = None) -> Any:
        with lock:
            if (service, region) not in clients:
                clients[service, region] = original(region, service, state_credentials)
            return clients[service, region]

    with ExitStack() as stack:
        # The integrations imported the function by name, so each of their modules holds it.
        for name, module in list(sys.modules.items()):
            if (
                name.startswith("moto.stepfunctions.")
                and getattr(module, "boto_client_for", None) is original
            ):
                stack.enter_context(replaced(module, "boto_client_for", client_for))
        yield

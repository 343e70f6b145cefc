"""Watches every boto3 call of the process: counts it, lets faults strike, and stops dead sandboxes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.client import BaseClient

from local.environment import SandboxKilled, current_caller, current_invocation
from local.faults import Faults
from local.meter import Meter
from local.replacement import replaced


@contextmanager
def watched_calls(meter: Meter, faults: Faults) -> Iterator[None]:
    """Watch the calls of every boto3 client, made before or after, while the block runs."""
    # The one way out of every client, where tracers hook in as well.
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def make_api_call(client: Any, operation: str, params: dict[str, Any]) -> Any:
        service: str = client.meta.service_model.service_name
        invocation = current_invocation.get()
        if invocation is None:
            meter.count_call(service, operation, current_caller.get())
            return original(client, operation, params)
        if invocation.killed.is_set():
            raise SandboxKilled(invocation.function)
        meter.count_call(service, operation, invocation.function)
        faults.strike("before", invocation.function, service, operation, params)
        answer = original(client, operation, params)
        faults.strike("after", invocation.function, service, operation, params)
        return answer

    with replaced(BaseClient, "_make_api_call", make_api_call):
        yield

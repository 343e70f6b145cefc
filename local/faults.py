"""Faults that a test injects into the AWS calls of functions."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from botocore.exceptions import ClientError

from local.environment import SandboxKilled

Moment = Literal["before", "after"]
Fault = Callable[[Moment, str, str, str, Mapping[str, Any]], BaseException | None]
"""`fault(moment, function, service, operation, params)`: called before and after each AWS call of a
function.

`service` is boto3's name (`dynamodb`), `operation` the API's (`PutItem`). What it returns or raises is
raised in the function: before the call it never happens, after it the call took effect and the function does
not learn so.
"""


class Crash(SandboxKilled):
    """Raise or return this to end the function's sandbox on the spot."""


def client_error(operation: str, code: str, message: str = "injected", status: int = 400) -> ClientError:
    """An error as botocore raises it for an AWS answer."""
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        operation,
    )


class Faults:
    """The faults of one stack."""

    def __init__(self) -> None:
        self._faults: tuple[Fault, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._faults)

    def add(self, fault: Fault) -> Callable[[], None]:
        """Let `fault` see every AWS call of a function from now on; returns what takes it away again."""
        self._faults = (*self._faults, fault)
        return lambda: self._remove(fault)

    def clear(self) -> None:
        """Take all away."""
        self._faults = ()

    def strike(self, moment: Moment, function: str, service: str, operation: str, params: Any) -> None:
        """Raise what a fault returns or raises for this call, if one does."""
        for fault in self._faults:
            error = fault(moment, function, service, operation, params)
            if error is not None:
                raise error

    def _remove(self, fault: Fault) -> None:
        self._faults = tuple(other for other in self._faults if other is not fault)

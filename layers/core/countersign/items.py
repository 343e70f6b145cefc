"""DynamoDB's items as plain values and back, and what its errors say of conditions."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

type Item = dict[str, Any]

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


def to_item(values: Mapping[str, Any]) -> Item:
    # DynamoDB takes no binary floats: scores go in as decimals and come back as such.
    plain = json.loads(json.dumps(values, default=str), parse_float=Decimal)
    return {name: _serialize(value) for name, value in plain.items()}


def to_row(item: Mapping[str, Any]) -> Item:
    return {name: _plain(_deserialize(value)) for name, value in item.items()}


def refused(error: ClientError) -> list[int]:
    """The indexes of the writes whose condition did not hold."""
    if _code(error) == "ConditionalCheckFailedException":
        return [0]
    return [i for i, reason in enumerate(_reasons(error)) if reason == "ConditionalCheckFailed"]


def conflicted(error: ClientError) -> bool:
    """Whether nothing was wrong but that two wrote at once; botocore does not retry this by itself."""
    return _code(error) == "TransactionConflictException" or "TransactionConflict" in _reasons(error)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def _reasons(error: ClientError) -> list[Any]:
    response: Mapping[str, Any] = error.response
    return [reason.get("Code") for reason in response.get("CancellationReasons", [])]


def _code(error: ClientError) -> Any:
    return error.response.get("Error", {}).get("Code")

"""moto's DynamoDB and S3, made atomic and quick.

moto checks a condition and writes in two steps, copies whole tables for a transaction and searches a whole
table for one partition. Here a request is one step, a transaction keeps the items it touches, and a query
looks at its partition.
"""

import copy
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from moto.dynamodb import models as dynamodb_models
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler
from moto.s3.responses import S3Response

from local.replacement import replaced

_WRITES = ("Put", "Update", "Delete", "ConditionCheck")


@contextmanager
def atomic_stores() -> Iterator[None]:
    """Change moto's DynamoDB and S3 while the block runs."""
    with ExitStack() as stack:
        stack.enter_context(replaced(DynamoHandler, "call_action", _one_at_a_time(DynamoHandler.call_action)))
        stack.enter_context(replaced(S3Response, "put_object", _one_at_a_time(S3Response.put_object)))
        backend = dynamodb_models.DynamoDBBackend
        transact = _transact_with_items(backend.transact_write_items)
        stack.enter_context(replaced(backend, "transact_write_items", transact))
        stack.enter_context(replaced(dynamodb_models, "copy", _CopyAllButTables))
        stack.enter_context(replaced(Table, "query", _query_in_partition(Table.query)))
        yield


def _one_at_a_time(original: Callable[..., Any]) -> Callable[..., Any]:
    lock = threading.RLock()

    def call(*args: Any, **kwargs: Any) -> Any:
        with lock:
            return original(*args, **kwargs)

    return call


class _CopyAllButTables(types.SimpleNamespace):
    """What moto's DynamoDB uses as the module `copy`: its copies of whole tables are left out."""

    copy = staticmethod(copy.copy)

    @staticmethod
    def deepcopy(value: Any, memo: dict[int, Any] | None = None) -> Any:
        return value if isinstance(value, Table) else copy.deepcopy(value, memo)


def _transact_with_items(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def transact(backend: Any, transact_items: list[dict[str, Any]]) -> None:
        before = [_Saved(*place) for place in _places(backend, transact_items)]
        try:
            original(backend, transact_items)
        except BaseException:
            for saved in before:
                saved.put_back()
            raise

    return transact


def _places(
    backend: Any, transact_items: list[dict[str, Any]]
) -> Iterator[tuple[Table, DynamoType, DynamoType | None]]:
    """Table and keys of every item that a transaction names; malformed ones are moto's to refuse."""
    for transact_item in transact_items:
        for kind, operation in transact_item.items():
            table = backend.tables.get(operation.get("TableName"))
            keys = operation.get("Item" if kind == "Put" else "Key")
            if kind in _WRITES and table is not None and keys:
                names = [table.hash_key_attr] + ([table.range_key_attr] if table.has_range_key else [])
                if all(name in keys for name in names):
                    values = [DynamoType(keys[name]) for name in names]
                    yield table, values[0], values[1] if len(values) > 1 else None


class _Saved:
    """An item as it was."""

    def __init__(self, table: Table, hash_key: DynamoType, range_key: DynamoType | None) -> None:
        self._items: Any = table.items
        self._hash_key = hash_key
        self._range_key = range_key
        self._item: Item | None = copy.deepcopy(table.get_item(hash_key, range_key))

    def put_back(self) -> None:
        holder, key = (
            (self._items, self._hash_key)
            if self._range_key is None
            else (self._items[self._hash_key], self._range_key)
        )
        if self._item is None:
            holder.pop(key, None)
        else:
            holder[key] = self._item


def _query_in_partition(original: Callable[..., Any]) -> Callable[..., Any]:
    index_name_position = 6  # moto passes it by position, after the hash key

    def query(table: Table, hash_key: DynamoType | None, *args: Any, **kwargs: Any) -> Any:
        index_name = kwargs.get("index_name", args[index_name_position : index_name_position + 1] or None)
        if index_name not in (None, (None,)) or hash_key is None or not table.has_range_key:
            return original(table, hash_key, *args, **kwargs)
        partition = copy.copy(table)
        partition.items = {hash_key: table.items.get(hash_key, {})}  # type: ignore[assignment]
        return original(partition, hash_key, *args, **kwargs)

    return query

"""The cases table: heads, ledger events and approval rows, each written once under a telling key.

Rows of a case share the partition `{tenant}#{case_id}`: `head`, `event#{key}`, `approval#{approval_id}`. An
event's key is derived from what happened, so a step that runs twice writes one line. Index `by_time` lists a
tenant's cases, index `by_status` its cases and approvals in one status.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from countersign.decisions import Approval, ApprovalStatus
from countersign.errors import InvalidRequest, NotFound, StoreConflict
from countersign.items import Item, conflicted, refused, to_item, to_row
from countersign.models import CaseHead, CaseRef, CaseStatus, LedgerEvent

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
"""An execution's name is made of it; nothing in it means anything to a key."""
APPROVAL_ID = re.compile(rf"(?P<case_id>{CASE_ID.pattern})-a[1-9][0-9]{{0,3}}")

BATCH = 100
"""Rows that DynamoDB reads in one call at most."""


class Rejected(Exception):
    """A condition of a write did not hold. `positions` are the indexes of the writes that were refused."""

    def __init__(self, positions: list[int]) -> None:
        super().__init__(f"conditions did not hold at {positions}")
        self.positions = positions


class Ledger:
    """The cases table. Give it a boto3 DynamoDB client and the table's name."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._db = client
        self._table = table

    # Writing. Each method below returns one write of a transaction; `commit` runs them all or none.

    def put_head(self, head: CaseHead) -> Item:
        """Creates the head; refused where the case has one."""
        return self._put(
            case_pk(head.ref),
            "head",
            head.model_dump(mode="json", exclude={"tenant", "case_id"})
            | {
                "gsi1pk": f"{head.tenant}#cases",
                "gsi1sk": head.created_at,
                "gsi2pk": _status_pk(head.tenant, "case", head.status),
                "gsi2sk": head.updated_at,
            },
            "attribute_not_exists(pk)",
        )

    def set_status(
        self,
        ref: CaseRef,
        status: CaseStatus,
        at: str,
        *,
        outcome: str | None = None,
        approval_id: str | None = None,
        seen: str | None = None,
        run: int | None = None,
        waiting_for: str | None = None,
        failed_in: str | None = None,
        subject: str | None = None,
    ) -> Item:
        """Moves the head to a status; refused where there is no head.

        Given `seen`, the `updated_at` of a head, it is refused where the head has moved since. `run` is the
        number of the execution that goes on with the case, `waiting_for` what a parked one waits for,
        `failed_in` the state in which one failed, `subject` that of a case which had none yet.
        """
        values: Item = {"status": status.value, "updated_at": at}
        values |= {"gsi2pk": _status_pk(ref.tenant, "case", status), "gsi2sk": at}
        values |= {"outcome": outcome} if outcome else {}
        values |= {"approval_id": approval_id} if approval_id else {}
        values |= {"run": run} if run else {}
        values |= {"failed_in": failed_in} if failed_in else {}
        values |= {"waiting_for": waiting_for} if waiting_for else {}
        values |= {"subject": subject} if subject else {}
        if seen is None:
            return self._update(ref, "head", values, "attribute_exists(pk)", {})
        return self._update(ref, "head", values, "updated_at = :seen", {":seen": seen})

    def put_event(self, ref: CaseRef, key: str, event: LedgerEvent) -> Item:
        """Appends to the history; refused where the event with this key is there already."""
        return self._put(
            case_pk(ref), f"event#{key}", event.model_dump(mode="json"), "attribute_not_exists(pk)"
        )

    def put_approval(self, approval: Approval) -> Item:
        """Creates an approval row; refused where it exists."""
        row = approval.model_dump(mode="json", exclude={"tenant", "case_id"}, exclude_none=True)
        row |= _approval_index(approval.tenant, approval.status, approval.requested_at)
        return self._put(
            case_pk(approval.ref), f"approval#{approval.approval_id}", row, "attribute_not_exists(pk)"
        )

    def change_approval(
        self,
        ref: CaseRef,
        approval_id: str,
        values: Mapping[str, Any],
        *,
        version: int,
        before: str | None = None,
    ) -> Item:
        """Changes a row that is pending at this version and, given `before`, not past its deadline then."""
        condition = "#status = :pending and #version = :expected"
        given: Item = {":pending": ApprovalStatus.PENDING.value, ":expected": version}
        if before is not None:
            condition += " and expires_at > :before"
            given[":before"] = before
        return self._update(
            ref,
            f"approval#{approval_id}",
            dict(values),
            condition,
            given,
            names={"#status": "status", "#version": "version"},
        )

    def change_row(
        self,
        pk: str,
        sk: str,
        expression: str,
        condition: str,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> Item:
        """An update in DynamoDB's own words, for the columns and rows that modules of their own keep."""
        return {
            "Update": {
                "TableName": self._table,
                "Key": to_item({"pk": pk, "sk": sk}),
                "UpdateExpression": expression,
                "ConditionExpression": condition,
                "ExpressionAttributeValues": to_item(values),
                **({"ExpressionAttributeNames": dict(names)} if names else {}),
            }
        }

    def put_memory(self, ref: CaseRef, thread: str, at: str) -> Item:
        """Joins a closed case to its thread. Unconditional: the same case writes the same row."""
        return {
            "Put": {
                "TableName": self._table,
                "Item": to_item({"pk": _thread_pk(ref.tenant, thread), "sk": ref.case_id, "at": at}),
            }
        }

    def put_row(self, pk: str, sk: str, values: Mapping[str, Any]) -> Item:
        """Writes a row that a module of its own keeps, or writes it anew."""
        return {"Put": {"TableName": self._table, "Item": to_item({"pk": pk, "sk": sk, **values})}}

    def blank_subject(self, pk: str, sk: str) -> Item:
        """Takes the subject, the one text of this table, out of a head or an approval."""
        return self.change_row(pk, sk, "SET subject = :none", "attribute_exists(pk)", {":none": ""})

    def delete_memory(self, ref: CaseRef, thread: str) -> None:
        """Takes a case out of its thread: the one row of this table that is ever deleted."""
        key = to_item({"pk": _thread_pk(ref.tenant, thread), "sk": ref.case_id})
        self._db.delete_item(TableName=self._table, Key=key)

    def commit(self, writes: Iterable[Item]) -> None:
        """Runs one write, or several as a transaction.

        Raises Rejected where a condition did not hold, StoreConflict where others were writing the same rows.
        """
        batch = list(writes)
        try:
            if len(batch) > 1:
                self._db.transact_write_items(TransactItems=batch)  # type: ignore[arg-type]
            elif "Put" in batch[0]:
                self._db.put_item(**batch[0]["Put"])
            else:
                self._db.update_item(**batch[0]["Update"])
        except ClientError as error:
            if positions := refused(error):
                raise Rejected(positions) from None
            if conflicted(error):
                raise StoreConflict("somebody else was writing the same rows") from None
            raise

    def exchange(self, write: Item) -> tuple[bool, Item]:
        """Runs one update; returns whether its condition held, and the row as it was before, {} for none.

        Raises StoreConflict.
        """
        try:
            before = self._db.update_item(
                **write["Update"], ReturnValues="ALL_OLD", ReturnValuesOnConditionCheckFailure="ALL_OLD"
            )
        except ClientError as error:
            if refused(error):
                row: Mapping[str, Any] = error.response
                return False, to_row(row.get("Item", {}))
            if conflicted(error):
                raise StoreConflict("somebody else was writing the same row") from None
            raise
        return True, to_row(before.get("Attributes", {}))

    def commit_with(self, writes: Sequence[Item], once: Sequence[Item]) -> None:
        """Runs `writes`, and with them `once`: writes that are refused where they were done before.

        Raises Rejected where a condition of `writes` did not hold, StoreConflict.
        """
        try:
            if writes or once:
                self.commit([*writes, *once])
        except Rejected as refused:
            if not once or min(refused.positions) < len(writes):
                raise
            self.commit_with(writes, [])

    def append(self, ref: CaseRef, key: str, event: LedgerEvent) -> bool:
        """Writes one line of history by itself; False where it is there already."""
        try:
            self.commit([self.put_event(ref, key, event)])
        except Rejected:
            return False
        return True

    # Reading.

    def head(self, ref: CaseRef) -> CaseHead | None:
        rows = self.row(case_pk(ref), "head")
        return _head(ref.tenant, ref.case_id, rows) if rows else None

    def heads(self, refs: Iterable[CaseRef]) -> dict[str, CaseHead]:
        """The heads that there are of a tenant's cases, by their case ids; a hundred are one call."""
        by_key = {case_pk(ref): ref for ref in refs}
        keys: list[Any] = [to_item({"pk": pk, "sk": "head"}) for pk in by_key]
        heads = {}
        while keys:
            asked: Any = {self._table: {"Keys": keys[:BATCH], "ConsistentRead": True}}
            answer = self._db.batch_get_item(RequestItems=asked)
            for row in map(to_row, answer["Responses"][self._table]):
                ref = by_key[row["pk"]]
                heads[ref.case_id] = _head(ref.tenant, ref.case_id, row)
            # What DynamoDB had no room for comes with the next call.
            left: Any = answer.get("UnprocessedKeys", {}).get(self._table, {})
            keys = keys[BATCH:] + left.get("Keys", [])
        return heads

    def approval(self, ref: CaseRef, approval_id: str) -> Approval | None:
        """Read consistently: the row is the arbiter."""
        row = self.row(case_pk(ref), f"approval#{approval_id}")
        return read_approval(ref, row) if row else None

    def history(self, ref: CaseRef) -> tuple[CaseHead | None, list[LedgerEvent], list[Approval]]:
        """All rows of a case in one query (a case has few); events in the order they happened."""
        rows = self._query(
            KeyConditionExpression="pk = :pk", values={":pk": case_pk(ref)}, ConsistentRead=True
        )
        head, events, approvals = None, [], []
        for row in rows:
            if row["sk"] == "head":
                head = _head(ref.tenant, ref.case_id, row)
            elif row["sk"].startswith("event#"):
                events.append(LedgerEvent.model_validate(_fields(row, LedgerEvent)))
            else:
                approvals.append(read_approval(ref, row))
        return head, sorted(events, key=lambda e: e.at), sorted(approvals, key=lambda a: a.round)

    def rows(self, pk: str) -> list[Item]:
        """All rows of a partition that a module of its own keeps, read consistently."""
        return self._query(KeyConditionExpression="pk = :pk", values={":pk": pk}, ConsistentRead=True)

    def thread(self, tenant: str, thread: str, limit: int) -> list[str]:
        """The ids of a conversation's closed cases, newest first. `thread` is `Request.thread_key`."""
        rows = self._query(KeyConditionExpression="pk = :pk", values={":pk": _thread_pk(tenant, thread)})
        return [row["sk"] for row in sorted(rows, key=lambda row: row["at"], reverse=True)[:limit]]

    def cases(
        self, tenant: str, status: CaseStatus | None, limit: int, cursor: str | None
    ) -> tuple[list[CaseHead], str | None]:
        """A tenant's cases, newest first. Raises InvalidRequest for a cursor that is not of this list."""
        index, key, value = (
            ("by_time", "gsi1pk", f"{tenant}#cases")
            if status is None
            else ("by_status", "gsi2pk", _status_pk(tenant, "case", status))
        )
        rows, following = self.page(index, key, value, limit, cursor, newest_first=True)
        return [_head(tenant, row["pk"].removeprefix(f"{tenant}#"), row) for row in rows], following

    def oldest(self, tenant: str, after: str, before: str, limit: int) -> list[CaseHead]:
        """A tenant's cases that came in between two instants, both included, the oldest first."""
        answer = self._db.query(
            TableName=self._table,
            IndexName="by_time",
            KeyConditionExpression="gsi1pk = :pk and gsi1sk between :after and :before",
            ExpressionAttributeValues=to_item({":pk": f"{tenant}#cases", ":after": after, ":before": before}),
            Limit=limit,
        )
        rows = map(to_row, answer["Items"])
        return [_head(tenant, row["pk"].removeprefix(f"{tenant}#"), row) for row in rows]

    def approvals(
        self, tenant: str, status: ApprovalStatus, limit: int, cursor: str | None
    ) -> tuple[list[Approval], str | None]:
        """A tenant's approvals in one status; the longest waiting first where they are pending."""
        rows, following = self.page(
            "by_status",
            "gsi2pk",
            _status_pk(tenant, "approval", status),
            limit,
            cursor,
            newest_first=status is not ApprovalStatus.PENDING,
        )
        return [
            read_approval(CaseRef(tenant=tenant, case_id=row["pk"].removeprefix(f"{tenant}#")), row)
            for row in rows
        ], following

    def _put(self, pk: str, sk: str, values: Mapping[str, Any], condition: str) -> Item:
        item = to_item({"pk": pk, "sk": sk, **{k: v for k, v in values.items() if v is not None}})
        return {"Put": {"TableName": self._table, "Item": item, "ConditionExpression": condition}}

    def _update(
        self,
        ref: CaseRef,
        sk: str,
        values: Mapping[str, Any],
        condition: str,
        given: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> Item:
        columns = list(values)
        return {
            "Update": {
                "TableName": self._table,
                "Key": to_item({"pk": case_pk(ref), "sk": sk}),
                "UpdateExpression": "SET " + ", ".join(f"#c{i} = :c{i}" for i in range(len(columns))),
                "ConditionExpression": condition,
                "ExpressionAttributeNames": {f"#c{i}": c for i, c in enumerate(columns)} | dict(names or {}),
                "ExpressionAttributeValues": to_item(
                    {f":c{i}": values[c] for i, c in enumerate(columns)} | dict(given)
                ),
            }
        }

    def row(self, pk: str, sk: str) -> Item | None:
        """Any row of the table, read consistently."""
        answer = self._db.get_item(
            TableName=self._table, Key=to_item({"pk": pk, "sk": sk}), ConsistentRead=True
        )
        return to_row(answer["Item"]) if "Item" in answer else None

    def _query(self, *, values: Mapping[str, Any], **arguments: Any) -> list[Item]:
        rows: list[Item] = []
        while True:
            answer = self._db.query(
                TableName=self._table, ExpressionAttributeValues=to_item(values), **arguments
            )
            rows += [to_row(item) for item in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                return rows
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def page(
        self, index: str, key: str, value: str, limit: int, cursor: str | None, *, newest_first: bool
    ) -> tuple[list[Item], str | None]:
        """Rows of one partition of an index, and where the next page begins. Raises InvalidRequest."""
        start = {"ExclusiveStartKey": _open_cursor(cursor, key, value)} if cursor else {}
        answer = self._db.query(
            TableName=self._table,
            IndexName=index,
            KeyConditionExpression=f"{key} = :value",
            ExpressionAttributeValues=to_item({":value": value}),
            ScanIndexForward=not newest_first,
            Limit=limit,
            **start,  # type: ignore[arg-type]
        )
        last = answer.get("LastEvaluatedKey")
        return [to_row(item) for item in answer["Items"]], _make_cursor(last) if last else None


def approval_closed(tenant: str, at: str, **values: Any) -> Item:
    """The columns that close a row: status `decided` or `expired`, what was decided, and the index."""
    status = ApprovalStatus(values["status"])
    return values | _approval_index(tenant, status, at)


def is_case_id(text: str) -> bool:
    """Whether it has the form of one; anything else must not get into a key."""
    return CASE_ID.fullmatch(text) is not None


def find_approval(ledger: Ledger, tenant: str, approval_id: str) -> Approval:
    """The row of an approval id, which begins with its case's id. Raises NotFound."""
    named = APPROVAL_ID.fullmatch(approval_id)
    row = ledger.approval(CaseRef(tenant=tenant, case_id=named["case_id"]), approval_id) if named else None
    if row is None:
        raise NotFound("there is no such approval")
    return row


def _approval_index(tenant: str, status: ApprovalStatus, at: str) -> Item:
    return {"gsi2pk": _status_pk(tenant, "approval", status), "gsi2sk": at}


def _status_pk(tenant: str, kind: str, status: CaseStatus | ApprovalStatus) -> str:
    return f"{tenant}#{kind}#{status.value}"


def case_pk(ref: CaseRef) -> str:
    """The partition of a case's rows."""
    return f"{ref.tenant}#{ref.case_id}"


def _thread_pk(tenant: str, thread: str) -> str:
    return f"{tenant}#thread#{thread}"


def _head(tenant: str, case_id: str, row: Item) -> CaseHead:
    return CaseHead.model_validate({"tenant": tenant, "case_id": case_id, **_fields(row, CaseHead)})


def read_approval(ref: CaseRef, row: Item) -> Approval:
    """The approval of a row, which has columns of others besides."""
    return Approval.model_validate({"tenant": ref.tenant, "case_id": ref.case_id, **_fields(row, Approval)})


def _fields(row: Item, model: type[CaseHead | Approval | LedgerEvent]) -> Item:
    return {name: value for name, value in row.items() if name in model.model_fields}


def _make_cursor(key: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(to_row(key)).encode()).decode()


def _open_cursor(cursor: str, key: str, value: str) -> Item:
    """The key a list goes on after: exactly the columns of the table and of the index, and of this list."""
    try:
        row = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
        if row.keys() != {"pk", "sk", key, key.replace("pk", "sk")} or row[key] != value:
            raise ValueError
        if not all(isinstance(v, str) and v for v in row.values()):
            raise ValueError
        return to_item(row)
    except (ValueError, TypeError, AttributeError):
        raise InvalidRequest("the cursor is not one this list gave out") from None

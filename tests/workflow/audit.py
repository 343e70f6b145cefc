"""Whether the promises hold of a case that has come to its end: one sentence for each that does not."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

from countersign.errors import SignatureRejected
from countersign.models import canonical_json, sha256_hex
from countersign.signatures import verify
from tests.workflow.conftest import Desk, Json, Received

QUEUES = ("IntakeQueue", "DeliveryQueue")
DEAD_LETTERS = ("IntakeDeadLetters", "DeliveryDeadLetters")
RESERVED_MICRO_USD = 50_000
"""What a case reserves, as the template has it."""


def executions(desk: Desk, case_id: str) -> dict[str, str]:
    """The status of every run of a case, by its name."""
    found: dict[str, str] = {}
    with suppress(desk.stack.client("stepfunctions").exceptions.ExecutionDoesNotExist):
        for run in itertools.count(1):
            name = case_id if run == 1 else f"{case_id}-r{run}"
            found[name] = desk.execution(name)["status"]
    return found


def waiting(desk: Desk, queue: str) -> int:
    """How many messages lie in a queue, hidden ones too."""
    names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
    told = desk.stack.client("sqs").get_queue_attributes(
        QueueUrl=desk.stack.resource(queue), AttributeNames=names
    )
    return sum(int(value) for value in told["Attributes"].values())


def received_at(desk: Desk, path: str) -> list[Received]:
    """What the receiver at this path got, each attempt."""
    return [received for received in desk.listener.received if received.path == path]


def signed_document(desk: Desk, case_id: str, sha256: str) -> Json | None:
    """The stored proposal that this hash names, where its bytes have it."""
    s3, bucket = desk.stack.client("s3"), desk.stack.resource("CaseFilesBucket")
    for page in s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=f"cases/default/{case_id}/"
    ):
        for found in page.get("Contents", []):
            if sha256 in found["Key"]:
                body = s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
                return dict(json.loads(body)) if sha256_hex(body) == sha256 else None
    return None


def audit_ending(desk: Desk, case_id: str, *, ended: str) -> Iterator[str]:
    """One case in the named status, nothing of it at work, each decision made once."""
    case = desk.case(case_id)
    if case["status"] != ended:
        yield f"is {case['status']}, not {ended}"
    lines = Counter(line["event"] for line in case["timeline"])
    if lines[f"case.{ended}"] != 1:
        yield f"says {lines[f'case.{ended}']} times that it is {ended}"
    if running := [name for name, status in executions(desk, case_id).items() if status == "RUNNING"]:
        yield f"still runs as {running}"
    decided = Counter(
        line["detail"]["approval_id"] for line in case["timeline"] if line["event"].startswith("decision.")
    )
    if twice := {approval for approval, times in decided.items() if times > 1}:
        yield f"has more than one decision on {twice}"
    if ended in {"delivered", "rejected"} and not decided:
        yield f"is {ended}, and nobody decided"


def audit_effects(
    desk: Desk, case_id: str, received: list[Received], secrets: list[str] | None = None
) -> Iterator[str]:
    """A receiver that honours ids sees what was signed, byte for byte, once, and nothing else, ever."""
    timeline = desk.case(case_id)["timeline"]
    signed = [line for line in timeline if "signed_sha256" in line["detail"] and "decision." in line["event"]]
    ids = {each.headers["webhook-id"] for each in received}
    if len(ids) > 1:
        yield f"had {len(ids)} effects"
    if strangers := ids - {line["detail"]["approval_id"] for line in signed}:
        yield f"sent what nobody signed: {strangers}"
    for line in signed:
        document = signed_document(desk, case_id, line["detail"]["signed_sha256"])
        if document is None:
            yield "has lost what was signed"
            continue
        expected = callback_body(document, line)
        for each in received:
            if each.body != expected and each.headers["webhook-id"] == line["detail"]["approval_id"]:
                yield "sent other bytes than were signed"
            try:
                moment = int(each.headers["webhook-timestamp"])
                known = secrets or [desk.app.secret("webhook")]
                verify("standard-webhooks", each.headers, each.body, known, moment)
            except SignatureRejected as error:
                yield f"signed its reply badly: {error}"


def callback_body(document: Json, decision: Json) -> bytes:
    """The bytes that a signed proposal is, on the wire of a callback."""
    data = {
        "case_id": document["case_id"],
        "id": document["event_id"],
        "text": document["text"],
        "citations": document["citations"],
        "decided_by": decision["actor"],
    }
    return canonical_json({"type": "case.replied", "timestamp": decision["at"], "data": data})


def audit_queues(desk: Desk) -> Iterator[str]:
    """Nothing in flight, nothing dead."""
    for queue in (*QUEUES, *DEAD_LETTERS):
        if count := waiting(desk, queue):
            yield f"{count} messages lie in {queue}"


def audit_claims(desk: Desk) -> Iterator[str]:
    """No money held and no slot leased, once every case has ended."""
    for row in _claims(desk):
        for name in ("held", "holders"):
            if holders := row.get(name, {}).get("M"):
                yield f"{row['id']['S']} is still held by {', '.join(holders)}"


def audit_money(desk: Desk, cases: list[Json], used_before: int = 0) -> Iterator[str]:
    """The budgets of all days hold what the cases have cost since then, to the micro-dollar.

    Of a run that failed nobody may know what it had paid: there the whole reservation counts.
    """
    used = micro_used(desk) - used_before
    cost = sum(int((Decimal(case["cost_usd"] or 0) * 1_000_000).to_integral_value()) for case in cases)
    failed = sum(line["event"] == "case.failed" for case in cases for line in case["timeline"])
    if not cost <= used <= cost + failed * RESERVED_MICRO_USD:
        yield f"the budgets say {used} micro-dollars, the cases {cost}, {failed} runs of which failed"


def micro_used(desk: Desk) -> int:
    """What the budgets of all days have reserved or spent, in micro-dollars."""
    return sum(int(row["used"]["N"]) for row in _claims(desk) if "used" in row)


def _claims(desk: Desk) -> list[Any]:
    table = desk.stack.resource("ClaimsTable")
    pages = desk.stack.client("dynamodb").get_paginator("scan").paginate(TableName=table)
    return [row for page in pages for row in page["Items"]]

"""`bad_bodies.jsonl`: what a sender with a good key may post without ever seeing a 5xx.

Each body is signed, so that it is read and not only refused for its signature. Whatever is answered with 4xx
has stored nothing; whatever is accepted is read by Open Case afterwards, and its text is the text that came.
"""

import base64
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from countersign.case_file import raw_key
from countersign.models import CaseRef, RawEvent
from countersign.models import Request as Asked
from countersign.signatures import sign_standard_webhook
from countersign.sources import load_source, read_event
from functions.receive_webhook.app import handler
from tests.unit.senders import GITHUB_API, KEY, SOURCES, Intake, changed, sample
from tests.unit.stores import Context, stores_in_moto

Json = dict[str, Any]
CONTEXT = replace(Context(), function_name="receive_webhook")
AT = "2026-11-02T09:30:02.000Z"


@pytest.fixture(scope="module")
def intake() -> Iterator[Intake]:
    with pytest.MonkeyPatch.context() as patch, stores_in_moto() as stores:
        patch.setenv("POWERTOOLS_SERVICE_NAME", "countersign")
        patch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Countersign")
        patch.setenv("POWERTOOLS_TRACE_DISABLED", "true")
        yield Intake(stores)


@pytest.mark.cases("bad_bodies")
def test_a_bad_body_is_answered_and_never_with_5xx(
    intake: Intake,
    case: Json,
    judge: Any,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    events = [as_it_is(case)]
    if isinstance(case.get("text"), str):
        # Also where the product's own events have their text.
        events.append(signed(changed(sample("webhook_case_opened"), text=case["text"])))
    for event in events:
        before = len(intake.objects())
        began = time.process_time()
        answer = handler(event, CONTEXT, intake.desk)
        spent = time.process_time() - began
        status, body = answer["statusCode"], json.loads(answer["body"])

        allowed = {"4xx": range(400, 500), "not5xx": range(200, 500)}[case["expect"]]
        judge(status in (allowed if event is events[0] else range(200, 500)), f"it was answered {status}")
        judge(spent <= case.get("max_seconds", 2), f"it took {spent:.1f} s")
        if status >= 400:
            judge(set(body) == {"error"} and len(intake.objects()) == before, "it was stored")
        elif "case_id" in body and isinstance(case.get("text"), str):
            judge(text_of(intake, body["case_id"]) == case["text"], "its text was changed")

    said = capsys.readouterr()
    lines = said.out + said.err + str([vars(record) for record in caplog.records])
    for secret in case.get("must_not_log", ()):
        judge(secret not in lines, "the log quotes it")
    for text in filter(None, (case.get("text"),)):
        judge(len(text.strip()) < 8 or text not in lines, "the log quotes its text")


def as_it_is(case: Json) -> Json:
    """API Gateway's event around the body, which is base64 there where it is no text."""
    event = signed(
        {
            **sample("webhook_case_opened"),
            "headers": {**case["headers"], "webhook-id": f"msg_{uuid.uuid4().hex}"},
        },
        body_of(case),
    )
    overrides = dict(case.get("event_overrides", {}))
    removed = overrides.pop("__delete__", [])
    return {name: value for name, value in {**event, **overrides}.items() if name not in removed}


def body_of(case: Json) -> bytes:
    if "body_gen" not in case:
        return base64.b64decode(case["body_b64"])
    made = case["body_gen"]
    prefix, unit, suffix = (base64.b64decode(made[f"{part}_b64"]) for part in ("prefix", "unit", "suffix"))
    return prefix + unit * made["count"] + suffix


def signed(event: Json, body: bytes | None = None) -> Json:
    raw = event["body"].encode() if body is None else body
    message_id = f"msg_{uuid.uuid4().hex}"
    headers = event["headers"] | sign_standard_webhook(
        KEY, message_id, int(datetime.now(UTC).timestamp()), raw
    )
    try:
        return {**event, "headers": headers, "body": raw.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:
        encoded = base64.b64encode(raw).decode()
        return {**event, "headers": headers, "body": encoded, "isBase64Encoded": True}


def text_of(intake: Intake, case_id: str) -> str:
    raw = intake.stores.files.get_model(raw_key(CaseRef(tenant="default", case_id=case_id)), RawEvent)
    source = load_source("webhook", SOURCES)
    read = read_event(source, raw.headers, raw.body.encode(), AT, GITHUB_API)
    assert isinstance(read, Asked)
    return read.text

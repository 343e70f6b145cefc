"""Taking an event in: in which order, once for each event, and nothing acknowledged that is not durable."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from countersign.case_file import raw_key
from countersign.errors import EventInProgress, IntakeUnavailable, InvalidRequest, SignatureRejected
from countersign.intake import Receipt, derive_case_id
from countersign.models import CaseRef, RawEvent, canonical_json
from countersign.sources import Ignored
from local.stores import atomic_stores
from tests.unit.senders import (
    KEY,
    NOW,
    REPLY_SECRET,
    REPLY_URL,
    Intake,
    changed,
    sample,
    signed,
)
from tests.unit.stores import Stores

WEBHOOK = signed(sample("webhook_case_opened"))
GITHUB = signed(sample("github_issue_opened"))
OTHER_KEY = "b3RoZXIga2V5IG9mIHR3ZW50eSBmb3VyIGI="


@pytest.fixture
def intake(stores: Stores) -> Iterator[Intake]:
    return Intake(stores)


def with_header(event: dict[str, Any], name: str, value: str) -> dict[str, Any]:
    return {**event, "headers": {**event["headers"], name: value}}


def test_case_ids_are_the_hash_of_tenant_source_and_key() -> None:
    # printf 'default\0webhook\0msg_1' | sha256sum
    assert derive_case_id("default", "webhook", "msg_1") == "c-7672add16524cfeb9ec2f220088d6f3c"
    assert derive_case_id("default", "webhook", "MSG_1") != derive_case_id("default", "webhook", "msg_1")
    assert derive_case_id("a", "b", "c") != derive_case_id("a", "bc", "")


@pytest.mark.parametrize("event", [WEBHOOK, GITHUB], ids=["webhook", "github"])
def test_an_event_is_claimed_kept_queued_and_then_acknowledged(intake: Intake, event: Any) -> None:
    receipt = intake.receive(event)
    source = event["pathParameters"]["source"]
    key = event["headers"]["webhook-id" if source == "webhook" else "x-github-delivery"]
    ref = CaseRef(tenant="default", case_id=derive_case_id("default", source, key))
    assert receipt == Receipt(ref.case_id, duplicate=False)
    assert intake.calls == ["PutItem", "PutObject", "SendMessage", "UpdateItem"]
    assert intake.queued() == [
        {
            "tenant": "default",
            "case_id": ref.case_id,
            "source": source,
            "received_at": "2026-11-02T09:30:02.000Z",
            "run": 1,
        }
    ]
    raw = intake.stores.files.get_model(f"events/default/{ref.case_id}.json", RawEvent)
    assert raw.body == event["body"]
    assert not [name for name in raw.headers if "signature" in name]
    assert raw.headers["content-type"] == "application/json"


def test_texts_are_in_the_raw_event_alone(intake: Intake) -> None:
    intake.receive(signed(changed(WEBHOOK, text="QUAGGA \0 \x1b[2J \uffff 🖋", subject="ZEBRA")))
    (claim,) = intake.claimed()
    assert set(claim) == {"id", "expiration", "in_progress_expiration", "status", "data"}
    assert set(json.loads(claim["data"]["S"])) == {"case_id", "body_sha256"}
    everything = json.dumps([claim, intake.queued()])
    assert everything.isascii()
    assert "QUAGGA" not in everything
    assert "ZEBRA" not in everything
    assert "customer@example.com" not in everything


def test_a_claim_is_kept_for_two_weeks(intake: Intake) -> None:
    intake.receive(WEBHOOK)
    # Powertools reads the machine's own clock.
    kept = int(intake.claimed()[0]["expiration"]["N"]) - intake.claimed_at()
    assert 14 * 86_400 - 60 <= kept <= 14 * 86_400 + 60


@pytest.mark.parametrize("event", [WEBHOOK, GITHUB], ids=["webhook", "github"])
def test_the_same_event_again_is_a_duplicate_and_costs_one_call(intake: Intake, event: Any) -> None:
    first = intake.receive(event)
    intake.queued()
    intake.calls.clear()
    assert intake.receive(event) == Receipt(first.case_id, duplicate=True)
    assert intake.calls == ["PutItem"]
    assert intake.queued() == []


def test_another_id_of_a_signed_kind_is_another_case(intake: Intake) -> None:
    first = intake.receive(WEBHOOK)
    second = intake.receive(signed(with_header(WEBHOOK, "webhook-id", "msg_other")))
    assert not second.duplicate
    assert first.case_id != second.case_id


def test_ids_that_differ_in_case_alone_are_two(intake: Intake) -> None:
    for message_id in ("evt_1", "EVT_1"):
        assert not intake.receive(signed(with_header(WEBHOOK, "webhook-id", message_id))).duplicate


def test_a_captured_body_under_a_fresh_unsigned_id_opens_nothing(intake: Intake) -> None:
    first = intake.receive(GITHUB)
    objects = intake.objects()
    intake.queued()
    again = intake.receive(with_header(GITHUB, "x-github-delivery", "fresh"))
    assert again == Receipt(first.case_id, duplicate=True)
    assert intake.objects() == objects
    assert intake.queued() == []


def test_an_id_seen_on_a_replay_is_still_free_for_its_own_event(intake: Intake) -> None:
    intake.receive(GITHUB)
    intake.receive(with_header(GITHUB, "x-github-delivery", "fresh"))
    other = signed(with_header(sample("github_discussion_created"), "x-github-delivery", "fresh"))
    assert not intake.receive(other).duplicate


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (WEBHOOK, signed(changed(WEBHOOK, text="Something else"))),
        (
            GITHUB,
            signed(
                with_header(
                    sample("github_discussion_created"),
                    "x-github-delivery",
                    GITHUB["headers"]["x-github-delivery"],
                )
            ),
        ),
    ],
    ids=["webhook", "github"],
)
def test_the_first_body_of_an_id_stands(intake: Intake, first: Any, second: Any) -> None:
    case_id = intake.receive(first).case_id
    (key,) = intake.objects()
    for _ in range(2):
        assert intake.receive(second) == Receipt(case_id, duplicate=True, other_body=True)
    assert intake.objects() == [key]
    assert intake.stores.files.get_model(key, RawEvent).body == first["body"]
    assert {message["case_id"] for message in intake.queued()} == {case_id}
    assert intake.receive(first) == Receipt(case_id, duplicate=True)


class BrokenQueue:
    """Takes nothing until it is mended."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self.is_down = True

    def send(self, message: Any) -> None:
        if self.is_down:
            raise ClientError({"Error": {"Code": "ServiceUnavailable", "Message": "…"}}, "SendMessage")
        self.intake.sqs.send_message(QueueUrl=self.intake.url, MessageBody=message.model_dump_json())


@pytest.mark.parametrize("event", [WEBHOOK, GITHUB], ids=["webhook", "github"])
def test_what_the_queue_did_not_take_is_not_acknowledged_and_may_come_again(
    intake: Intake, event: Any
) -> None:
    queue = BrokenQueue(intake)
    desk = intake.make(queue)
    with pytest.raises(IntakeUnavailable):
        intake.receive(event, desk)
    assert intake.claimed() == []
    queue.is_down = False
    # Later, so that the raw event that is there already is not the one that would be written now.
    receipt = intake.receive(event, desk, NOW + timedelta(seconds=20))
    assert not receipt.duplicate
    assert [message["case_id"] for message in intake.queued()] == [receipt.case_id]


@pytest.mark.parametrize("operation", ["PutItem", "PutObject", "SendMessage", "UpdateItem"])
def test_a_store_that_fails_is_unavailable_and_the_next_try_succeeds(intake: Intake, operation: str) -> None:
    failures = [operation]

    def fail(model: Any, **_: Any) -> None:
        if model.name in failures:
            raise ClientError({"Error": {"Code": "InternalError", "Message": "…"}}, model.name)

    for client in (intake.stores.db, intake.stores.s3, intake.sqs):
        client.meta.events.register("before-call.*.*", fail)
    with pytest.raises(IntakeUnavailable):
        intake.receive(WEBHOOK)
    failures.clear()
    if operation == "UpdateItem":  # the claim is held, until the time of the run that failed is over
        with pytest.raises(EventInProgress):
            intake.receive(WEBHOOK)
        intake.end_runs()
    receipt = intake.receive(WEBHOOK)
    assert not receipt.duplicate
    assert receipt.case_id in {message["case_id"] for message in intake.queued()}


def test_an_unfinished_run_is_no_duplicate_and_ends_with_its_function(intake: Intake) -> None:
    class Killed(BaseException):
        pass

    class Killer:
        def send(self, message: Any) -> None:
            raise Killed

    with pytest.raises(Killed):
        intake.receive(WEBHOOK, intake.make(Killer()))
    (claim,) = intake.claimed()
    assert 0 < int(claim["in_progress_expiration"]["N"]) - intake.claimed_at() * 1000 <= 70_000
    for event in (WEBHOOK, signed(changed(WEBHOOK, text="Something else"))):
        with pytest.raises(EventInProgress):
            intake.receive(event)
    intake.end_runs()
    assert not intake.receive(WEBHOOK).duplicate
    assert len(intake.queued()) == 1


def test_of_many_at_once_one_is_taken_in(intake: Intake) -> None:
    answers: list[Any] = []
    start = threading.Barrier(6)

    def send() -> None:
        start.wait()
        try:
            answers.append(intake.receive(GITHUB))
        except EventInProgress as busy:
            answers.append(busy)

    threads = [threading.Thread(target=send) for _ in range(6)]
    with atomic_stores():  # moto by itself checks a condition and writes in two steps
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    receipts = [answer for answer in answers if isinstance(answer, Receipt)]
    assert [receipt.duplicate for receipt in receipts].count(False) == 1
    assert len(answers) == 6
    assert len(intake.queued()) == 1


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (sample("webhook_case_opened"), SignatureRejected),
        (signed(WEBHOOK, secret=OTHER_KEY), SignatureRejected),
        (signed(WEBHOOK, now=NOW - timedelta(seconds=400)), SignatureRejected),
        (signed(changed(WEBHOOK, text=5)), InvalidRequest),
        (signed(changed(WEBHOOK, callback_url="https://10.0.0.1/")), InvalidRequest),
        (signed(sample("github_ping")), None),
        (signed(sample("github_own_comment")), None),
    ],
)
def test_nothing_is_stored_of_what_is_refused_or_ignored(
    intake: Intake, event: Any, error: type[Exception] | None
) -> None:
    if error is None:
        assert isinstance(intake.receive(event), Ignored)
    else:
        with pytest.raises(error):
            intake.receive(event)
    assert intake.calls == []


def test_a_secret_may_change_while_events_come(intake: Intake) -> None:
    intake.receive(WEBHOOK)
    intake.secrets.put("webhook", current=OTHER_KEY, previous=KEY)
    later = [with_header(WEBHOOK, "webhook-id", f"msg_{n}") for n in range(4)]
    assert not intake.receive(signed(later[0])).duplicate
    assert not intake.receive(signed(later[1], secret=OTHER_KEY)).duplicate
    assert len(intake.secrets.asked) == 2
    assert not intake.receive(signed(later[2])).duplicate
    intake.secrets.put("webhook", current=OTHER_KEY)
    with pytest.raises(SignatureRejected):
        intake.receive(signed(later[3]))
    assert not intake.receive(signed(later[3], secret=OTHER_KEY)).duplicate


def test_without_a_secret_nobody_gets_in(intake: Intake) -> None:
    intake.secrets.values.clear()
    for secret in (KEY, "", "undefined", "null"):
        with pytest.raises(SignatureRejected):
            intake.receive(signed(GITHUB, secret=secret))
    assert intake.calls == []


SENDERS = {
    "slack_app_mention": "Ev07RJ4N0K9B",
    "stripe_dispute_created": "evt_1SQx9dLkdIwHu7ixMn5bVcXz",
    "zendesk_ticket_created": "cbe4028c-7239-495d-b020-f22348516046",
    "shopify_order_with_note": "98880550-7158-44d4-b7cd-2c97c8a091b5",
}


@pytest.mark.parametrize("name", SENDERS)
def test_every_sender_is_acknowledged_after_four_calls_of_which_none_is_a_model_s(
    intake: Intake, name: str
) -> None:
    # Slack waits for three seconds, Shopify for five: whatever takes longer happens behind the queue.
    event = signed(sample(name))
    source = event["pathParameters"]["source"]
    receipt = intake.receive(event)
    assert receipt.case_id == derive_case_id("default", source, SENDERS[name])
    assert intake.calls == ["PutItem", "PutObject", "SendMessage", "UpdateItem"]
    assert intake.secrets.asked == [f"test/sources/{source}"]
    again = with_header(signed(sample(name)), "x-slack-retry-num", "1")
    assert intake.receive(again) == Receipt(receipt.case_id, duplicate=True)
    assert len(intake.queued()) == 1


def test_a_captured_order_under_a_fresh_id_opens_nothing(intake: Intake) -> None:
    event = signed(sample("shopify_order_with_note"))
    first = intake.receive(event)
    assert intake.receive(with_header(event, "x-shopify-event-id", "fresh")) == Receipt(first.case_id, True)


class TestReplyUrl:
    EVENT = signed(sample("stripe_dispute_created"))

    def test_is_kept_with_the_event_that_it_came_with(self, intake: Intake) -> None:
        receipt = intake.receive(self.EVENT)
        raw = intake.stores.files.get_model(f"events/default/{receipt.case_id}.json", RawEvent)
        assert raw.reply_url == REPLY_URL

    def test_is_found_at_once_where_an_operator_has_put_it_down(self, intake: Intake) -> None:
        intake.secrets.put("stripe", current=KEY)
        with pytest.raises(InvalidRequest, match="has no reply_url"):
            intake.receive(self.EVENT, desk := intake.make())
        intake.secrets.put("stripe", current=KEY, reply_url=REPLY_URL, reply_secret=REPLY_SECRET)
        assert not intake.receive(self.EVENT, desk).duplicate

    def test_is_asked_for_again_only_where_it_is_missing(self, intake: Intake) -> None:
        intake.secrets.put("stripe", current=KEY)
        with pytest.raises(InvalidRequest):
            intake.receive(self.EVENT)
        assert intake.secrets.asked == ["test/sources/stripe"] * 2
        assert intake.objects() == []


@pytest.mark.parametrize("event", [WEBHOOK, GITHUB], ids=["webhook", "github"])
def test_an_event_that_was_forgotten_is_a_duplicate_for_good(intake: Intake, event: Any) -> None:
    first = intake.receive(event)
    intake.queued()
    key = raw_key(CaseRef(tenant="default", case_id=first.case_id))
    raw = intake.stores.files.get_model(key, RawEvent)
    mark = RawEvent(
        source=raw.source, received_at=raw.received_at, headers={}, body="", forgotten=raw.body_sha256
    )
    intake.stores.files.replace(key, canonical_json(mark))
    for claim in intake.claimed():  # a fortnight later
        intake.stores.db.delete_item(TableName="claims", Key={"id": claim["id"]})
    assert intake.receive(event) == Receipt(first.case_id, duplicate=True)
    assert intake.queued() == []
    assert intake.stores.files.get_model(key, RawEvent) == mark

"""The schedule of a delivery to its end, a receiver that is gone, and what a redrive makes of both."""

import json
from itertools import pairwise

from countersign.answers import MAX_RETRY_AFTER_S
from countersign.signatures import verify
from tests.workflow.conftest import Answer, Desk
from tests.workflow.test_senders import opened

ASKED = "How often is a failed delivery tried?"
WAITS = [5, 300, 1_800, 7_200, 18_000, 28_800, 36_000, 86_400, 93_600]
"""Seconds between the ten attempts, 75 h 35 min in all."""
OWN_S = 5
"""What an attempt and its messages take besides, at most."""


def post(desk: Desk, path: str) -> Answer:
    return desk.stack.request(
        "POST", path, headers={"content-type": "application/json"}, body=b"{}", token=desk.token
    )


def approved(desk: Desk, **data: str) -> str:
    case_id = desk.send(ASKED, **data)
    desk.waiting(case_id)
    assert desk.decide(case_id, "approve").status == 200
    return case_id


def test_a_reply_nobody_takes_is_tried_ten_times_and_once_more_when_it_is_redriven(desk: Desk) -> None:
    # A receiver may ask for more than the schedule, within bounds, and for less in vain.
    asked = {2: {"retry-after": "900"}, 3: {"retry-after": "1"}, 5: {"retry-after": "999999"}}
    desk.listener.answers = [(503, asked.get(attempt, {})) for attempt in range(1, 11)]
    case_id = approved(desk)
    case = desk.until_status(case_id, "failed", days=5)
    assert case["outcome"] == "DeliveryFailed"
    assert desk.execution(case_id)["status"] == "FAILED"
    received = desk.listener.received
    assert len(received) == 10
    lines = [line for line in case["timeline"] if line["event"] == "delivery.attempted"]
    assert [line["detail"]["attempt"] for line in lines] == list(range(1, 11))

    sent_at = [int(each.headers["webhook-timestamp"]) for each in received]
    waits = [later - earlier for earlier, later in pairwise(sent_at)]
    least = [*WAITS]
    least[1], least[4] = 900, MAX_RETRY_AFTER_S
    for attempt, (wait, shortest) in enumerate(zip(waits, least, strict=True), 1):
        longest = shortest * 1.1 if attempt not in (2, 5) else shortest
        assert shortest - 1 <= wait <= longest + OWN_S, f"after attempt {attempt}"
    jitter = [wait / planned for wait, planned in zip(waits[2:], WAITS[2:], strict=True)]
    assert len({round(each, 6) for each in jitter}) > 1

    for each, at in zip(received, sent_at, strict=True):
        verify("standard-webhooks", each.headers, each.body, [desk.app.secret("webhook")], at)
    assert len({(each.headers["webhook-id"], each.body) for each in received}) == 1
    assert len({each.headers["webhook-timestamp"] for each in received}) == 10
    assert len({each.headers["webhook-signature"] for each in received}) == 10

    assert post(desk, f"/cases/{case_id}/redrive").status == 200
    case = desk.until_status(case_id, "delivered", days=1)
    assert len(received) == 11
    assert (received[10].headers["webhook-id"], received[10].body) == (
        received[0].headers["webhook-id"],
        received[0].body,
    )
    assert case["usage"]["model_calls"] == 3
    assert [event for event in desk.events(case_id) if event.startswith("decision.")] == ["decision.approve"]


def test_a_receiver_that_is_gone_gets_nothing_until_a_person_turns_it_on(desk: Desk) -> None:
    gone = f"{desk.listener.url}?key=s3cret"
    desk.listener.answers = [(410, {})]
    first = approved(desk, callback_url=gone)
    assert desk.until_status(first, "failed")["outcome"] == "DestinationOff"
    second = desk.send(ASKED, callback_url=gone)
    assert desk.waiting(second)["destination"]["off_since"] is not None
    assert desk.decide(second, "approve").status == 200
    assert desk.until_status(second, "failed")["outcome"] == "DestinationOff"
    assert len(desk.listener.received) == 1
    # Another address of the same receiver is another destination.
    desk.until_status(approved(desk), "delivered")
    assert len(desk.listener.received) == 2

    [listed] = desk.get("/destinations")["destinations"]
    assert (listed["state"], listed["address"]) == ("off", f"{desk.listener.url}?…")
    assert [turn["by"] for turn in listed["history"]] == [first]
    assert "s3cret" not in json.dumps([line.line for line in desk.stack.logs])
    assert post(desk, f"/cases/{first}/redrive").status == 200
    assert desk.until_status(first, "failed")["outcome"] == "DestinationOff"
    assert len(desk.listener.received) == 2

    turned = post(desk, f"/destinations/{listed['id']}/on")
    assert (turned.status, turned.json()["history"][-1]["by"]) == (200, "local")
    assert desk.get("/destinations")["destinations"] == []
    for case_id in (first, second):
        assert post(desk, f"/cases/{case_id}/redrive").status == 200
        desk.until_status(case_id, "delivered")
    assert len(desk.listener.received) == 4
    ids = [each.headers["webhook-id"] for each in desk.listener.received]
    assert (ids[0], ids[2:]) == (f"{first}-a1", [f"{first}-a1", f"{second}-a1"])


def test_issues_that_are_disabled_are_a_receiver_that_is_gone(desk: Desk) -> None:
    case_id = opened(desk, "github_issue_opened", "github")
    desk.app.outbox.answer_next(410, body={"message": "Issues has been disabled in this repository."})
    assert desk.decide(case_id, "edit", text="Ten times.").status == 200
    assert desk.until_status(case_id, "failed")["outcome"] == "DestinationOff"
    [listed] = desk.get("/destinations")["destinations"]
    assert listed["channel"] == "github_issue"
    post(desk, f"/destinations/{listed['id']}/on")
    post(desk, f"/cases/{case_id}/redrive")
    desk.until_status(case_id, "delivered")
    assert len(desk.app.outbox.comments) == 1

"""The API as its callers use it."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from local.cli.api_client import ApiClient, NoAnswer, NotOne, Refused

CASES = [f"c-{digit * 32}" for digit in "ab"] + ["c-" + "a" * 31 + "0"]


@dataclass
class Answer:
    status_code: int
    content: bytes


@dataclass
class Wire:
    """Answers by path, and keeps what was asked."""

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def request(self, method: str, url: str, **given: Any) -> Answer:
        path = url.removeprefix("http://here")
        self.asked.append({"method": method, "path": path, **given})
        status, body = self.answers.get(path, (404, {"error": {"code": "not_found", "message": "no"}}))
        return Answer(status, body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def api(wire: Wire) -> ApiClient:
    return ApiClient("http://here/", "t/k", wire)


def test_a_call_carries_the_token_and_follows_nothing(api: ApiClient, wire: Wire) -> None:
    wire.answers["/cases"] = (200, {"cases": [], "cursor": None})
    assert api.cases("failed", 5) == {"cases": [], "cursor": None}
    (asked,) = wire.asked
    assert asked["headers"] == {"Authorization": "Bearer t/k"}
    assert asked["params"] == {"status": "failed", "limit": "5"}
    assert asked["allow_redirects"] is False


def test_an_event_carries_its_own_headers_alone(api: ApiClient, wire: Wire) -> None:
    wire.answers["/webhooks/git%2Fhub"] = (202, {"case_id": CASES[0]})
    api.send("git/hub", {"x-github-event": "issues"}, b"{}")
    assert wire.asked[0]["headers"] == {"x-github-event": "issues"}
    assert wire.asked[0]["data"] == b"{}"


def test_the_inbox_address_signs_in(api: ApiClient) -> None:
    assert api.inbox == "http://here/#token=t/k"


@pytest.mark.parametrize(
    ("status", "body", "says", "code"),
    [
        (409, {"error": {"code": "stale_card", "message": "look again"}}, "look again", "stale_card"),
        (
            401,
            {"message": "Unauthorized"},
            "the API does not take this token: it is wrong, or it has ended",
            "",
        ),
        (500, b"<html>", "HTTP status 500", ""),
        (302, {}, "HTTP status 302", ""),
    ],
)
def test_an_answer_that_is_no(
    api: ApiClient, wire: Wire, status: int, body: Any, says: str, code: str
) -> None:
    wire.answers["/approvals/x"] = (status, body)
    with pytest.raises(Refused, match=says) as refused:
        api.approval("x")
    assert (refused.value.status, refused.value.code) == (status, code)


def test_no_answer_names_the_address() -> None:
    class Dead:
        def request(self, *args: Any, **given: Any) -> Answer:
            raise requests.ConnectionError("refused")

    with pytest.raises(NoAnswer, match="nobody answers at http://here"):
        ApiClient("http://here", "t", Dead()).cases()


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("c-" + "f" * 32, "c-" + "f" * 32),  # whole ids are not looked up
        ("c-" + "f" * 32 + "-a2", "c-" + "f" * 32),
        ("c-bb", CASES[1]),
        ("bb", CASES[1]),
        ("c-" + "a" * 31 + "0", CASES[2]),
    ],
)
def test_a_case_is_found_by_its_beginning(api: ApiClient, wire: Wire, given: str, found: str) -> None:
    pages = iter([{"cases": [{"case_id": CASES[0]}], "cursor": "more"}])
    rest = {"cases": [{"case_id": case} for case in CASES[1:]], "cursor": None}

    def request(method: str, url: str, **asked: Any) -> Answer:
        return Answer(200, json.dumps(next(pages, rest)).encode())

    wire.request = request  # type: ignore[method-assign]
    assert api.find_case(given) == found


@pytest.mark.parametrize(("given", "says"), [("c-aa", "2 cases begin with c-aa"), ("c-9", "no case begins")])
def test_a_beginning_that_fits_none_or_several(api: ApiClient, wire: Wire, given: str, says: str) -> None:
    wire.answers["/cases"] = (200, {"cases": [{"case_id": case} for case in CASES], "cursor": None})
    with pytest.raises(NotOne, match=says):
        api.find_case(given)


def test_an_approval_is_found_by_its_case(api: ApiClient, wire: Wire) -> None:
    wire.answers["/cases"] = (200, {"cases": [{"case_id": CASES[1]}], "cursor": None})
    wire.answers[f"/cases/{CASES[1]}"] = (200, {"approval_id": f"{CASES[1]}-a3"})
    assert api.find_approval("c-b") == f"{CASES[1]}-a3"
    assert api.find_approval("c-b-a1") == f"{CASES[1]}-a1"
    assert api.find_approval(f"{CASES[0]}-a9") == f"{CASES[0]}-a9"
    wire.answers[f"/cases/{CASES[1]}"] = (200, {"approval_id": None})
    with pytest.raises(NotOne, match="has not asked for an approval yet"):
        api.find_approval("c-b")

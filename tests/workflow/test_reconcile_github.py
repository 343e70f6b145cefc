"""GitHub sends each delivery once: what did not arrive is found in its own list, and sent again."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.workflow.command_line import CommandLine
from tests.workflow.conftest import Desk
from tests.workflow.github_hooks import TOKEN, GitHubHooks

SAMPLES = Path(__file__).parents[2] / "events/receive_webhook"


class Intake:
    """The stack as GitHub reaches it; `is_down` and nobody answers, or `broken` and somebody else does."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.is_down = False
        self.broken: int | None = None

    def __call__(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        if self.is_down:
            raise ConnectionError
        if self.broken:
            return self.broken, b"<h1>Bad gateway</h1>"
        answer = self._desk.stack.request("POST", "/webhooks/github", headers=headers, body=body)
        return answer.status, answer.body


@pytest.fixture
def intake(desk: Desk) -> Intake:
    return Intake(desk)


@pytest.fixture
def github(desk: Desk, intake: Intake) -> Iterator[GitHubHooks]:
    with GitHubHooks(desk.app.secret("github"), intake) as github:
        yield github


@pytest.fixture
def run(desk: Desk, github: GitHubHooks) -> Any:
    cli = CommandLine(desk.stack, desk.token)
    words = ["reconcile", "--source", "github", "--repo", "octo/help", "--hook", "4711"]
    words += ["--github-api-url", github.url]

    def run(*more: str, status: int = 0, token: str = TOKEN) -> Any:
        desk.stack.settle(lambda: True)
        return cli.json(*words, *more, status=status, GITHUB_TOKEN=token)

    run.plain = lambda *more, token=TOKEN: cli.run(*words, *more, GITHUB_TOKEN=token)  # type: ignore[attr-defined]
    return run


def issue(number: int, **changes: Any) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(
        json.loads((SAMPLES / "github_issue_opened.json").read_text())["body"]
    )
    payload["issue"] |= {"number": number, "title": f"Question {number}"}
    return payload | changes


def cases(desk: Desk) -> list[str]:
    return [case["subject"] for case in desk.get("/cases?limit=100")["cases"]]


def test_what_failed_while_the_intake_was_down_is_sent_again_and_opens_one_case_each(
    desk: Desk, intake: Intake, github: GitHubHooks, run: Any
) -> None:
    github.happen("ping", {"zen": "Keep it logically awesome."})
    arrived = github.happen("issues", issue(1))
    github.happen("issues", issue(1, action="closed"))
    intake.is_down = True
    missed = [github.happen("issues", issue(number)) for number in (2, 3)]
    intake.is_down, intake.broken = False, 502
    missed.append(github.happen("issues", issue(4)))
    intake.broken = None

    found = run(status=1)
    assert (found["sent"], found["fine"]) == (6, 3)
    assert [(each["guid"], each["why"], each["sent_again"]) for each in found["wrong"]] == [
        (missed[0], "answered by nobody", False),
        (missed[1], "answered by nobody", False),
        (missed[2], "answered 502", False),
    ]
    assert arrived not in {each["guid"] for each in found["wrong"]}
    assert github.waiting == [], "nothing is sent again unless that is asked for"
    assert len([call for call in github.calls if call.endswith("/deliveries")]) == 2, "two pages"

    again = run("--redeliver")
    assert [each["sent_again"] for each in again["wrong"]] == [True, True, True]
    # A second person does the same at once: GitHub then sends each twice.
    run("--redeliver")
    github.run_redeliveries()
    desk.stack.settle(lambda: True)
    assert sorted(cases(desk)) == ["Question 1", "Question 2", "Question 3", "Question 4"]
    done = run()
    assert (done["sent"], done["fine"], done["wrong"]) == (6, 6, [])


def test_a_repeated_body_under_another_guid_is_known_by_the_case_it_was_told(
    github: GitHubHooks, run: Any
) -> None:
    github.happen("issues", issue(11))
    github.happen("issues", issue(11))
    assert run()["fine"] == 2


def test_an_event_that_was_taken_in_and_not_answered_in_time_says_so(
    desk: Desk, github: GitHubHooks, intake: Intake, run: Any
) -> None:
    def too_slow(headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        intake(headers, body)
        raise ConnectionError

    github.receive = too_slow
    github.happen("issues", issue(21))
    [wrong] = run(status=1)["wrong"]
    assert wrong["why"] == "answered by nobody; its case is known all the same"
    github.receive = intake
    run("--redeliver")
    github.run_redeliveries()
    assert run()["wrong"] == []
    assert cases(desk).count("Question 21") == 1


def test_an_acknowledged_event_that_nobody_knows_is_listed(github: GitHubHooks, run: Any) -> None:
    github.receive = lambda *_: (202, json.dumps({"case_id": "c-" + "0" * 32}).encode())
    github.happen("issues", issue(31))
    [wrong] = run(status=1)["wrong"]
    assert wrong["why"] == "acknowledged, and its case is not known"
    assert wrong["event"] == "issues.opened"


def test_at_github_s_limit_it_stops_and_says_until_when(
    github: GitHubHooks, intake: Intake, run: Any
) -> None:
    intake.is_down = True
    github.happen("issues", issue(41))
    github.limited = 1
    result = run.plain("--redeliver")
    assert result.exit_code == 1
    assert "no more calls of GitHub's API until 14:13:20 UTC" in result.stderr
    assert github.waiting == []


def test_the_token_is_shown_nowhere_and_a_wrong_one_is_named(
    github: GitHubHooks, intake: Intake, run: Any
) -> None:
    intake.is_down = True
    github.happen("issues", issue(51))
    listed = run.plain("--redeliver")
    assert listed.exit_code == 0
    assert "sent again" in listed.stdout
    wrong = run.plain(token="something-else")
    assert "the token in GITHUB_TOKEN is not valid" in wrong.stderr
    assert run.plain(token="").exit_code == 2
    for result in (listed, wrong):
        assert TOKEN not in result.stdout + result.stderr
        assert "something-else" not in result.stdout + result.stderr

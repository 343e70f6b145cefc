"""The commands that talk to a deployment, against an API that answers from memory."""

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from countersign.signatures import verify
from local.cli import main
from local.cli.api_client import ApiClient, Json, Refused
from local.cli.ask import wait_for_draft
from local.cli.knowledge import CALL_LIMIT, MOST_DOCUMENTS, batches
from local.cli.main import COMMANDS
from local.cli.options import Access
from local.cli.running import RunningStack, SourceAccess

CASE = "c-" + "3f" * 16
APPROVAL = f"{CASE}-a1"
SHOWN = "ab" * 32
SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
DRAFT = {
    "text": "It waits 24 hours [1].",
    "claims": [{"start": 0, "end": 22, "verdict": "supported", "score": 1.0, "markers": [1]}],
    "citations": [{"marker": 1, "document": "approvals.md", "quote": "24 hours", "source_uri": "s3://k/a"}],
    "actions": [],
}
REVIEW = {
    "verdict": "accept",
    "score": 0.9,
    "support": 1.0,
    "unsupported": 0,
    "summary": "Fine.",
    "findings": [],
}
SPENT = {"usage": {"input_tokens": 1200, "output_tokens": 80, "model_calls": 3}, "cost_usd": "0.0012"}
AT = "2026-11-02T09:30:00Z"
GONE = ["d-" + "3f" * 16, "d-" + "4a" * 16]
THERE = ("--url", "http://here", "--token", "token")


@dataclass
class Deployment(ApiClient):
    """An API with one case. `refusal` is what a decision is answered instead of being taken."""

    status: str = "awaiting_approval"
    refusal: Refused | None = None
    decided: list[tuple[str, Json]] = field(default_factory=list)
    received: list[tuple[str, Any, bytes]] = field(default_factory=list)
    stored: list[Json] = field(default_factory=list)
    polls: int = 0

    def __post_init__(self) -> None:
        super().__init__("http://here", "token", object())  # type: ignore[arg-type]

    def cases(self, status: str | None = None, limit: int = 100, cursor: str | None = None) -> Json:
        line = {"case_id": CASE, "status": self.status, "source": "webhook", "subject": "Waiting"}
        return {
            "cases": [{**line, "created_at": AT, "updated_at": AT}],
            "cursor": "next" if limit == 1 else None,
        }

    def case(self, case_id: str) -> Json:
        self.polls += 1
        if self.polls == 1 and self.received:
            raise Refused(404, {"error": {"code": "not_found", "message": "there is no such case"}})
        event = {"at": AT, "event": "case.opened", "actor": "countersign", "detail": {"run": 1}}
        return {
            "case_id": case_id,
            "status": self.status,
            "source": "webhook",
            "subject": "Waiting",
            "timeline": [event],
            "draft": DRAFT,
            "review": REVIEW,
            "approval_id": APPROVAL,
            "outcome": None,
            "forgotten_at": None,
            **SPENT,
        }

    def approvals(self, status: str = "pending") -> Json:
        line = {"approval_id": APPROVAL, "case_id": CASE, "subject": "Waiting", "risk": "low"}
        return {"approvals": [{**line, "requested_at": AT, "expires_at": AT, "reviewer_score": None}]}

    def approval(self, approval_id: str) -> Json:
        request = {
            "subject": "Waiting",
            "text": "How long?",
            "author": "reader@example.com",
            "source": "webhook",
        }
        return {
            "approval_id": approval_id,
            "case_id": CASE,
            "risk": "low",
            "expires_at": AT,
            "request": request,
            "draft": DRAFT,
            "review": REVIEW,
            "destination": {"channel": "callback", "address": "http://127.0.0.1:9/replies"},
            "shown_sha256": SHOWN,
            "decision": None,
            "reason": None,
            **SPENT,
        }

    def decide(self, approval_id: str, decision: Json) -> Json:
        if self.refusal is not None:
            raise self.refusal
        self.decided.append((approval_id, decision))
        return {"approval_id": approval_id, "verdict": decision["verdict"]}

    def send(self, source: str, headers: Any, body: bytes) -> Json:
        self.received.append((source, headers, body))
        if b"ignored" in body:
            return {"status": "ignored", "reason": "it opens no case"}
        return {"case_id": CASE, "status_url": f"/cases/{CASE}", "duplicate": b"again" in body}

    def destinations(self, cursor: str | None = None) -> Json:
        turn = {"state": "off", "at": AT, "by": CASE}
        each = {"channel": "callback", "address": "https://help.example.com/r?…", "state": "off"}
        return {
            "destinations": [{"id": name, **each, "history": [turn]} for name in GONE],
            "cursor": None if cursor else "next",
        }

    def limits(self) -> Json:
        return {
            "day": "2026-03-02",
            "cap_usd": "10",
            "used_usd": "1.30",
            "reserved_usd": "0.05",
            "spent_usd": "1.25",
            "max_cases_at_once": 50,
            "leases": [{"case_id": CASE, "expires_at": AT, "reserved_usd": "0.05"}],
            "parked": {"budget": 3, "slot": 0, "counted_all": True},
        }

    def turn_on(self, destination_id: str) -> Json:
        turn = {"state": "on", "at": AT, "by": "Alex Doe"}
        return {"id": destination_id, "address": "https://help.example.com/r?…", "history": [turn]}

    def search(self, query: str, limit: int) -> Json:
        found = {
            "document": "approvals.md",
            "chunk_id": "p1",
            "text": query,
            "score": 0.75,
            "source_uri": "s3://k",
        }
        return {"results": [found] * limit}

    def add_documents(self, documents: Any) -> Json:
        self.stored += documents
        return {"documents": [each["name"] for each in documents], "job_id": "JOB1", "status": "started"}

    def job(self, job_id: str) -> Json:
        return {"job_id": job_id, "status": "COMPLETE"}


@pytest.fixture
def deployment() -> Deployment:
    return Deployment()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a stack that runs has left word of itself."""
    RunningStack(
        url="http://here",
        token="token",
        aws_endpoint="http://127.0.0.1:1",
        outbox="http://127.0.0.1:2",
        sources={
            "github": SourceAccess("github", SECRET),
            "webhook": SourceAccess("standard-webhooks", SECRET),
        },
        pid=1,
    ).write(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COUNTERSIGN_URL", "COUNTERSIGN_TOKEN", "ANSWER"):
        monkeypatch.delenv(name, raising=False)


def call(
    deployment: Deployment, *words: str, folder: Path = Path("/nowhere"), stdin: str | None = None
) -> Result:
    """What a command does; `folder` is where it looks for a stack that runs."""
    access = Access(lambda url, token: deployment, folder)
    runner = CliRunner(mix_stderr=False)
    return runner.invoke(main, list(words), obj=access, input=stdin, prog_name="countersign")


def ask_api(deployment: Deployment, *words: str, stdin: str | None = None) -> Result:
    return call(deployment, *words, *THERE, stdin=stdin)


@pytest.mark.parametrize(
    ("words", "document"),
    [
        (["cases"], "cases"),
        (["case", "c-3f"], "timeline"),
        (["approvals"], "approvals"),
        (["search", "waits"], "results"),
        (["destinations"], "destinations"),
        (["limits"], "leases"),
        (["destinations", "on", GONE[0]], "history"),
        (["approve", "c-3f"], "verdict"),
        (["respond", APPROVAL, "--reason", "Shorter."], "verdict"),
    ],
)
def test_json_is_one_document_and_nothing_else(
    deployment: Deployment, words: list[str], document: str
) -> None:
    result = ask_api(deployment, *words, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert document in json.loads(result.stdout)


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["cases"], ["c-3f3f3f3f", "awaiting_approval", "Waiting"]),
        (["cases", "--limit", "1"], ["--cursor next"]),
        (["case", "c-3f"], ["case.opened", "✓ It waits 24 hours [1].", "“24 hours”", "accept", "$0.0012"]),
        (["approvals"], ["c-3f3f3f3f", "low"]),
        (["search", "waits"], ["approvals.md  0.75", "waits"]),
        (["destinations"], ["d-3f3f3f3f", "c-3f3f3f3f", "help.example.com", "--cursor next"]),
        (
            ["limits"],
            [
                "$1.25 spent, $0.05 reserved, of $10",
                "3 for budget",
                "every 15 minutes",
                "1 of 50 at once",
                AT,
            ],
        ),
        (["destinations", "on", GONE[1]], ["is on: turned on by Alex Doe", AT]),
        (["approve", "c-3f"], ["How long?", "approvals.md", "http://127.0.0.1:9/replies", "on its way"]),
    ],
)
def test_people_read_text(deployment: Deployment, words: list[str], lines: list[str]) -> None:
    result = ask_api(deployment, *words)
    assert result.exit_code == 0, result.output
    for line in lines:
        assert line in result.stdout
    assert "\x1b" not in result.stdout  # no colours where no terminal is


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["on"], 2, "`on` needs the id"),
        (["off", GONE[0]], 2, "'off' is no word of this command: a destination is turned `on ID`"),
        (["on", "d-9"], 1, "no switched-off destinations begin with d-9"),
        (["on", "d-"], 1, "4 switched-off destinations begin with d-"),
    ],
)
def test_a_destination_is_named_by_its_id(
    deployment: Deployment, words: list[str], status: int, says: str
) -> None:
    result = ask_api(deployment, "destinations", *words)
    assert (result.exit_code, says in result.stderr) == (status, True), result.stderr


@pytest.mark.parametrize(
    ("words", "decision"),
    [
        (["approve"], {"verdict": "approve"}),
        (["edit", "--text", "Two days."], {"verdict": "edit", "text": "Two days."}),
        (["edit", "--file", "-"], {"verdict": "edit", "text": "From a pipe.\n"}),
        (["respond", "--reason", "Shorter."], {"verdict": "respond", "reason": "Shorter."}),
        (["reject", "--reason", "Spam."], {"verdict": "reject", "reason": "Spam."}),
    ],
)
def test_a_decision_is_bound_to_what_was_shown(
    deployment: Deployment, words: list[str], decision: Json
) -> None:
    result = ask_api(deployment, words[0], "c-3f", *words[1:], stdin="From a pipe.\n")
    assert result.exit_code == 0, result.output
    assert deployment.decided == [(APPROVAL, {"shown_sha256": SHOWN, **decision})]


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (
            409,
            {"error": {"code": "already_decided"}, "decided_by": "ops", "decided_at": AT, "verdict": "edit"},
            f"already edited and approved by ops at {AT}",
        ),
        (409, {"error": {"code": "stale_card"}}, "changed after it was shown"),
        (410, {"error": {"code": "approval_expired"}}, "the deadline has passed"),
        (422, {"error": {"code": "invalid_request", "message": "there is no draft"}}, "there is no draft"),
    ],
)
def test_a_decision_that_is_not_taken_says_why(
    deployment: Deployment, status: int, body: Json, says: str
) -> None:
    deployment.refusal = Refused(status, body)
    result = ask_api(deployment, "approve", APPROVAL, "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("countersign: ")
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["frob"], "no such command 'frob'"),
        (["cases", "--status", "lost"], "'lost' is not one of"),
        (["cases", "--frob"], "no such option: --frob"),
        (["case"], "missing argument 'ID'"),
        (["respond", APPROVAL], "missing option '--reason'"),
        (["edit", APPROVAL, *THERE], "without a terminal, edit needs --text or --file"),
        (["edit", APPROVAL, "--text", "a", "--file", "-", *THERE], "not both"),
        (["send", "/nope", "--source", "github"], "does not exist"),
        (["ingest", "/nope"], "does not exist"),
        (
            ["reconcile", "--source", "github", "--repo", "o/r", "--hook", "1", *THERE],
            ": GITHUB_TOKEN holds no",
        ),
        (["up", "--set", "DailyBudgetUsd"], "'DailyBudgetUsd' is not NAME=VALUE"),
        (["up", "--port", "99999"], "99999 is not in the range"),
        (["up", "--knowledge", "/nope"], "'/nope' does not exist"),
        (["demo", "--answer", "perhaps"], "'perhaps' is not one of"),
        (["invoke", "plan_work", "-e", "/nope"], "does not exist"),
        (["invoke", "nothing", "-e", __file__], "'nothing' is none of close_case, "),
        (["invoke", "plan_work", "-e", __file__], "is not JSON"),
    ],
)
def test_a_bad_command_line_is_one_line_and_status_2(
    deployment: Deployment, words: list[str], says: str
) -> None:
    result = call(deployment, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert " --help)" in result.stderr
    assert not deployment.decided


def test_nothing_that_runs_is_said(deployment: Deployment) -> None:
    result = call(deployment, "cases")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "countersign: no stack runs here: start one with `countersign up`, or give --url and --token\n"
    )


def test_every_command_explains_itself(deployment: Deployment) -> None:
    listed = call(deployment, "--help").stdout
    for name in COMMANDS:
        assert f"\n  {name} " in listed
        explained = call(deployment, name, "--help")
        assert explained.exit_code == 0
        assert f"Usage: countersign {name}" in explained.stdout


@pytest.mark.parametrize(
    ("source", "content", "says"),
    [
        ("github", '{"action": "opened", "issue": {}}', f"Case {CASE}"),
        ("webhook", '{"type": "again"}', "known already"),
        ("webhook", '{"type": "ignored"}', "Ignored: it opens no case"),
    ],
)
def test_send_signs_as_the_source_signs(
    deployment: Deployment, folder: Path, tmp_path: Path, source: str, content: str, says: str
) -> None:
    file = tmp_path / "event.json"
    file.write_text(content)
    result = call(deployment, "send", str(file), "--source", source, folder=folder)
    assert result.exit_code == 0, result.stderr
    assert says in result.stdout
    ((sent_to, headers, body),) = deployment.received
    assert (sent_to, body.decode()) == (source, content)
    scheme = {"github": "github", "webhook": "standard-webhooks"}[source]
    verify(scheme, headers, body, [SECRET], time.time())


@pytest.mark.parametrize(
    ("content", "source", "says"),
    [
        ("{", "webhook", "it is not JSON"),
        ("{}", "jira", "no source 'jira'; there are github, webhook"),
        ("{}", "github", "say so with --event"),
    ],
)
def test_what_cannot_be_sent_is_not(
    deployment: Deployment, folder: Path, tmp_path: Path, content: str, source: str, says: str
) -> None:
    file = tmp_path / "event.json"
    file.write_text(content)
    result = call(deployment, "send", str(file), "--source", source, folder=folder)
    assert (result.exit_code, deployment.received) == (2, [])
    assert says in result.stderr


def test_ask_opens_a_case_and_shows_its_draft(deployment: Deployment, folder: Path) -> None:
    result = call(deployment, "ask", "How long?\nReally.", folder=folder)
    assert result.exit_code == 0, result.stderr
    assert "✓ It waits 24 hours [1]." in result.stdout
    assert "countersign approve c-3f3f3f3f" in result.stdout
    ((source, headers, body),) = deployment.received
    verify("standard-webhooks", headers, body, [SECRET], time.time())
    event = json.loads(body)
    assert (source, event["type"]) == ("webhook", "case.opened")
    assert event["data"]["text"] == "How long?\nReally."
    assert event["data"]["subject"] == "How long? Really."
    assert event["data"]["callback_url"] == "http://127.0.0.1:2/replies"


@pytest.mark.parametrize("status", ["blocked", "failed"])
def test_ask_says_where_a_case_without_a_draft_ended(
    deployment: Deployment, folder: Path, status: str
) -> None:
    deployment.status = status
    result = call(deployment, "ask", "How long?", "--json", folder=folder)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"case {CASE} is {status}" in result.stderr


def test_a_draft_is_waited_for_so_long() -> None:
    deployment, slept = Deployment(status="running"), list[float]()
    with pytest.raises(click.ClickException, match="no draft after 3 s"):
        wait_for_draft(deployment, CASE, sleep=slept.append, patience_s=3)
    assert sum(slept) == pytest.approx(3)


def test_ingest_sends_what_is_in_a_folder(deployment: Deployment, folder: Path, tmp_path: Path) -> None:
    documents = tmp_path / "handbook"
    (documents / "deep").mkdir(parents=True)
    (documents / "a.md").write_text("Ünder 24 hours.")
    (documents / "deep" / "b.pdf").write_bytes(b"%PDF\xff")
    (documents / ".hidden").write_text("no")
    result = call(deployment, "ingest", str(documents), "--json", folder=folder)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {
        "documents": ["a.md", "deep/b.pdf"],
        "job_id": "JOB1",
        "status": "COMPLETE",
    }
    assert deployment.stored == [
        {"name": "a.md", "text": "Ünder 24 hours."},
        {"name": "deep/b.pdf", "content_base64": "JVBERv8="},
    ]


def test_documents_go_in_calls_that_the_api_takes() -> None:
    small = [{"name": f"{n}.md", "text": "x"} for n in range(MOST_DOCUMENTS + 1)]
    large = [{"name": f"large{n}.md", "text": "x" * (CALL_LIMIT // 2)} for n in range(3)]
    assert [len(call) for call in batches(small)] == [MOST_DOCUMENTS, 1]
    assert [len(call) for call in batches(large)] == [1, 1, 1]
    assert list(batches([])) == []


def test_a_folder_without_documents_is_said(deployment: Deployment, folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    result = call(deployment, "ingest", str(empty), folder=folder)
    assert result.exit_code == 2
    assert "there are no documents in" in result.stderr


def test_word_of_a_running_stack_is_private_and_taken_away(folder: Path) -> None:
    stack = RunningStack.read(folder)
    assert stack is not None
    assert (folder / "token").read_text() == "token\n"
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    replace(stack, pid=2).remove(folder)  # another one's
    assert RunningStack.read(folder) == stack
    stack.remove(folder)
    assert not list(folder.iterdir())
    assert RunningStack.read(folder) is None


def test_word_that_is_garbled_counts_as_none(folder: Path) -> None:
    (folder / "stack.json").write_text('{"url": "http://here", "sources": []}')
    assert RunningStack.read(folder) is None

"""The demo, for real: the whole product from a signed event to a delivered reply."""

import json

import pytest
from click.testing import CliRunner

from local.cli import main


@pytest.mark.timeout(300)
def test_without_a_terminal_the_demo_approves_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANSWER", raising=False)
    result = CliRunner(mix_stderr=False).invoke(main, ["demo"])
    assert (result.exit_code, result.stderr) == (0, "")
    order = (
        "Event",
        "How long may a draft wait for its approval?",
        "✓ Open Case",
        "✓ Plan Work",
        "✓ Gather Evidence",
        "✓ Write Draft",
        "✓ Review Draft",
        "✓ You have 24 hours to approve or decide on a draft",
        "[1]  approvals.md",
        "no terminal to ask at, so the demo approves",
        "✓ Record Decision",
        "✓ Deliver Reply",
        "✓ Close Case",
        "POST /repos/Codertocat/Hello-World/issues/42/comments → 201",
        "case.opened",
        "decision.approve",
        "case.delivered",
        "delivered · ",
    )
    place = 0
    for line in order:
        place = result.stdout.find(line, place)
        assert place >= 0, (line, result.stdout)
    assert "\x1b" not in result.stdout


@pytest.mark.timeout(300)
def test_a_draft_that_is_sent_back_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWER", "respond")
    result = CliRunner(mix_stderr=False).invoke(main, ["demo", "--json"])
    assert (result.exit_code, result.stderr) == (0, "")
    summary = json.loads(result.stdout)
    assert summary["status"] == "delivered"
    assert [visit["state"] for visit in summary["states"]].count("Write Draft") == 2
    verdicts = [line["event"] for line in summary["timeline"] if line["event"].startswith("decision.")]
    assert verdicts == ["decision.respond", "decision.approve"]
    (sent,) = [request for request in summary["delivered"] if request["method"] == "POST"]
    assert f"{summary['case_id']}-a2" in sent["body"]["body"]

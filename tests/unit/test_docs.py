"""What the documents say of the code is so today: generated parts, links, commands, states, parameters."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cli.main import COMMANDS
from local.template import load

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("knowledge/*.md")])
GENERATORS = ["draw-workflow", "write-tables", "write-figures"]
MACHINE = json.loads((ROOT / "statemachines" / "handle_case.asl.json").read_text())
TEMPLATE = (ROOT / "template.yaml").read_text()

FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(r"countersign ([a-z]+)\b")
TARGET = re.compile(r"\bmake ([a-z]+)\b")
PARAMETER = re.compile(r"`([A-Z][A-Za-z]+)`")
REPOSITORY_PATH = re.compile(
    r"`((?:functions|layers|local|docs|events|knowledge|scripts|statemachines|tests)/[\w./-]*)`"
)
# Names of AWS, of the state machine and of the template's outputs.
ELSEWHERE = {
    "DeliveryFailed",
    "DefaultRouteSettings",
    "MaxConcurrency",
    "SendTaskSuccess",
    "TaskScheduled",
    "ApiUrl",
}
# After "countersign" there may stand an ordinary word.
NO_COMMANDS = {"is", "on", "by", "and", "does", "detect", "here"}


# What a reader is told to put there: a name in capitals, or the README's example of a source.
PLACEHOLDER = re.compile(r"\b[A-Z]+\b(?!\.md)|helpdesk")


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def section_ids(path: Path) -> set[str]:
    """The fragments by which GitHub reaches a document's headings."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def snippets(path: Path) -> Iterator[str]:
    for fence in FENCE.findall(path.read_text()):
        if fence.startswith(("```sh", "```\n")):
            yield fence
    yield from re.findall(r"`([^`\n]+)`", FENCE.sub("", path.read_text()))


@pytest.mark.parametrize("script", GENERATORS)
def test_generated_parts_are_current(script: str) -> None:
    command = [sys.executable, str(ROOT / "scripts" / script), "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("path", DOCUMENTS, ids=names(DOCUMENTS))
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for link in LINK.findall(FENCE.sub("", path.read_text())):
        if link.startswith(("https://", "http://")):
            continue
        name, _, section = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (section and section not in section_ids(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=names(DOCUMENTS))
def test_named_paths_exist(path: Path) -> None:
    named = set(REPOSITORY_PATH.findall(path.read_text()))
    assert sorted(name for name in named if not (ROOT / name).exists() and not PLACEHOLDER.search(name)) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=names(DOCUMENTS))
def test_named_commands_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for snippet in snippets(path):
        assert set(COMMAND.findall(snippet)) <= COMMANDS.keys() | NO_COMMANDS, snippet
        assert set(TARGET.findall(snippet)) <= targets, snippet


def test_named_parameters_exist() -> None:
    """Names in backticks that look like a parameter of the template are one, or a resource or an error."""
    known = set(re.findall(r"^ {2}([A-Z]\w+):", TEMPLATE, re.MULTILINE))
    known |= set(re.findall(r"^class (\w+)", (ROOT / "layers/core/countersign/errors.py").read_text(), re.M))
    known |= ELSEWHERE
    named = {name for path in DOCUMENTS for name in PARAMETER.findall(path.read_text()) if _is_compound(name)}
    assert sorted(named - known) == []


def _is_compound(name: str) -> bool:
    return re.search(r"[a-z][A-Z]", name) is not None


def test_architecture_shows_the_picture_of_every_state() -> None:
    picture = (ROOT / "docs" / "handle_case.svg").read_text()
    assert [state for state in MACHINE["States"] if f">{state}<" not in picture] == []


def test_statuses_in_the_knowledge_are_the_codes() -> None:
    from countersign.models import CaseStatus

    text = (ROOT / "knowledge" / "case-statuses.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == [status.value for status in CaseStatus]


def spans(seconds: list[int]) -> list[str]:
    """`["5 seconds", "30 minutes", "2 hours"]`: in the largest unit that leaves no rest."""
    units = ((3600, "hours"), (60, "minutes"), (1, "seconds"))
    return [next(f"{s // size} {unit}" for size, unit in units if s % size == 0) for s in seconds]


def numbers_of_the_code() -> Iterator[tuple[str, str]]:
    """(document of the knowledge, what it must say)."""
    from countersign import bodies, claims, decisions, sources
    from countersign.policies import load_policy

    wait = MACHINE["States"]["Wait For Next Attempt"]["Seconds"]
    waits = spans([int(number) for number in re.findall(r"\d+", wait.partition("$attempt")[0])])
    yield "delivery.md", f"{', '.join(waits[:-1])} and {waits[-1]}"
    parked = re.search(r": (\d+) \*", MACHINE["States"]["Wait For Turn"]["Seconds"])
    assert parked
    yield "case-statuses.md", f"again every {spans([int(parked[1])])[0]}"
    policy = load_policy(ROOT / "layers/policies/policies")
    usual, risky = policy.terms("github", "low"), policy.terms("github", "high")
    deadline, sooner, more = spans([usual.deadline_s, risky.deadline_s, usual.escalation_s])
    yield (
        "approvals.md",
        f"You have {deadline} to approve or decide on a draft, or {sooner} for a case of high risk",
    )
    yield "approvals.md", f"stays open for another {more}"
    yield "webhook-answers.md", f"{bodies.LIMIT:,} bytes"
    yield "webhook-answers.md", f"{bodies.MAX_DEPTH} levels deep"
    yield "webhook-answers.md", f"recognised for {claims.KEEP_DAYS} days"
    yield "limits.md", f"text of a request | {sources.MAX_TEXT:,} characters"
    yield "limits.md", f"subject of a request | {sources.MAX_SUBJECT:,} characters"
    longest = next(m.max_length for m in decisions.DecisionBody.model_fields["text"].metadata)
    yield "approvals.md", f"at most {longest:,} characters"
    for document, words, parameter in (
        ("budgets-and-cost.md", "The default is {} USD", "DailyBudgetUsd"),
        ("budgets-and-cost.md", "which is {} USD by default", "CaseReserveUsd"),
        ("security-and-privacy.md", "`CaseFileDays` days, {} by default", "CaseFileDays"),
        ("security-and-privacy.md", "`LogDays` days, {} by default", "LogDays"),
        ("engines-and-models.md", "(`{}`)", "ModelId"),
    ):
        default = re.search(rf"^  {parameter}:\n.*\n    Default: (\S+)$", TEMPLATE, re.MULTILINE)
        assert default is not None
        yield document, words.format(default[1])


@pytest.mark.parametrize(("document", "words"), list(numbers_of_the_code()))
def test_numbers_in_the_knowledge_are_the_codes(document: str, words: str) -> None:
    assert words in " ".join((ROOT / "knowledge" / document).read_text().split())


def test_source_of_the_readme_works(tmp_path: Path) -> None:
    from countersign.models import Request
    from countersign.sources import load_source, read_event

    text = re.search(r"```yaml\n(name: helpdesk.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert text is not None
    (tmp_path / "helpdesk.yaml").write_text(text[1])
    ticket = {
        "id": 7,
        "status": "new",
        "title": "Retries",
        "description": "How often?",
        "requester": {"email": "customer@example.com"},
        "reply_url": "https://help.example.com/replies",
    }
    body = json.dumps({"event": "ticket.created", "ticket": ticket}).encode()
    headers = {"content-type": "application/json", "webhook-id": "m-1"}
    read = read_event(
        load_source("helpdesk", tmp_path), headers, body, "2026-11-02T09:30:00.000Z", "https://api.github.com"
    )
    assert isinstance(read, Request)
    assert (read.event_id, read.author, read.destination.address) == (
        "7",
        "customer@example.com",
        "https://help.example.com/replies",
    )


@pytest.mark.parametrize("document", ["docs/operate.md", "knowledge/operating.md"])
def test_every_alarm_says_what_to_do(document: str) -> None:
    resources = load(ROOT / "template.yaml")["Resources"]
    alarms = {name for name, each in resources.items() if each["Type"] == "AWS::CloudWatch::Alarm"}
    rows = re.findall(r"^\| `(\w+Alarm)` \|[^|]+\|[^|]+\|$", (ROOT / document).read_text(), re.MULTILINE)
    assert set(rows) == alarms


def test_documents_speak_of_the_product_alone() -> None:
    """No name of a plan, an issue or a machine that only its makers know."""
    private = re.compile(r"\bissue [A-D]\b|/work/|/tmp/|\bhelper\b", re.IGNORECASE)
    assert [
        (path.name, private.findall(path.read_text()))
        for path in DOCUMENTS
        if private.search(path.read_text())
    ] == []

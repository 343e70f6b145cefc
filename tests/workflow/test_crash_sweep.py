"""Every call of AWS and every request to a receiver that one case makes fails once, and the promises hold.

First a case runs undisturbed, to learn its calls. Then, for each call and each way in which it can fail, one
case more, in which exactly that happens; everybody does what they do anyway until nothing is left to do.
`--crash-all` strikes every call with every kind of fault, `--crash-pairs 200` makes that many runs with two
faults, drawn by `--crash-seed`.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from local.gateway import Response
from tests.conftest import PROOF
from tests.workflow.audit import (
    audit_claims,
    audit_effects,
    audit_ending,
    audit_money,
    audit_queues,
    micro_used,
    received_at,
)
from tests.workflow.conftest import Desk, Json
from tests.workflow.github_sender import GitHubSender
from tests.workflow.recovery import Crew, Stuck
from tests.workflow.sabotage import Call, Fault, Kind, Sabotage

pytestmark = pytest.mark.timeout(400)

ASKED = "How often is delivery of a signed reply tried, and within how many hours?"
DAY_S = 86_400
PAID = ("Converse", "ConverseStream")
"""What is paid for by the token."""
FURTHEST = 60
"""How many calls after the first fault of a pair the second comes at most: a redriven case makes as many."""


@dataclass
class Sweep:
    """Runs cases with faults, one after the other, on one stack, and counts."""

    desk: Desk
    sabotage: Sabotage
    runs: Iterator[int] = field(default_factory=itertools.count)
    cases: list[Json] = field(default_factory=list)
    used_before: int = 0
    figures: dict[str, int] = field(
        default_factory=lambda: {"calls": 0, "faults": 0, "lost": 0, "duplicated": 0}
    )

    def run(self, faults: list[Fault]) -> list[str]:
        """One case under these faults, whose reply is a callback; what it broke."""
        name = f"sweep-{id(self)}-{next(self.runs)}"
        event = {
            "id": name,
            "subject": "Delivery attempts",
            "text": ASKED,
            "author": "reader@example.com",
            "callback_url": f"{self.desk.listener.url}/{name}",
        }

        def audit(case_id: str) -> Iterator[str]:
            received = received_at(self.desk, f"/replies/{name}")
            self._count(len({each.headers["webhook-id"] for each in received}))
            yield from audit_effects(self.desk, case_id, received)

        return self._run(faults, lambda: self.desk.post(event, f"msg_{name}"), audit)

    def run_github(self, faults: list[Fault]) -> list[str]:
        """One case whose reply is a comment on an issue of its own; what it broke."""
        sender = GitHubSender(self.desk, 1000 + next(self.runs))

        def audit(case_id: str) -> Iterator[str]:
            comments = [each for each in self.desk.app.outbox.comments if each.subject == sender.comments]
            self._count(len(comments))
            card = self.desk.card(case_id)
            if [comment.body for comment in comments] != [card["will_send"]]:
                yield f"left {len(comments)} comments, of what was signed or of something else"

        return self._run(faults, sender.deliver, audit)

    def _run(
        self, faults: list[Fault], post: Callable[[], Response], audit: Callable[[str], Iterator[str]]
    ) -> list[str]:
        crew = Crew(self.desk, self.sabotage)
        # Each run on a day of its own makes the same calls: secrets are read, the day's budget is opened.
        crew.pass_time(DAY_S)
        self.desk.app.bedrock.clear_requests()
        self.sabotage.begin(faults)
        case_id = crew.deliver(post)["case_id"]
        try:
            crew.bring_to_an_end(case_id)
        except Stuck as stuck:
            self.figures["lost"] += 1
            return [str(stuck)]
        finally:
            if not faults:
                self.figures["calls"] = len(self.sabotage.calls)
            self.figures["faults"] += self.sabotage.struck
        self.figures["lost"] += bool(crew.lost)
        with self.sabotage.paused():
            self.cases.append(self.desk.case(case_id))
            return [
                *audit_ending(self.desk, case_id, ended="delivered"),
                *audit(case_id),
                *audit_queues(self.desk),
                *(f"was lost until it was reconciled: {lost}" for lost in crew.lost),
            ]

    def _count(self, effects: int) -> None:
        self.figures["lost"] += effects == 0
        self.figures["duplicated"] += effects > 1

    def paid(self) -> int:
        """The calls of models in the last run."""
        return sum(request.operation in PAID for request in self.desk.app.bedrock.requests)


@pytest.fixture
def sweep(desk: Desk, record_property: Callable[[str, object], None]) -> Iterator[Sweep]:
    sweep = Sweep(desk, Sabotage(desk.stack), used_before=micro_used(desk))
    record_property(PROOF, ("crash_sweep", sweep.figures))
    with sweep.sabotage.installed():
        # The tenant's first case makes calls that no later one makes.
        assert sweep.run([]) == []
        yield sweep


def paid_again(calls: list[Call], fault: Fault) -> int:
    """How many calls of models a fault makes worthless: one that is paid and whose answer is not kept."""
    assert fault.call is not None
    mine = [call for call in calls if call.function == fault.call.function]
    paid = next((i for i, call in enumerate(mine) if call.operation in PAID), None)
    if paid is None:
        return 0
    kept = max(i for i, call in enumerate(mine) if call.operation == "PutObject")
    took_effect = fault.kind.is_late or fault.kind is Kind.REPEATED
    return int(paid < mine.index(fault.call) + took_effect <= kept)


def chosen(sabotage: Sabotage, kind: Kind, *, every: bool) -> list[Call]:
    """The calls that a kind of fault strikes.

    Not every one unless asked for: to die after reading something is to die before the call that follows, and
    a refusal differs from a death only by how the function ends, so one in each function will do.
    """
    fitting = [call for call in sabotage.calls if kind.strikes(call)]
    if kind.is_late:
        fitting = [call for call in fitting if call in sabotage.answered]
    last = {call.function: call for call in fitting}.values()
    if every or kind not in {Kind.CRASH_AFTER, Kind.REFUSED}:
        return fitting
    return [call for call in fitting if call in last or (kind.is_late and call.changes_something)]


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name.lower())
def test_one_fault_at_every_call(sweep: Sweep, kind: Kind, pytestconfig: pytest.Config) -> None:
    assert sweep.run([]) == []
    calls, paid = sweep.sabotage.calls, sweep.paid()
    broken = []
    for call in chosen(sweep.sabotage, kind, every=pytestconfig.getoption("--crash-all")):
        fault = Fault(kind, call)
        found = sweep.run([fault])
        if not fault.struck:
            found.append("never came to this call")
        if (now := sweep.paid()) != paid + paid_again(calls, fault):
            found.append(f"called models {now} times instead of {paid + paid_again(calls, fault)}")
        broken += [f"{kind}, {call}: the case {each}" for each in found]
    assert not broken, "\n".join(broken)
    assert [*audit_claims(sweep.desk), *audit_money(sweep.desk, sweep.cases, sweep.used_before)] == []


def test_two_faults(sweep: Sweep, pytestconfig: pytest.Config) -> None:
    """The second may strike what repairs the first: a retry, a redelivery, the sweep, a redrive."""
    draw = random.Random(pytestconfig.getoption("--crash-seed"))
    assert sweep.run([]) == []
    possible = {kind: chosen(sweep.sabotage, kind, every=True) for kind in Kind}
    broken = []
    for _ in range(pytestconfig.getoption("--crash-pairs")):
        kind = draw.choice(list(Kind))
        first = Fault(kind, draw.choice(possible[kind]))
        second = Fault(draw.choice([Kind.CRASH_BEFORE, Kind.CRASH_AFTER]), after=draw.randint(1, FURTHEST))
        broken += [
            f"{first.kind}, {first.call}, then {second.kind}, {second.after} calls on: the case {each}"
            for each in sweep.run([first, second])
        ]
    assert not broken, "\n".join(broken)
    assert [*audit_claims(sweep.desk), *audit_money(sweep.desk, sweep.cases, sweep.used_before)] == []


def test_a_comment_on_github_is_posted_once(sweep: Sweep, pytestconfig: pytest.Config) -> None:
    """GitHub honours no ids, so here the product itself must find what it has done."""
    assert sweep.run_github([]) == []
    every = pytestconfig.getoption("--crash-all")
    calls = [call for call in sweep.sabotage.calls if every or call.function == "deliver_reply"]
    broken = [
        f"{kind}, {call}: the case {each}"
        for kind in (Kind.CRASH_BEFORE, Kind.CRASH_AFTER, Kind.UNANSWERED)
        for call in calls
        if kind.strikes(call)
        for each in sweep.run_github([Fault(kind, call)])
    ]
    assert not broken, "\n".join(broken)

"""Histories of a stack in which everything happens to it, judged at their end like a queue in a Jepsen test.

Events come, twice, with other bodies, out of order; functions crash; people approve, edit, send back, reject
or let time run out; secrets rotate, functions are deployed anew, receivers are down or gone. At the end
everybody does what they do until nothing is left to do. Then: no acknowledged event is lost, no case is there
that nobody sent, no effect happened twice, nothing was sent that was not signed.

The same histories each time; `--promises-examples 200` plays that many others.
"""

import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from countersign.secrets import KEPT_S
from local.template import STACK_NAME
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
from tests.workflow.conftest import Apps, Desk, Json, Listener
from tests.workflow.recovery import GOOD_ENDS, Crew, Stuck, record_of
from tests.workflow.sabotage import Fault, Kind, Sabotage

pytestmark = pytest.mark.timeout(400)

ASKED = "How often is delivery of a signed reply tried, and within how many hours?"
WORDS = "Ten times within 75 hours, as the schedule says [1]."
DAY_S = 86_400
EXAMPLES = 8
STEPS = 16
ROUNDS = 3
"""How often the same case is sent back at most."""

VERDICTS: dict[str, Json] = {
    "approve": {},
    "edit": {"text": WORDS},
    "respond": {"reason": "Shorter, please."},
    "reject": {"reason": "Not for us."},
}
RECEIVERS = {"up": [], "down": [(503, {})] * 1_000, "gone": [(410, {})] * 1_000}


@dataclass
class Sent:
    """An event of the sender, and what was answered when it was sent."""

    name: str
    case_id: str | None = None
    decided: Counter[str] = field(default_factory=Counter)
    """How often a click on an approval was answered that it now is decided so."""
    verdicts: dict[str, str] = field(default_factory=dict)


class Promises(RuleBasedStateMachine):
    """One history on the stack of the module, with senders, people and receivers of its own."""

    apps: ClassVar[Apps]
    listener: ClassVar[Listener]
    figures: ClassVar[Counter[str]]
    numbers: ClassVar[Iterator[int]]

    events = Bundle("events")

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(self.apps.get({}), self.listener)
        self.sabotage = Sabotage(self.desk.stack)
        self.crew = Crew(self.desk, self.sabotage)
        self.sent: list[Sent] = []
        self.secrets = [self.desk.app.secret("webhook")]
        self.used_before = micro_used(self.desk)
        self.before = {case["case_id"] for case in self.desk.get("/cases?limit=100")["cases"]}
        self.open = ExitStack()
        self.open.enter_context(self.sabotage.installed())

    # Senders.

    def post(self, sent: Sent, text: str = ASKED) -> None:
        """Sends once. Whatever is not acknowledged is sent again at the end."""
        event = {
            "id": sent.name,
            "subject": "Delivery attempts",
            "text": text,
            "author": "reader@example.com",
            "callback_url": f"{self.listener.url}/{sent.name}",
        }
        answer = self.desk.post(event, f"msg_{sent.name}")
        self.figures["posts"] += 1
        if answer.status == 202:
            said = answer.json()
            assert sent.case_id in (None, said["case_id"]), "one event became two cases"
            assert said["duplicate"] or sent.case_id is None, "a second post was taken for the first"
            sent.case_id = said["case_id"]
        else:
            # A new secret is known at the latest when the old one is read anew.
            assert answer.status >= 500 or (answer.status == 401 and len(self.secrets) > 1), answer.body
        self.rest()

    @initialize(target=events, count=st.integers(1, 3))
    def begin(self, count: int) -> object:
        """Somebody waits for a decision already."""
        return multiple(*[self.deliver() for _ in range(count)])

    @rule(target=events)
    def deliver(self) -> Sent:
        sent = Sent(f"promise-{next(self.numbers)}")
        self.sent.append(sent)
        self.post(sent)
        return sent

    @rule(sent=events, text=st.sampled_from([ASKED, "Something else altogether?"]))
    def deliver_again(self, sent: Sent, text: str) -> None:
        """Also with another body under the same id: the first that was kept stands."""
        self.post(sent, text)

    @rule(target=events)
    def deliver_out_of_order(self) -> object:
        """The queue gives out the second message first, and once more when its turn comes."""
        self.desk.stack.poller.set_enabled("start_case", False)
        first, second = self.deliver(), self.deliver()
        case_id = second.case_id
        if case_id:
            sqs, url = self.desk.stack.client("sqs"), self.desk.stack.resource("IntakeQueue")
            taken = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
            for message in taken.get("Messages", []):
                if case_id in message["Body"]:
                    self.crew.invoke("start_case", {"Records": [record_of(message)]})
        self.desk.stack.poller.set_enabled("start_case", True)
        self.rest()
        return multiple(first, second)

    # People.

    @rule(sent=events, verdict=st.sampled_from(sorted(VERDICTS)))
    def decide(self, sent: Sent, verdict: str) -> None:
        if sent.case_id is None or (verdict == "respond" and len(sent.decided) >= ROUNDS):
            return
        if card := self.crew.open_card(sent.case_id):
            self.click(sent, card, verdict)
            self.rest()

    def click(self, sent: Sent, card: Json, verdict: str) -> None:
        """One click on a card, whatever has become of the card."""
        words = {"verdict": verdict, "shown_sha256": card["shown_sha256"], **VERDICTS[verdict]}
        answer = self.crew.click(card["approval_id"], words)
        self.figures["decisions"] += 1
        if answer.status == 200:
            sent.decided[card["approval_id"]] += 1
            sent.verdicts[card["approval_id"]] = verdict
        else:
            assert answer.status in {409, 410} or answer.status >= 500, answer.body

    # What befalls the stack.

    @rule(kind=st.sampled_from(Kind), after=st.integers(1, 60))
    def crash(self, kind: Kind, after: int) -> None:
        """One of the next calls fails, whosever it is."""
        self.sabotage.begin([Fault(kind, after=after)])
        self.figures["faults"] += 1

    @rule()
    def redeploy(self) -> None:
        self.desk.stack.redeploy_functions()

    @rule()
    def rotate_the_secret(self) -> None:
        self.secrets.insert(0, secrets.token_hex(16))
        value = {"current": self.secrets[0], "previous": self.secrets[1]}
        name = f"{STACK_NAME}/sources/webhook"
        store = self.desk.stack.client("secretsmanager")
        store.put_secret_value(SecretId=name, SecretString=json.dumps(value))

    @rule(receiver=st.sampled_from(sorted(RECEIVERS)))
    def turn_the_receiver(self, receiver: str) -> None:
        self.listener.answers[:] = RECEIVERS[receiver]

    @rule(seconds=st.sampled_from([10, KEPT_S + 1, 3_700, DAY_S]))
    def let_time_pass(self, seconds: int) -> None:
        self.crew.pass_time(seconds)

    @rule()
    def let_approvals_expire(self) -> None:
        self.crew.pass_time(4 * DAY_S)

    @rule()
    def sweep(self) -> None:
        self.crew.sweep()

    # The end.

    def teardown(self) -> None:
        try:
            self.drain()
            with self.sabotage.paused():
                faults = list(self.audit())
        except BaseException:
            self.clean()
            raise
        self.clean()
        self.figures["histories"] += 1
        assert not faults, "\n".join(faults)

    def clean(self) -> None:
        self.open.close()
        self.listener.answers.clear()
        self.apps.clean()
        self.listener.received.clear()

    def drain(self) -> None:
        """Everything is up again, and everybody goes on until nothing is left to do."""
        self.listener.answers.clear()
        self.crew.turn_destinations_on()
        for sent in self.sent:
            for _ in range(8):
                if sent.case_id is not None:
                    break
                self.post(sent)
                if sent.case_id is None:
                    self.crew.pass_time(KEPT_S + 1)
        for sent in self.sent:
            if sent.case_id is not None:
                try:
                    self.crew.bring_to_an_end(sent.case_id)
                except Stuck:
                    continue  # the audit says so

    def audit(self) -> Iterator[str]:
        mine = {sent.case_id for sent in self.sent}
        cases = []
        for sent in self.sent:
            if sent.case_id is None:
                self.figures["lost"] += 1
                yield f"{sent.name} was never acknowledged"
                continue
            case = self.desk.case(sent.case_id)
            cases.append(case)
            received = received_at(self.desk, f"/replies/{sent.name}")
            taken = [each for each in received if each.headers["webhook-id"]]
            effects = {each.headers["webhook-id"] for each in taken}
            self.figures["events"] += 1
            self.figures["effects"] += len(effects)
            self.figures["lost"] += case["status"] not in GOOD_ENDS
            self.figures["duplicated"] += len(effects) > 1
            for fault in self.audit_case(sent, case, len(effects)):
                yield f"{sent.name}, {sent.case_id}, {[line['event'] for line in case['timeline']]}: {fault}"
            for fault in audit_effects(self.desk, sent.case_id, received, self.secrets):
                yield f"{sent.name}: {fault}"
        known = {case["case_id"] for case in self.desk.get("/cases?limit=100")["cases"]}
        strangers = {case_id for case_id in known - mine if case_id not in self.before}
        if strangers:
            self.figures["unexpected"] += len(strangers)
            yield f"nobody sent {strangers}"
        self.figures["lost"] += len(self.crew.lost)
        yield from (f"was lost until it was reconciled: {lost}" for lost in self.crew.lost)
        yield from audit_queues(self.desk)
        yield from audit_claims(self.desk)
        yield from audit_money(self.desk, cases, self.used_before)

    def audit_case(self, sent: Sent, case: Json, effects: int) -> Iterator[str]:
        """What its decisions allow its end to be, and nothing else."""
        status, case_id = case["status"], str(sent.case_id)
        if status not in GOOD_ENDS:
            yield f"ended as {status}"
            return
        yield from audit_ending(self.desk, case_id, ended=status)
        decisions = {
            line["detail"]["approval_id"]: line["event"].removeprefix("decision.")
            for line in case["timeline"]
            if line["event"].startswith("decision.")
        }
        last = list(decisions.values())[-1] if decisions else None
        allowed = {"delivered": {"approve", "edit"}, "rejected": {"reject"}, "expired": {None, "respond"}}
        if status in allowed and last not in allowed[status]:
            yield f"is {status} although the last decision is {last}"
        if effects != (status == "delivered"):
            yield f"is {status} and had {effects} effects"
        for approval_id, times in sent.decided.items():
            if times > 1:
                yield f"told {times} people that they had decided {approval_id}"
            if decisions.get(approval_id) != sent.verdicts[approval_id]:
                yield f"told somebody that {approval_id} is {sent.verdicts[approval_id]}, and it is not"

    def rest(self) -> None:
        """Lets finish what takes no time, so that a history does not depend on how fast threads are."""
        self.desk.stack.settle(lambda: True)


def test_histories(
    apps: Apps,
    listener: Listener,
    record_property: Callable[[str, object], None],
    pytestconfig: pytest.Config,
) -> None:
    asked_for = pytestconfig.getoption("--promises-examples")
    figures: Counter[str] = Counter(dict.fromkeys(("histories", "events", "posts", "decisions"), 0))
    figures.update(dict.fromkeys(("faults", "effects", "lost", "unexpected", "duplicated"), 0))
    ours = {"apps": apps, "listener": listener, "figures": figures, "numbers": iter(range(1_000_000))}
    machine = type("Promises", (Promises,), ours)
    how = settings(
        max_examples=asked_for or EXAMPLES,
        stateful_step_count=STEPS,
        derandomize=not asked_for,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(machine, settings=how)
    finally:
        record_property(PROOF, ("stateful", dict(figures)))

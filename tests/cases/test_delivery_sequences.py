"""`delivery_sequences.jsonl`: what senders, crashes, people and the clock do, and what must hold then.

A line's `steps` are played on the offline stack on time that the test moves. Then what is under way goes on:
messages come again, the sweep runs, and where a reply is expected that nobody has decided on, somebody does.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.endpoint import Endpoint
from botocore.exceptions import ReadTimeoutError

from countersign.models import sha256_hex
from countersign.secrets import KEPT_S
from countersign.signatures import sign_standard_webhook
from local.bedrock.script import BreakStream, Fail, Refuse, Say, Throttle
from local.cli.signing import read_event, sign
from local.clock import Unsettled
from local.environment import current_invocation
from local.faults import Crash
from local.functions import FunctionFailed
from local.gateway import Response
from local.replacement import replaced
from local.template import STACK_NAME
from tests.unit.senders import SAMPLES
from tests.workflow.audit import DEAD_LETTERS, executions, received_at, waiting
from tests.workflow.conftest import Apps, Desk, Json, Listener, Received
from tests.workflow.recovery import Crew, record_of
from tests.workflow.sabotage import Sabotage

ASKED = "How often is delivery of a signed reply tried, and within how many hours?"
SERVICES = {"states": "stepfunctions"}
PAST_S = 1_000
"""Longer than five periods of the sweep, and than a message is hidden."""
DEATHS = frozenset({"crash"})
RECEIVES = 6
# Any text as white space, so that a body is another one and the same JSON.
SPACES = bytes(b"\t\n\r "[byte % 4] for byte in range(256))
HIDDEN_S = 400


class Player:
    """Plays one line on a stack of its own data."""

    def __init__(self, desk: Desk, name: str, open_: ExitStack) -> None:
        self.desk, self.stack, self.name, self.open = desk, desk.stack, name, open_
        self.crew = Crew(desk, Sabotage(desk.stack))
        self.http: list[int] = []
        self.clicks: list[Response] = []
        self.answers: list[Response] = []
        self.case_ids: dict[str, str] = {}
        self.messages: list[Json] = []
        self.batches: list[Any] = []
        self.keys = {"old": desk.app.secret("webhook"), "new": "5e" * 16}
        self.bodies: dict[str, bytes] = {}
        self.by_seq: dict[int, str] = {}
        self.faulty = ""
        self.skew = 0
        self.dead_before = sum(waiting(desk, queue) for queue in DEAD_LETTERS)
        self.broken: list[str] = []
        # What start_case was given: the same messages may come again.
        self.unwatch = desk.stack.faults.add(self.see)

    def see(
        self, moment: str, function: str, service: str, operation: str, params: Mapping[str, Any]
    ) -> None:
        if moment == "after" and (function, operation) == ("receive_webhook", "SendMessage"):
            self.messages.append({"MessageBody": params["MessageBody"]})

    def play(self, steps: list[Json]) -> None:
        for step in steps:
            known = getattr(self, f"do_{step['op']}", None)
            if known is None:
                pytest.fail(f"this runner knows no op {step['op']!r}")
            known(**{name: value for name, value in step.items() if name != "op"})

    # Senders.

    def do_deliver(
        self,
        id: str,
        body: Any = "x",
        key: str | None = None,
        type: str | None = None,
        seq: int | None = None,
        source: str = "webhook",
        **_: Any,
    ) -> None:
        """One post. `type` and `seq` are the sender's own, of the same subject."""
        answer, raw = self._post(id, body, key, seq, source)
        self._note(id, answer, raw, seq)
        if answer.status >= 500:
            # As senders do: some time later.
            self.crew.pass_time(30)
        self.rest()

    def do_parallel(self, steps: list[Json], **_: Any) -> None:
        """Posts at once. A sender who is told to come again does so, or its event would be lost."""
        posts = [{name: value for name, value in step.items() if name != "op"} for step in steps]
        with ThreadPoolExecutor(len(posts)) as threads:
            answers = list(threads.map(lambda post: self._post(**post), posts))
        for post, (answer, raw) in zip(posts, answers, strict=True):
            self._note(post["id"], answer, raw, None)
        self.rest()

    def _post(
        self,
        id: str,
        body: Any = "x",
        key: str | None = None,
        seq: int | None = None,
        source: str = "webhook",
    ) -> tuple[Response, bytes]:
        now = self.stack.clock.now() + self.skew
        if source == "github":
            return self._post_to_github(id, body, now)
        data = {
            "id": f"{self.name}-{id if seq is None else 'subject'}",
            "subject": "A question",
            "text": f"{ASKED} {body}",
            "author": "reader@example.com",
            "callback_url": f"{self.desk.listener.url}/{self.name}",
        }
        event = {"type": "case.opened", "timestamp": "2026-03-02T09:00:00Z", "data": data}
        raw = json.dumps(event).encode()
        secret = self.keys[key] if key else self.desk.app.secret("webhook")
        headers = sign_standard_webhook(secret, f"msg_{self.name}_{id}", int(now), raw)
        answer = self.stack.request(
            "POST", "/webhooks/webhook", headers={"content-type": "application/json", **headers}, body=raw
        )
        return answer, raw

    def _post_to_github(self, id: str, body: Any, now: float) -> tuple[Response, bytes]:
        """An issue, its text the step's, under the step's id: which GitHub does not sign."""
        sample = read_event((SAMPLES / "github_issue_opened.json").read_bytes())
        raw = sample.body + f" {self.name}-{body}".encode().translate(SPACES)
        headers = sign(
            "github",
            self.desk.app.secret("github"),
            replace(sample, body=raw),
            now,
            event_id=f"{self.name}-{id}",
            kind=sample.kind,
        )
        return self.stack.request("POST", "/webhooks/github", headers=headers, body=raw), raw

    def _note(self, id: str, answer: Response, raw: bytes, seq: int | None) -> None:
        self.http.append(answer.status)
        self.answers.append(answer)
        if answer.status < 300:
            self.case_ids[id] = case_id = answer.json()["case_id"]
            self.bodies.setdefault(case_id, raw)
            self.by_seq |= {} if seq is None else {seq: id}

    def do_redeliver(self, reserialise: bool = False, **_: Any) -> None:
        """SQS gives every message of the intake queue out once more."""
        for message in list(self.messages):
            body = message["MessageBody"]
            if reserialise:
                body = json.dumps(json.loads(body), indent=2, sort_keys=True)
            self.stack.client("sqs").send_message(
                QueueUrl=self.stack.resource("IntakeQueue"), MessageBody=body
            )
        self.crew.pass_time(HIDDEN_S)

    def do_batch(self, good: int, bad: int, **_: Any) -> None:
        """The function is given good and bad messages at once; then SQS tries until it gives up."""
        url = self.stack.resource("IntakeQueue")
        self.stack.poller.set_enabled("start_case", False)
        for number in range(good):
            self.do_deliver(f"good{number}")
        sqs = self.stack.client("sqs")
        for number in range(bad):
            sqs.send_message(QueueUrl=url, MessageBody=f"no JSON {number}")
        taken = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)["Messages"]
        records = [record_of(message) for message in taken]
        self.do_batch_raw(records)
        self.stack.poller.set_enabled("start_case", True)
        for _ in range(RECEIVES):
            self.crew.pass_time(HIDDEN_S)

    def do_batch_raw(self, records: list[Json], **_: Any) -> None:
        try:
            self.batches.append(self.stack.invoke("start_case", {"Records": records}))
        except FunctionFailed as failure:
            self.broken.append(str(failure))

    # Faults, of calls and of the model.

    def do_fault(self, at: str, error: str, times: int = 1, **_: Any) -> None:
        """`at` is a call, with "after" in front where it takes effect first; `error` a code, or a death."""
        moment = "after" if at.startswith("after ") or error == "read_timeout_but_executed" else "before"
        service, _, operation = at.removeprefix("after ").partition(".")
        service = SERVICES.get(service, service)
        if service.startswith("bedrock"):
            self.faulty = operation
            self.desk.app.bedrock.script(_model_fault(error), operation=operation, times=times)
            return
        if error in DEATHS or "timeout" in error.lower():
            self._strike(moment, service, operation, error, times)
        else:
            self._answer(service, operation, error, times)

    def _strike(self, moment: str, service: str, operation: str, error: str, times: int) -> None:
        """The function dies, or learns after all of the SDK's own retries that no answer came."""
        left = [times]

        def strike(when: str, function: str, called: str, name: str, params: object) -> BaseException | None:
            if (when, called, name) != (moment, service, operation) or left[0] == 0:
                return None
            left[0] -= 1
            return Crash() if error in DEATHS else ReadTimeoutError(endpoint_url="https://aws.test")

        self.stack.faults.add(strike)

    def _answer(self, service: str, operation: str, code: str, times: int) -> None:
        """AWS answers an error, which the SDK may take as a reason to ask again."""
        left, original = [times], Endpoint._do_get_response

        def answer(endpoint: Any, request: Any, model: Any, context: Any) -> Any:
            asked = (model.service_model.service_name, model.name) == (service, operation)
            if not asked or left[0] == 0 or current_invocation.get() is None:
                return original(endpoint, request, model, context)
            left[0] -= 1
            error = {"Code": code, "Message": "injected"}
            parsed = {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 400, "HTTPHeaders": {}}}
            response = AWSResponse("https://aws.test", 400, {}, None)
            response._content = b""
            return (response, parsed), None

        self.open.enter_context(replaced(Endpoint, "_do_get_response", answer))

    def do_model(self, stopReason: str | None = None, text: str | None = None, **_: Any) -> None:  # noqa: N803
        """What the model says instead of an answer, to every question."""
        for operation in ("Converse", "ConverseStream"):
            answer = Say(text or "") if stopReason is None else _stopped(stopReason)
            self.desk.app.bedrock.script(answer, operation=operation, times=None)

    # People.

    def do_approve(self, **_: Any) -> None:
        self._decide({"verdict": "approve"})

    def do_edit(self, text: str = "Ten times [1].", **_: Any) -> None:
        self._decide({"verdict": "edit", "text": text})

    def do_reject(self, **_: Any) -> None:
        self._decide({"verdict": "reject", "reason": "No."})

    def do_respond(self, feedback: str = "Shorter, please.", **_: Any) -> None:
        self._decide({"verdict": "respond", "reason": feedback})

    def do_parallel_mixed(self, steps: list[Json], **_: Any) -> None:
        """The same card, answered by several people at once."""
        card = self._card()
        words = {"approve": {}, "reject": {"reason": "No."}, "edit": {"text": "Ten times [1]."}}
        bodies = [{"verdict": step["op"], **words[step["op"]]} for step in steps]
        with ThreadPoolExecutor(len(bodies)) as threads:
            self.clicks += threads.map(lambda body: self._click(card, body), bodies)
        self.rest()

    def _decide(self, body: Json) -> None:
        answer = self._click(self._card(), body)
        self.clicks.append(answer)
        self.http.append(answer.status)
        self.rest()

    def _click(self, card: Json, body: Json) -> Response:
        return self.crew.click(card["approval_id"], {"shown_sha256": card["shown_sha256"], **body})

    def _card(self) -> Json:
        """The latest card of the line's first case; a person may have had it open for long."""
        case_id = next(iter(self.case_ids.values()))
        with suppress(Unsettled):
            self.stack.settle(lambda: self.desk.case(case_id)["approval_id"] is not None, 3_600)
        return self.desk.card(case_id)

    # Time, secrets and deployments.

    def do_redeploy(self, **_: Any) -> None:
        """No function remembers anything."""
        self.stack.redeploy_functions()

    def do_advance(self, s: float, **_: Any) -> None:
        self.crew.pass_time(s)

    def do_advance_task_timeout(self, **_: Any) -> None:
        """Until nobody is asked any more."""
        self._card()
        self.crew.pass_time(4 * 86_400)

    def do_clock(self, skew: int, **_: Any) -> None:
        """The sender's clock, against ours."""
        self.skew = skew

    def do_run_to_end(self, **_: Any) -> None:
        for case_id in self.case_ids.values():
            self.crew.bring_to_an_end(case_id)

    def do_rotate(self, keep_old: bool = True, **_: Any) -> None:
        self._put({"current": self.keys["new"], **({"previous": self.keys["old"]} if keep_old else {})})

    def do_drop_old(self, **_: Any) -> None:
        """And so long that no function has the old one cached."""
        self._put({"current": self.keys["new"]})
        self.crew.pass_time(KEPT_S + 1)

    def _put(self, value: Json) -> None:
        self.stack.client("secretsmanager").put_secret_value(
            SecretId=f"{STACK_NAME}/sources/webhook", SecretString=json.dumps(value)
        )

    # The end.

    def rest(self) -> None:
        self.stack.settle(lambda: True)

    def finish(self, *, answer: bool) -> None:
        """What is under way comes as far as it can, and what a crash left is swept up.

        `answer`: a reply is expected, so where nobody has decided somebody does.
        """
        for _ in range(PAST_S // 300):
            self.crew.sweep()
        if answer and not self.clicks:
            self.do_run_to_end()

    def received(self) -> list[Received]:
        return received_at(self.desk, f"/replies/{self.name}")

    def dead_letters(self) -> int:
        return sum(waiting(self.desk, queue) for queue in DEAD_LETTERS) - self.dead_before

    def other_requests(self) -> int:
        """Requests that Bedrock got for something else than the call that a fault was for."""
        return sum(request.operation != self.faulty for request in self.desk.app.bedrock.requests)

    def restore(self) -> None:
        self.unwatch()
        self._put({"current": self.keys["old"]})
        self.crew.pass_time(KEPT_S + 1)


def _model_fault(name: str) -> Throttle | Fail | BreakStream:
    if "mid-stream" in name:
        return BreakStream(after_events=6, code="ModelStreamErrorException")
    return Throttle() if name == "ThrottlingException" else Fail(name)


def _stopped(reason: str) -> Refuse:
    return Refuse(reason, "A signed reply is tried")  # type: ignore[arg-type]  # any stop reason is


class Verdict:
    """What a line expects, judged key by key; each returns whether it holds."""

    def __init__(self, player: Player, expect: Json) -> None:
        self.player, self.expect = player, expect
        self.desk, self.case_ids = player.desk, list(dict.fromkeys(player.case_ids.values()))

    def failures(self) -> Iterator[str]:
        for name, wanted in self.expect.items():
            known = getattr(self, f"is_{name}", None)
            if known is None:
                pytest.fail(f"this runner knows no expectation {name!r}")
            if not known(wanted):
                yield f"expected {name} {wanted}, saw {self.seen()}"

    def seen(self) -> str:
        statuses = [self.desk.status(case_id) for case_id in self.case_ids]
        clicks = [answer.status for answer in self.player.clicks]
        return f"posts {self.player.http}, clicks {clicks}, cases {statuses}, broken {self.player.broken}"

    # What was answered.

    def is_http(self, wanted: list[Any]) -> bool:
        """A list for each answer, or what the last may be."""
        if all(isinstance(each, int) for each in wanted):
            return self.player.http[-1] in wanted
        return len(self.player.http) == len(wanted) and all(
            status in allowed for status, allowed in zip(self.player.http, wanted, strict=True)
        )

    def is_http_first(self, wanted: str) -> bool:
        return str(self.player.http[0])[0] == wanted[0]

    def is_second_http(self, wanted: list[int]) -> bool:
        return self.player.clicks[1].status in wanted

    def is_user_message(self, wanted: str) -> bool:
        return wanted.lower() in self.player.clicks[-1].body.decode().lower()

    def is_flagged(self, wanted: bool) -> bool:
        return bool(self.player.answers[-1].json().get("other_body")) == wanted

    def is_no_crash(self, wanted: bool) -> bool:
        died = [status for status in self.player.http if status >= 500]
        return not (died or self.player.broken or "failed" in map(self.desk.status, self.case_ids))

    # What came of it.

    def is_runs(self, wanted: int) -> bool:
        return sum(len(executions(self.desk, case_id)) for case_id in self.case_ids) == wanted

    def is_replies(self, wanted: int) -> bool:
        return len({each.headers["webhook-id"] for each in self.player.received()}) == wanted

    def is_decisions(self, wanted: int) -> bool:
        events = [event for case_id in self.case_ids for event in self.desk.events(case_id)]
        return sum(event.startswith("decision.") for event in events) == wanted

    def is_dlq(self, wanted: int) -> bool:
        return self.player.dead_letters() == wanted

    def is_dlq_after_maxReceive(self, wanted: int) -> bool:  # noqa: N802
        return self.is_dlq(wanted)

    def is_batchItemFailures(self, wanted: int) -> bool:  # noqa: N802
        return len(self.player.batches[0]["batchItemFailures"]) == wanted

    def is_final_state_seq(self, wanted: int) -> bool:
        """Each event is a case of its own, so the later one stands whatever came after it."""
        case_id = self.player.case_ids[self.player.by_seq[wanted]]
        opened = self.desk.case(case_id)["timeline"][0]
        return bool(opened["detail"]["body_sha256"] == sha256_hex(self.player.bodies[case_id]))

    def is_final(self, wanted: str) -> bool:
        return wanted == "ok" and all(self._has_whole_draft(case_id) for case_id in self.case_ids)

    def is_state(self, wanted: str) -> bool:
        """`needs_human`: somebody is asked, and is told why there is no draft."""
        cards = [self.desk.card(case_id) for case_id in self.case_ids if self._waits(case_id)]
        if "retry" in wanted:
            return len(cards) == len(self.case_ids)
        return len(cards) == len(self.case_ids) and all(card["reason"] for card in cards)

    def is_retries(self, wanted: int) -> bool:
        return len(self.desk.app.bedrock.requests) - self.player.other_requests() - 1 == wanted

    def is_partial_draft_sent(self, wanted: bool) -> bool:
        whole = all(self._has_whole_draft(case_id) for case_id in self.case_ids)
        return (not whole or bool(self.player.received())) == wanted

    def _waits(self, case_id: str) -> bool:
        return self.desk.status(case_id) == "awaiting_approval"

    def _has_whole_draft(self, case_id: str) -> bool:
        """A draft to its last full stop, or none at all and the reason."""
        card = self.desk.card(case_id)
        text: str = card["draft"]["text"]
        return not text if card["reason"] else text.rstrip().endswith((".", "]"))


@pytest.fixture(scope="module")
def apps() -> Iterator[Apps]:
    apps = Apps()
    yield apps
    apps.stop()


@pytest.mark.cases("delivery_sequences")
def test_the_sequence_ends_as_the_case_says(
    case: dict[str, Any], judge: Callable[[bool, str], None], apps: Apps
) -> None:
    expect = case["expect"]
    with Listener() as listener, ExitStack() as open_:
        desk = Desk(apps.get({}), listener)
        player = Player(desk, f"{case['id']}", open_)
        try:
            player.play(case["steps"])
            player.finish(answer=bool(expect.get("replies")))
            for failure in Verdict(player, expect).failures():
                judge(False, failure)
        finally:
            player.restore()
            apps.clean()

"""Faults, and what dead sandboxes may do."""

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from local.calls import watched_calls
from local.environment import Invocation, SandboxKilled, current_caller, current_invocation
from local.faults import Crash, Faults, client_error
from local.meter import Meter


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
def invocation():
    invocation = Invocation("open_case", "id", {})
    token = current_invocation.set(invocation)
    yield invocation
    current_invocation.reset(token)


def _call(times: int = 1):
    client = boto3.client("sqs")
    with Stubber(client) as stubber:
        for _ in range(times):
            stubber.add_response("list_queues", {"QueueUrls": []})
        return client.list_queues()


def test_a_fault_sees_a_call_before_and_after(meter: Meter, invocation: Invocation) -> None:
    faults, seen = Faults(), []
    remove = faults.add(lambda *call: seen.append(call))
    with watched_calls(meter, faults):
        _call()
        remove()
        _call()
    assert seen == [
        ("before", "open_case", "sqs", "ListQueues", {}),
        ("after", "open_case", "sqs", "ListQueues", {}),
    ]
    assert meter.snapshot().calls == {("sqs", "ListQueues", "open_case"): 2}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("error", "kind"), [(client_error("ListQueues", "ThrottlingException"), ClientError), (Crash(), Crash)]
)
def test_what_a_fault_returns_is_raised(meter, invocation, moment, error, kind) -> None:
    faults = Faults()
    faults.add(lambda at, *call: error if at == moment else None)
    with watched_calls(meter, faults), pytest.raises(kind):
        _call()


def test_a_dead_sandbox_calls_nothing(meter: Meter, invocation: Invocation) -> None:
    invocation.killed.set()
    with watched_calls(meter, Faults()), pytest.raises(SandboxKilled):
        _call()
    assert not meter.snapshot().calls


def test_faults_are_for_functions_and_callers_are_told_apart(meter: Meter) -> None:
    faults = Faults()
    faults.add(lambda *call: Crash())
    token = current_caller.set("engine")
    with watched_calls(meter, faults):
        _call()
    current_caller.reset(token)
    assert meter.snapshot().calls == {("sqs", "ListQueues", "engine"): 1}
    assert meter.snapshot().function_calls() == 0

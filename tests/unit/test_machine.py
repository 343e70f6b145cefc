"""Rules for every state machine that no linter checks: targets, words, timeouts, errors, names, data."""

import ast
import inspect
import json
import re
from itertools import chain
from pathlib import Path
from typing import Any

import jsonata
import pytest

from countersign import errors
from local import asl
from local.template import load

ROOT = Path(__file__).parents[2]
MACHINES = [asl.read(path) for path in sorted(ROOT.glob("statemachines/*.asl.json"))]
TEMPLATE = load(ROOT / "template.yaml")

TASK = re.compile(r"[A-Z][a-z]+( [A-Z][a-z]+)*")
QUESTION = re.compile(r"[A-Z][a-z]+( [A-Z][a-z]+)*\?")

# What AWS's side of a call may do to us, and what it should be tried again for.
# https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception
PLATFORM = {
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.TooManyRequestsException",
    # The sandbox died or ran out of time: what it had done is stored under its step.
    "Runtime.ExitError",
    "Sandbox.Timedout",
    "SQS.SdkClientException",
    "Sqs.SdkClientException",
}
TRANSIENT = {
    "ModelThrottled",
    "ModelUnavailable",
    "KnowledgeUnavailable",
    "StoreConflict",
    "StoreUnavailable",
}
# Our own faults: nobody but Fail Case can do anything about them.
FATAL = {"CaseFileMissing", "ApprovalMissing", "SignedBytesChanged"}


def each_state() -> list[Any]:
    return [
        pytest.param(machine, state, id=f"{machine.name}-{state.name}")
        for machine in MACHINES
        for state in machine.states.values()
    ]


def tasks() -> list[Any]:
    return [case for case in each_state() if case.values[1].type == "Task"]


def subclasses(root: type) -> set[str]:
    """Names of the errors that have `root` above them."""
    return {
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, root) and kind is not root
    }


def made_somewhere() -> set[str]:
    """Every name that code of functions and layers calls or raises."""
    names = set()
    for path in chain(ROOT.glob("functions/**/*.py"), ROOT.glob("layers/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            made = (
                node.exc if isinstance(node, ast.Raise) else node.func if isinstance(node, ast.Call) else None
            )
            if isinstance(made, ast.Name):
                names.add(made.id)
            elif isinstance(made, ast.Attribute):
                names.add(made.attr)
    return names


def own_errors(machine: asl.Machine) -> set[str]:
    """The error names of our own (those without a dot) that a machine retries or catches."""
    definitions = [state.definition for state in machine.states.values()]
    handled = [rule for each in definitions for rule in each.get("Retry", []) + each.get("Catch", [])]
    return {name for rule in handled for name in rule["ErrorEquals"] if "." not in name}


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_state_has_an_end_and_a_way_to_it(machine: asl.Machine) -> None:
    targets = {step.target for state in machine.states.values() for step in state.steps if step.target}
    assert targets <= machine.states.keys()
    assert machine.reachable() == machine.states.keys()
    for state in machine.states.values():
        ends = state.definition.get("End") is True or state.type in ("Succeed", "Fail")
        leads = [step for step in state.steps if step.kind in ("next", "default")]
        assert all((step.target is None) == ends for step in leads), f"{state.name} has no next state"


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_a_machine_says_what_it_is_and_ends_some_day(machine: asl.Machine) -> None:
    assert machine.definition["QueryLanguage"] == "JSONata"
    assert len(machine.definition["Comment"]) > 20
    assert 0 < machine.definition["TimeoutSeconds"] <= 90 * 24 * 3600, "a name is free again after 90 days"


@pytest.mark.parametrize(("machine", "state"), each_state())
def test_names_and_comments(machine: asl.Machine, state: asl.State) -> None:
    wanted = QUESTION if state.type == "Choice" else TASK
    assert wanted.fullmatch(state.name), "verbs in Title Case for tasks, questions for choices"
    assert len(state.name) <= 80
    assert len(state.definition.get("Comment", "")) > 20, "a Comment says why the state is there"


@pytest.mark.parametrize(("machine", "state"), tasks())
def test_every_task_ends_in_time(machine: asl.Machine, state: asl.State) -> None:
    timeout = state.definition["TimeoutSeconds"]
    assert dict(asl.expressions(timeout)) if isinstance(timeout, str) else timeout > 0


@pytest.mark.parametrize(("machine", "state"), tasks())
def test_a_token_is_handed_out_and_its_silence_is_decided(machine: asl.Machine, state: asl.State) -> None:
    text = json.dumps(state.definition.get("Arguments", {}))
    assert ("$states.context.Task.Token" in text) == state.waits_for_token
    if state.waits_for_token:
        decided = {name for step in state.steps for name in step.errors}
        assert decided & {"States.Timeout", "States.ALL"}, (
            "who waits for somebody decides what no answer means"
        )


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_a_substitution_is_defined_used_and_inside_quotes(machine: asl.Machine) -> None:
    # That the file is JSON before anything is substituted is what keeps `${Name}` inside quotes.
    used = set(re.findall(r"\$\{(\w+)\}", machine.path.read_text()))
    resource = next(
        resource["Properties"]
        for resource in TEMPLATE["Resources"].values()
        if resource.get("Properties", {}).get("DefinitionUri") == str(machine.path.relative_to(ROOT))
    )
    assert used == resource["DefinitionSubstitutions"].keys()


@pytest.mark.parametrize(("machine", "state"), each_state())
def test_only_service_integrations_are_named_by_arn(machine: asl.Machine, state: asl.State) -> None:
    own = {k: v for k, v in state.definition.items() if k not in ("ItemProcessor", "Branches", "Resource")}
    assert "arn:" not in json.dumps(own)
    if state.type == "Task":
        assert re.fullmatch(r"arn:aws:states:::[\w:-]+(\.\w+)?", state.definition["Resource"])


@pytest.mark.parametrize(("machine", "state"), tasks())
def test_only_named_transient_errors_are_retried(machine: asl.Machine, state: asl.State) -> None:
    for rule in state.definition.get("Retry", []):
        assert set(rule["ErrorEquals"]) <= PLATFORM | TRANSIENT
        assert rule["JitterStrategy"] == "FULL"
        assert rule["BackoffRate"] > 1
        assert 1 <= rule["MaxAttempts"] <= 10
        assert rule["IntervalSeconds"] < rule["MaxDelaySeconds"] <= 60


def test_there_is_one_retry_policy() -> None:
    policies: dict[frozenset[str], dict[str, Any]] = {}
    for machine in MACHINES:
        for state in machine.states.values():
            for rule in state.definition.get("Retry", []):
                policy = {key: value for key, value in rule.items() if key != "ErrorEquals"}
                named = frozenset(rule["ErrorEquals"])
                assert policies.setdefault(named, policy) == policy, f"{state.name} retries in its own way"
    names = [name for named in policies for name in named if name in PLATFORM]
    assert len(names) == len(set(names)), "the same fault of the platform stands in two policies"


@pytest.mark.parametrize(("machine", "state"), tasks())
def test_what_a_function_may_meet_is_retried(machine: asl.Machine, state: asl.State) -> None:
    retried = {name for rule in state.definition["Retry"] for name in rule["ErrorEquals"]}
    if state.function is None:
        return
    assert retried >= {"Lambda.ServiceException", "Lambda.TooManyRequestsException"}
    assert retried >= {"StoreConflict", "StoreUnavailable"}
    layers = {layer["Ref"] for layer in TEMPLATE["Resources"][state.function]["Properties"]["Layers"]}
    if "LlmLayer" in layers:
        assert retried >= {"ModelThrottled", "ModelUnavailable"}


@pytest.mark.parametrize(("machine", "state"), each_state())
def test_what_is_not_caught_by_name_fails_the_case(machine: asl.Machine, state: asl.State) -> None:
    if state.inside or state.type not in ("Task", "Map", "Parallel"):
        return
    catches = [step for step in state.steps if step.kind == "catch"]
    if state.name == "Fail Case":
        assert not catches, (
            "a case that can't even be failed fails its execution, which is noticed by its status"
        )
        return
    assert catches[-1].errors == ("States.ALL",)
    assert catches[-1].target == "Fail Case"
    assert all("States.ALL" not in step.errors for step in catches[:-1])
    assert "failure" in catches[-1].assign


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_error_that_a_machine_names_can_happen(machine: asl.Machine) -> None:
    named = own_errors(machine)
    assert named <= subclasses(errors.StepError)
    assert named <= made_somewhere()


def test_every_error_of_a_step_is_decided_about() -> None:
    named = set().union(*(own_errors(machine) for machine in MACHINES))
    assert subclasses(errors.StepError) == named | FATAL
    assert not named & FATAL


@pytest.mark.parametrize(("machine", "state"), each_state())
def test_expressions_parse_and_read_only_what_is_there(machine: asl.Machine, state: asl.State) -> None:
    known = machine.known()[state.name]
    for at, text in state.expressions():
        jsonata.Jsonata(text)
        assert not re.search(r"\$(uuid|hash)\b", text), "ids come from Python"
        read = asl.variables(text)
        assert read - known <= {"states"}, f"{at} reads what is not assigned on every path to {state.name}"
        reserved = set(re.findall(r"\$states\.(\w+)", text))
        allowed = {"input", "context"}
        if at.startswith(("next.Assign", "Output")) and state.type in ("Task", "Map", "Parallel"):
            allowed.add("result")
        if at.startswith("catch."):
            allowed.add("errorOutput")
        assert reserved <= allowed, f"$states has no {reserved - allowed} in {at}"


def test_a_variable_missing_on_one_path_is_found(tmp_path: Path) -> None:
    path = tmp_path / "two_paths.asl.json"
    states = {
        "Ask": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% true %}", "Next": "Use", "Assign": {"both": 1}}],
            "Default": "Set",
            "Assign": {"both": 1},
        },
        "Set": {"Type": "Pass", "Assign": {"one": "{% 'a $fake' & $both %}"}, "Next": "Use"},
        "Use": {"Type": "Pass", "Output": "{% $sum([$one, $both]) %}", "End": True},
        "Lost": {"Type": "Pass", "End": True},
    }
    path.write_text(json.dumps({"StartAt": "Ask", "States": states}))
    machine = asl.read(path)
    assert machine.known() == {"Ask": set(), "Set": {"both"}, "Use": {"both"}}
    assert dict(machine.states["Set"].expressions()) == {"next.Assign.one": "'a $fake' & $both"}
    assert asl.variables("'a $fake' & $both") == {"both"}
    assert asl.variables("$sum([$one, $both.part])") == {"one", "both"}

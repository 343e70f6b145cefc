"""The sample events: what AWS would really hand to each function, as template and state machine say."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from local import asl
from local.template import load

ROOT = Path(__file__).parents[2]
TEMPLATE = load(ROOT / "template.yaml")
EVENTS = sorted(ROOT.glob("events/*/*.json"))
PAYLOADS: dict[str, set[str]] = {
    state.function: set(state.definition["Arguments"]["Payload"])
    for path in sorted(ROOT.glob("statemachines/*.asl.json"))
    for state in asl.read(path).states.values()
    if state.function
}
FROM_QUEUES = {
    resource["Properties"]["FunctionName"]["Ref"].removesuffix(".Alias")
    for resource in TEMPLATE["Resources"].values()
    if resource["Type"] == "AWS::Lambda::EventSourceMapping"
}


def resource_of(path: Path) -> str:
    return "".join(word.capitalize() for word in path.parent.name.split("_")) + "Function"


def given_events(resource: str, kind: str) -> list[dict[str, Any]]:
    """Properties of a function's events of a type."""
    events = TEMPLATE["Resources"][resource]["Properties"].get("Events", {})
    return [event["Properties"] for event in events.values() if event["Type"] == kind]


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_event_is_what_aws_would_hand_over(path: Path) -> None:
    event = json.loads(path.read_text())
    resource = resource_of(path)
    assert re.fullmatch(r"[a-z0-9_]+", path.stem)
    if "Records" in event:
        assert resource in FROM_QUEUES
        for record in event["Records"]:
            check_message(record)
    elif "routeKey" in event:
        check_request(event, resource)
    elif "detail-type" in event:
        check_bus_event(event, resource)
    else:
        assert event.keys() == PAYLOADS[resource], "what the state machine passes"
    accounts = re.findall(r"arn:aws:[\w-]+:[\w-]*:(\d{12}):", path.read_text())
    assert set(accounts) <= {"123456789012"}


def check_message(record: dict[str, Any]) -> None:
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"].startswith("arn:aws:sqs:")
    assert record["messageId"]
    assert record["receiptHandle"]
    assert record["md5OfBody"] == hashlib.md5(record["body"].encode()).hexdigest()
    assert int(record["attributes"]["ApproximateReceiveCount"]) >= 1
    assert {"SentTimestamp", "ApproximateFirstReceiveTimestamp"} <= record["attributes"].keys()
    assert record["body"].isascii()


def check_request(event: dict[str, Any], resource: str) -> None:
    """An HTTP request in API Gateway's payload format 2.0, on a route of the function."""
    routes = {
        f"{route['Method']} {route['Path']}": route.get("Auth", {}).get("Authorizer") != "NONE"
        for route in given_events(resource, "HttpApi")
    }
    assert event["version"] == "2.0"
    needs_token = routes[event["routeKey"]]
    method, _, path = event["routeKey"].partition(" ")
    http = event["requestContext"]["http"]
    assert (http["method"], http["path"]) == (method, event["rawPath"])
    assert event["requestContext"]["routeKey"] == event["routeKey"]
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)
    match = re.fullmatch(pattern, event["rawPath"])
    assert match, "the path is the route's"
    parameters = {name: unquote(value) for name, value in match.groupdict().items()}
    assert event.get("pathParameters", {}) == parameters
    claims = event["requestContext"].get("authorizer", {}).get("jwt", {}).get("claims")
    assert bool(claims) == needs_token
    assert all(name == name.lower() for name in event["headers"])
    if method == "POST":
        assert event["body"]
        if not event["isBase64Encoded"]:
            assert event["headers"].get("content-length") == str(len(event["body"].encode()))
    else:
        assert "body" not in event


def check_bus_event(event: dict[str, Any], resource: str) -> None:
    """An event of EventBridge that one of the function's rules lets through."""
    assert event.keys() >= {"version", "id", "source", "account", "time", "region", "resources", "detail"}
    if event["source"] == "aws.events":
        assert given_events(resource, "Schedule")
        return
    patterns = [rule["Pattern"] for rule in given_events(resource, "EventBridgeRule")]
    assert any(
        event["source"] in pattern["source"] and event["detail-type"] in pattern["detail-type"]
        for pattern in patterns
    )


@pytest.mark.parametrize(
    "resource",
    [name for name, each in TEMPLATE["Resources"].items() if each["Type"] == "AWS::Serverless::Function"],
)
def test_every_way_to_call_a_function_has_an_event(resource: str) -> None:
    folder = TEMPLATE["Resources"][resource]["Properties"]["CodeUri"].removeprefix("functions/")
    events = [json.loads(path.read_text()) for path in (ROOT / "events" / folder).glob("*.json")]
    called = {event.get("routeKey") for event in events}
    for route in given_events(resource, "HttpApi"):
        assert f"{route['Method']} {route['Path']}" in called
    kinds = {event.get("detail-type") for event in events}
    for rule in given_events(resource, "EventBridgeRule"):
        assert kinds & set(rule["Pattern"]["detail-type"])
    if given_events(resource, "Schedule"):
        assert "Scheduled Event" in kinds
    if resource in FROM_QUEUES:
        assert any("Records" in event for event in events)
    if resource in PAYLOADS:
        assert any(event.keys() == PAYLOADS[resource] for event in events)

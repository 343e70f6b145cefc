"""What Powertools knows of concurrent calls: their metrics, events and contexts."""

import contextvars
import json
import threading
from types import SimpleNamespace

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from local.environment import Invocation, current_invocation, function_output
from local.powertools import metrics_per_invocation, requests_per_invocation


def test_concurrent_calls_do_not_mix_their_metrics() -> None:
    lines: dict[str, list[str]] = {}
    context = SimpleNamespace(function_name="f")
    together = threading.Barrier(4)
    with (
        metrics_per_invocation(),
        function_output(lambda i, line: lines.setdefault(i.function, []).append(line)),
    ):
        metrics = Metrics(namespace="Test", service="f")

        @metrics.log_metrics
        def handler(event: str, context: object) -> None:
            metrics.add_metric(name=event, unit=MetricUnit.Count, value=1)
            metrics.add_dimension("which", event)
            together.wait(5)

        def call(name: str) -> None:
            current_invocation.set(Invocation(name, name, {}))
            handler(name, context)

        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(call, f"m{number}"))
            for number in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(lines) == {"m0", "m1", "m2", "m3"}
    for name, (line,) in lines.items():
        content = json.loads(line)
        assert (content[name], content["which"]) == ([1.0], name)
        assert {key for key in content if key.startswith("m")} == {name}


def test_concurrent_requests_are_not_mixed_up() -> None:
    """On a resolver that several calls share, each sees its own event and its own context."""
    api = APIGatewayHttpResolver()
    router = APIGatewayHttpRouter()
    together = threading.Barrier(8)
    answers: dict[str, str] = {}

    @router.get("/who/<name>")
    def who(name: str) -> dict[str, str]:
        together.wait(5)
        return {
            "path": name,
            "event": router.current_event.raw_event["who"],
            "context": router.context["who"],
        }

    api.include_router(router)

    def call(name: str) -> None:
        current_invocation.set(Invocation("f", name, {}))
        api.append_context(who=name)
        event = {
            "version": "2.0",
            "who": name,
            "rawPath": f"/who/{name}",
            "requestContext": {"http": {"method": "GET", "path": f"/who/{name}"}, "stage": "$default"},
        }
        answers[name] = api.resolve(event, SimpleNamespace())["body"]

    with requests_per_invocation():
        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(call, f"n{number}"))
            for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {name: set(json.loads(body).values()) for name, body in answers.items()} == {
        f"n{number}": {f"n{number}"} for number in range(8)
    }

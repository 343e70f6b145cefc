"""JSONata expressions with bound values."""

import threading
from typing import Any

import pytest

from local.jsonata import EvaluationError, evaluate

HOSTILE = "He said \"hi\" \\ 'x' \n \u2028 {% $x %} ${y} 😀 $"


@pytest.mark.parametrize(
    ("expression", "values", "result"),
    [
        ("$x", {"x": HOSTILE}, HOSTILE),
        ("$x & '!'", {"x": HOSTILE}, HOSTILE + "!"),
        ("$states.input.a[1].b", {"states": {"input": {"a": [{}, {"b": HOSTILE}]}}}, HOSTILE),
        ("{'k': $x}", {"x": {"deep": [1, None, {"q": '"'}]}}, {"k": {"deep": [1, None, {"q": '"'}]}}),
        ("$x", {"x": None}, None),
        ("$x.n", {"x": {"n": None}}, None),
        ("$exists($x.n)", {"x": {"n": None}}, True),
        ("$exists($x.missing)", {"x": {"n": None}}, False),
        ("$x = null", {"x": None}, True),
        ("10 / 2", {}, 5),
        ("7 / 2", {}, 3.5),
        ("[1..3]", {}, [1, 2, 3]),
        ("$map($x, function($v) { $v * $y })", {"x": [1, 2], "y": 3}, [3, 6]),
        ("$partition([1, 2, 3], 2)", {}, [[1, 2], [3]]),
        ("$parse('{\"a\": 1}').a", {}, 1),
        ("$rounds < 3 and $verdict = 'revise'", {"rounds": 1, "verdict": "revise"}, True),
        ("$count($x)", {"x": []}, 0),
        ("$x[0]", {"x": [{"a": 1}]}, {"a": 1}),
        ("$string($x)", {"x": {"a": '"'}}, '{"a":"\\""}'),
    ],
)
def test_values_arrive_as_they_are(expression: str, values: dict[str, Any], result: Any) -> None:
    answer = evaluate(expression, values)
    assert answer == result
    assert type(answer) is type(result)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("$x.missing", "undefined"),
        ("$x + 1", "number"),
        ("$f(", "Expected"),
        ("$sum", "unsupported result type"),
        ("1 / 0", "zero"),
        ("$$.a", "can't be used"),
    ],
)
def test_failures_say_why(expression: str, reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason):
        evaluate(expression, {"x": {}})


def test_a_result_shares_nothing_with_its_values() -> None:
    values = {"x": {"list": [1]}}
    evaluate("$x", values)["list"].append(2)
    assert values == {"x": {"list": [1]}}


def test_one_expression_serves_many_threads_at_once() -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        for _ in range(200):
            answer = evaluate(
                "$map($list, function($v) { $v + $number })", {"list": [1, 2], "number": number}
            )
            if answer != [1 + number, 2 + number]:
                wrong.append(answer)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong

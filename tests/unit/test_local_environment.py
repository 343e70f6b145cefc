"""What a function sees as its environment and output."""

import contextvars
import os
import sys

from local.environment import Invocation, current_invocation, function_environments, function_output


def _as_function(environment: dict[str, str], action):
    context = contextvars.copy_context()
    context.run(current_invocation.set, Invocation("f", "id", environment))
    return context.run(action)


def test_each_function_sees_its_own_value_of_a_name() -> None:
    plain = type(os.environ)
    with function_environments({"SHARED": "all"}):
        one = _as_function(
            {"NAME": "1"}, lambda: (os.environ["NAME"], os.getenv("SHARED"), "NAME" in os.environ)
        )
        two = _as_function({"NAME": "2"}, lambda: (os.environ.get("NAME"), dict(os.environ)["NAME"]))
        assert (one, two) == (("1", "all", True), ("2", "2"))
        assert "NAME" not in os.environ
        assert os.environ["SHARED"] == "all"
    assert "SHARED" not in os.environ
    assert type(os.environ) is plain


def test_lines_of_functions_go_to_the_sink_and_others_do_not(capsys) -> None:
    lines = []
    with function_output(lambda invocation, line: lines.append((invocation.function, line))):
        held = sys.stdout  # as a logger keeps it
        _as_function({}, lambda: print("one\ntwo"))
        _as_function({}, lambda: print("part", end=""))
        print("from outside")
    print("after", file=held)
    assert lines == [("f", "one"), ("f", "two")]
    assert capsys.readouterr().out == "from outside\n"

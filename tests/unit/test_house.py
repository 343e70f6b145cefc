"""The rules that hold the code together: one name in five places, who imports whom, what a handler is."""

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from countersign import errors
from countersign.settings import Settings
from local import asl
from local.template import load

ROOT = Path(__file__).parents[2]
TEMPLATE = load(ROOT / "template.yaml")
STATES = [
    state
    for path in sorted(ROOT.glob("statemachines/*.asl.json"))
    for state in asl.read(path).states.values()
    if state.function
]
FUNCTIONS = sorted(
    {path.name for path in ROOT.glob("functions/*") if path.name != "__pycache__"}
    # What is named in only one place fails as well.
    | {
        re.sub(r"(?<!^)(?=[A-Z])", "_", name.removesuffix("Function")).lower()
        for name, resource in TEMPLATE["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
)
CODE = sorted([*ROOT.glob("functions/**/*.py"), *ROOT.glob("layers/**/*.py")])
LOCAL = sorted(ROOT.glob("local/**/*.py"))

MAKES_CLIENTS = {
    # The one place where ports are made.
    "layers/core/countersign/deployment.py",
    # LangChain wants a client of its own, with the timeouts of a model.
    "layers/llm/countersign_llm/model.py",
}
# boto3's translation of DynamoDB's types makes no client.
PURE_BOTO3 = {"boto3.dynamodb.types"}
READS_ENVIRONMENT = {"layers/core/countersign/settings.py"}
MAY_IMPORT = {
    "core": {"countersign"},
    "knowledge": {"countersign", "countersign_knowledge"},
    "llm": {"countersign", "countersign_knowledge", "countersign_llm"},
}
VAGUE = re.compile(r"(^|_)(utils?|helpers?|commons?|managers?|base|misc)(_|$)")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=relative)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module)


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute or a name, "" for anything else."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported: all but the bodies of functions."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield from run_on_import(child)


# One name in five places


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_its_name_in_five_places(function: str) -> None:
    resource = "".join(word.capitalize() for word in function.split("_")) + "Function"
    assert resource in TEMPLATE["Resources"]
    assert TEMPLATE["Resources"][resource]["Properties"]["CodeUri"] == f"functions/{function}/"
    assert (ROOT / f"functions/{function}/app.py").is_file()
    assert (ROOT / f"tests/unit/test_{function}.py").is_file()
    assert list((ROOT / f"events/{function}").glob("*.json"))


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_a_state_invokes_the_function_of_its_name(state: asl.State) -> None:
    # The step inside a Map does what the Map is named for.
    name = state.name.removesuffix(" Step") if state.inside else state.name
    assert state.function == name.replace(" ", "") + "Function"


def test_every_folder_of_events_belongs_to_a_function() -> None:
    assert {path.name for path in ROOT.glob("events/*") if path.is_dir()} <= set(FUNCTIONS)


# Handlers


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_handler_is_short_and_takes_its_ports_last(function: str) -> None:
    path = ROOT / f"functions/{function}/app.py"
    assert len(path.read_text().splitlines()) <= 80
    tree = parsed(path)
    assert ast.get_docstring(tree), "the first line says what it does"
    [handler] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "handler"]
    assert "observed" in {dotted(decorator) for decorator in handler.decorator_list}
    names = [argument.arg for argument in handler.args.args]
    assert names[:2] == ["event", "context"]
    ports = handler.args.args[2:]
    assert ports, "what it talks to is given, so that a test can give something else"
    assert [getattr(default, "value", "") for default in handler.args.defaults] == [None] * len(ports)


# Modules


@each(CODE + LOCAL)
def test_a_module_is_one_thing(path: Path) -> None:
    assert not VAGUE.search(path.stem), "name what is in it"
    assert len(path.read_text().splitlines()) <= 480
    if path.stem != "__init__" or path.read_text().strip():
        assert ast.get_docstring(parsed(path)), "the first line says what it is"


@each(CODE)
def test_nothing_deployed_knows_the_local_stack(path: Path) -> None:
    packages = {name.partition(".")[0] for name in imports(parsed(path))}
    assert not packages & {"local", "moto", "tests", "time_machine", "samtranslator"}
    text = path.read_text()
    assert not re.search(r"\b(if|is|not|in) local\b|is_local|AWS_ENDPOINT_URL|localstack|\bmoto\b", text)


@each([path for path in CODE if path.is_relative_to(ROOT / "layers")])
def test_layers_lean_one_way(path: Path) -> None:
    layer = path.relative_to(ROOT / "layers").parts[0]
    packages = {name.partition(".")[0] for name in imports(parsed(path))}
    own = {name for name in packages if name.startswith("countersign")}
    assert own <= MAY_IMPORT[layer]


@each(CODE)
def test_langchain_lives_in_the_llm_layer(path: Path) -> None:
    if not path.is_relative_to(ROOT / "layers/llm"):
        assert not any(
            name.startswith(("langchain", "langgraph", "langsmith")) for name in imports(parsed(path))
        )


@each(CODE)
def test_clients_are_made_in_two_places_and_not_on_import(path: Path) -> None:
    tree = parsed(path)
    used = {name for name in imports(tree) if name.partition(".")[0] == "boto3"} - PURE_BOTO3
    assert not used or relative(path) in MAKES_CLIENTS, "domain code takes ports"
    for node in run_on_import(tree):
        called = dotted(node.func) if isinstance(node, ast.Call) else ""
        assert not called.startswith(("boto3.", "deployment.")), f"line {node.lineno} runs on import"
        assert called not in ("settings", "client", "make_model"), f"line {node.lineno} runs on import"


@each(CODE)
def test_the_environment_is_read_in_one_place(path: Path) -> None:
    tree = parsed(path)
    reads = {dotted(node) for node in ast.walk(tree)} & {"os.environ", "os.getenv", "environ", "getenv"}
    assert not reads or relative(path) in READS_ENVIRONMENT
    on_import = {dotted(node) for node in run_on_import(tree)}
    assert not on_import & {"os.environ", "os.getenv"}


# Errors and settings


def test_the_tree_of_errors_is_the_classes() -> None:
    """The docstring's tree, read back: name, parent by indentation, and the HTTP status where it has one."""
    drawn: dict[str, str | None] = {}
    statuses: dict[str, int] = {}
    above: list[tuple[int, str]] = []
    for line in str(errors.__doc__).splitlines():
        match = re.match(r"^([│├└─ ]*)([A-Z]\w+)\s*(\d{3})?", line)
        if match is None or not (match[1] or match[2] == "CountersignError"):
            continue
        depth, name = len(match[1]), match[2]
        while above and above[-1][0] >= depth:
            above.pop()
        drawn[name] = above[-1][1] if above else None
        above.append((depth, name))
        if match[3]:
            statuses[name] = int(match[3])
    classes = {
        name: kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.CountersignError)
    }
    assert drawn == {
        name: kind.__base__.__name__ if kind is not errors.CountersignError else None
        for name, kind in classes.items()
    }
    rejected = {name: kind for name, kind in classes.items() if kind.__base__ is errors.RequestRejected}
    assert statuses == {name: kind.status for name, kind in rejected.items()}
    codes = [kind.code for kind in rejected.values()]
    assert len(codes) == len(set(codes)), "each has a word of its own"


def test_every_error_is_raised_somewhere() -> None:
    made = set()
    for path in CODE:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Raise) and node.exc is not None:
                made.add(dotted(node.exc).rpartition(".")[2])
            elif isinstance(node, ast.Call):
                made.add(dotted(node.func).rpartition(".")[2])
    leaves = {
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.CountersignError) and not kind.__subclasses__()
    }
    assert leaves <= made


def test_settings_are_the_environment_of_the_template() -> None:
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    ours = {name.lower() for name in variables if not name.startswith("POWERTOOLS_")}
    assert ours == Settings.model_fields.keys()
    for name, resource in TEMPLATE["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            assert "Environment" not in resource["Properties"], f"{name} has settings of its own"


def test_everything_is_caught_in_three_places_only() -> None:
    places = {
        path.relative_to(ROOT).as_posix()
        for path in CODE
        for node in ast.walk(parsed(path))
        if (isinstance(node, ast.ExceptHandler) and (node.type is None or dotted(node.type) == "Exception"))
        or (isinstance(node, ast.Call) and any(dotted(each) == "Exception" for each in node.args))
    }
    assert places == {
        "layers/core/countersign/batches.py",
        "layers/core/countersign/observability.py",
        "layers/core/countersign/http_api.py",
    }

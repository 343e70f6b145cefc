"""Every function imports with its own layers alone, and fits what Lambda allows."""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from local.packaging import (
    LARGEST_UNPACKED,
    ROOT,
    Imported,
    ImportFailed,
    import_function,
    import_module,
    layers_of,
    unpacked_bytes,
)

# Twenty fresh processes; on a busy machine importing LangChain alone takes many seconds.
pytestmark = pytest.mark.timeout(400)

FUNCTIONS = sorted(path.parent.name for path in ROOT.glob("functions/*/app.py"))
LAYERS = {
    "core": ["core"],
    "knowledge": ["core", "knowledge"],
    "llm": ["core", "knowledge", "llm"],
}
LANGCHAIN = ("langchain", "langsmith", "langgraph")


@pytest.fixture(scope="module")
def imported() -> Iterator[dict[str, Future[Imported]]]:
    """The import of each function, as many at once as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # The slow ones first.
        by_layers = sorted(FUNCTIONS, key=lambda function: -len(layers_of(function)))
        yield {function: pool.submit(import_function, function) for function in by_layers}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_imports_with_its_own_layers(function: str, imported: dict[str, Future[Imported]]) -> None:
    modules = imported[function].result().modules
    assert "app" in modules
    if ROOT / "layers/llm" not in layers_of(function):
        assert not {name for name in modules if name.startswith(LANGCHAIN)}
    assert not modules & {"moto", "local", "pytest", "samtranslator"}


def test_the_webhook_starts_without_what_it_does_not_need(imported: dict[str, Future[Imported]]) -> None:
    modules = imported["receive_webhook"].result().modules
    heavy = {"langchain_core", "langchain_aws", "numpy", "requests", "countersign.approvals"}
    assert not modules & heavy


@pytest.mark.parametrize("layer", LAYERS)
def test_every_module_of_a_layer_has_what_it_imports(layer: str, tmp_path: Path) -> None:
    """Also the modules that a function imports only when it needs them."""
    [package] = [path for path in (ROOT / "layers" / layer).iterdir() if (path / "__init__.py").exists()]
    names = sorted(
        ".".join(path.relative_to(package.parent).with_suffix("").parts)
        for path in package.rglob("*.py")
        if path.stem != "__init__"
    )
    (tmp_path / "all_of_it.py").write_text("".join(f"import {name}\n" for name in names))
    done = import_module("all_of_it", tmp_path, [ROOT / "layers" / each for each in LAYERS[layer]])
    assert set(names) <= done.modules


def test_what_no_layer_brings_is_absent(tmp_path: Path) -> None:
    (tmp_path / "curious.py").write_text("import langchain_core\n")
    with pytest.raises(ImportFailed, match="No module named 'langchain_core'"):
        import_module("curious", tmp_path, [ROOT / "layers/core"])


def test_the_environment_is_absent_too(tmp_path: Path) -> None:
    (tmp_path / "curious.py").write_text("import os\nos.environ['CASES_TABLE']\n")
    with pytest.raises(ImportFailed, match="CASES_TABLE"):
        import_module("curious", tmp_path, [ROOT / "layers/core"])


def test_a_built_function_fits_into_lambda() -> None:
    build = ROOT / ".aws-sam/build"
    if not (build / "template.yaml").exists():
        pytest.skip("nothing has been built: `make build`")
    sizes = unpacked_bytes(build)
    assert {name: size for name, size in sizes.items() if size > LARGEST_UNPACKED} == {}

"""A function as it is deployed: its own folder, its own layers and nothing else, imported in a fresh process.

A layer brings its source folder and the distributions in its requirements.txt. They are installed in one
environment here, together with much that no function has; in the fresh process everything else is absent.
"""

import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from local.template import load

ROOT = Path(__file__).parents[1]
LARGEST_UNPACKED = 250 * 1024 * 1024
"""Bytes that Lambda allows a function and its layers to unpack to."""

_REQUIREMENT = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==")


class ImportFailed(Exception):
    """A module can't be imported from what its function has; the message is the process's error."""


@dataclass(frozen=True)
class Imported:
    """What an import did: seconds of wall-clock time, and every module that is loaded after it."""

    seconds: float
    modules: frozenset[str]


@cache
def layers_of(function: str) -> tuple[Path, ...]:
    """The folders of the layers that template.yaml gives to `functions/<function>/`, in its order.

    Raises KeyError where the template has no such function.
    """
    resources = load(ROOT / "template.yaml")["Resources"]
    by_folder = {
        resource["Properties"]["CodeUri"]: resource["Properties"]
        for resource in resources.values()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    layers = by_folder[f"functions/{function}/"]["Layers"]
    return tuple(ROOT / resources[layer["Ref"]]["Properties"]["ContentUri"] for layer in layers)


def distributions(layers: Iterable[Path]) -> frozenset[str]:
    """Normalized names of what the layers' requirements.txt pin."""
    files = [layer / "requirements.txt" for layer in layers]
    lines = [line for file in files if file.exists() for line in file.read_text().splitlines()]
    return frozenset(_normalized(match[1]) for line in lines if (match := _REQUIREMENT.match(line)))


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def _modules_by_distribution() -> dict[str, frozenset[str]]:
    """Top-level modules of each distribution that is installed here."""
    found: dict[str, set[str]] = {}
    for module, names in packages_distributions().items():
        for name in names:
            found.setdefault(_normalized(name), set()).add(module)
    return {name: frozenset(modules) for name, modules in found.items()}


def top_level_modules(names: Iterable[str]) -> frozenset[str]:
    """What can be imported of some distributions. Raises ImportFailed where one is not installed."""
    known = _modules_by_distribution()
    missing = [name for name in names if name not in known]
    if missing:
        raise ImportFailed(f"not installed here: {', '.join(sorted(missing))}")
    return frozenset().union(*(known[name] for name in names))


def import_function(function: str) -> Imported:
    """Import `functions/<function>/app.py` in a fresh process with its own layers alone.

    Raises KeyError where the template has no such function, and ImportFailed.
    """
    return import_module("app", ROOT / "functions" / function, layers_of(function))


def import_module(module: str, folder: Path, layers: Iterable[Path]) -> Imported:
    """Import a module of `folder` (or of the layers) in a fresh process. Raises ImportFailed."""
    layers = list(layers)
    names = distributions(layers)
    request = {
        "module": module,
        "folders": [str(folder), *map(str, layers)],
        "site_packages": [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")],
        "top_level": sorted(top_level_modules(names)),
        "distributions": sorted(names),
    }
    # Isolated, and without site-packages: they come back one by one.
    command = [sys.executable, "-I", "-S", "-c", _PROCESS, json.dumps(request)]
    # No environment: nothing may be read from it on import.
    done = subprocess.run(command, capture_output=True, text=True, env={}, check=False)  # noqa: S603
    if done.returncode:
        raise ImportFailed(done.stderr.strip())
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return Imported(answer["seconds"], frozenset(answer["modules"]))


def unpacked_bytes(build: Path) -> dict[str, int]:
    """Size of each function of a finished `sam build`, its layers included, as Lambda would unpack it.

    By logical id. `build` is `.aws-sam/build`. Raises TemplateError where there is none.
    """
    resources = load(build / "template.yaml")["Resources"]
    return {
        name: sum(
            _size(build / resources[layer["Ref"]]["Properties"]["ContentUri"])
            for layer in resource["Properties"]["Layers"]
        )
        + _size(build / resource["Properties"]["CodeUri"])
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


_PROCESS = '''
import json
import re
import sys
import time
from importlib.machinery import PathFinder
from importlib.metadata import DistributionFinder, MetadataPathFinder

request = json.loads(sys.argv[1])
top_level, names = frozenset(request["top_level"]), frozenset(request["distributions"])


class Layers(DistributionFinder):
    """Finds what the layers' requirements brought, and nothing else of what is installed here."""

    def find_spec(self, name, path=None, target=None):
        if path is None and name in top_level:
            return PathFinder.find_spec(name, request["site_packages"], target)
        return None

    def find_distributions(self, context=DistributionFinder.Context()):
        everything = DistributionFinder.Context(name=context.name, path=request["site_packages"])
        for found in MetadataPathFinder.find_distributions(everything):
            if re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower() in names:
                yield found


sys.path[:0] = request["folders"]
sys.meta_path.append(Layers())
started = time.perf_counter()
__import__(request["module"])
seconds = time.perf_counter() - started
print(json.dumps({"seconds": seconds, "modules": sorted(sys.modules)}))
'''

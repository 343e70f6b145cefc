"""How long a function takes to import on a cold start, against boto3, which none of them can do without."""

from local.packaging import ROOT, import_function, import_module


def import_seconds(function: str, runs: int = 3) -> float:
    """Seconds to import a function with its own layers in a fresh process: the least of several runs.

    The least, because everything else on the machine can only add. Raises KeyError where the template has no
    such function, and local.packaging.ImportFailed.
    """
    return min(import_function(function).seconds for _ in range(runs))


def boto3_seconds(runs: int = 3) -> float:
    """Seconds to import boto3 alone, from the core layer. Raises local.packaging.ImportFailed."""
    core = ROOT / "layers/core"
    return min(import_module("boto3", core, [core]).seconds for _ in range(runs))

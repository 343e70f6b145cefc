"""Stores in moto for the tests of whatever keeps cases, and what a function's environment says of metrics."""

import os
from collections.abc import Iterator

import pytest

from countersign.settings import settings
from tests.unit.stores import ENVIRONMENT, Stores, stores_in_moto

# Powertools' logger keeps the name that it was first made with, whichever test does that.
os.environ["POWERTOOLS_SERVICE_NAME"] = "countersign"


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Countersign")
    with stores_in_moto() as stores:
        yield stores


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment that the template gives every function."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    yield
    settings.cache_clear()

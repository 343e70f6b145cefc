"""Stores in moto for the tests of whatever keeps cases, and what a function's environment says of metrics."""

from collections.abc import Iterator

import pytest

from tests.unit.stores import Stores, stores_in_moto


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Countersign")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "countersign")
    with stores_in_moto() as stores:
        yield stores

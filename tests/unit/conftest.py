"""Stores in moto for the tests of whatever keeps cases."""

from collections.abc import Iterator

import pytest

from tests.unit.stores import Stores, stores_in_moto


@pytest.fixture
def stores() -> Iterator[Stores]:
    with stores_in_moto() as stores:
        yield stores

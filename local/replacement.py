"""Put a value in place of an attribute for as long as a stack runs."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replace `owner.name` by `value`, and put back exactly what stood there (descriptors included).

    Raises AttributeError where `owner` has no such attribute: a newer moto that renamed one of its parts
    must fail loudly at the start of the stack, not change its behaviour silently.
    """
    own = name in vars(owner)
    before = inspect.getattr_static(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)

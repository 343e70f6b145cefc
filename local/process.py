"""What a running stack changes about its process: credentials, import path, caches, log levels."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.functions import Function
from local.shortcuts import MADE_UP_KEY
from local.template import REGION


def shared_environment(functions: list[Function]) -> dict[str, str]:
    """The variables that all functions have with one value, and what Lambda's runtime sets."""
    shared = dict(functions[0].environment) if functions else {}
    for function in functions:
        shared = dict(shared.items() & function.environment.items())
    return shared | {
        "AWS_REGION": REGION,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        # No daemon listens for traces here.
        "POWERTOOLS_TRACE_DISABLED": "true",
    }


@contextmanager
def aws_credentials() -> Iterator[None]:
    """Made-up credentials, and no way to find the machine's own."""
    values = {
        "AWS_ACCESS_KEY_ID": MADE_UP_KEY,
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    hidden = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
    before = {name: os.environ.get(name) for name in (*values, *hidden)}
    os.environ.update(values)
    for name in hidden:
        os.environ.pop(name, None)
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def layers_on_path(functions: list[Function]) -> Iterator[None]:
    """Put every layer's folder (or its `python/`) where imports look."""
    folders = []
    for layer in dict.fromkeys(layer for function in functions for layer in function.layers):
        folder = layer / "python" if (layer / "python").is_dir() else layer
        if str(folder) not in sys.path:
            folders.append(str(folder))
    sys.path[:0] = folders
    try:
        yield
    finally:
        for name in folders:
            sys.path.remove(name)


def forget_cached_values(functions: list[Function]) -> None:
    """Empty the caches of the layers' modules that an earlier stack in this process filled."""
    layers = {layer for function in functions for layer in function.layers}
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file is None or not any(layer in Path(file).parents for layer in layers):
            continue
        for value in list(vars(module).values()):
            clear = getattr(value, "cache_clear", None)
            if callable(clear):
                clear()
    parameters = sys.modules.get("aws_lambda_powertools.utilities.parameters")
    if parameters is not None:
        parameters.clear_caches()


@contextmanager
def quiet_engine_log() -> Iterator[None]:
    """moto logs every caught error of a machine as an error of its own."""
    logger = logging.getLogger("moto.stepfunctions")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)

"""Runs the functions of a stack in this process, each call as Lambda would make it.

A function is imported once (its cold start) under a name of its own, sees its own environment, gets a
context with a request id and a deadline, and ends with a result, with an error of its own, or with one of
Lambda's (`Sandbox.Timedout`, `Runtime.ExitError`, `Runtime.ImportModuleError`). All functions share one
interpreter: a layer's modules exist once, so a value cached in a layer is cached for every function. At the
start of a stack such caches are emptied.
"""

import importlib.util
import json
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from local.clock import Clock, Signal, VirtualClock
from local.environment import Invocation, SandboxKilled, claim_output, current_caller, current_invocation
from local.lanes import Lanes
from local.meter import Meter

PAYLOAD_LIMIT = 6 * 1024 * 1024
"""Bytes of a synchronous call's event or result; above it Lambda refuses."""


CONCURRENCY = 16
"""Calls at a time for queues, machines and events: more would run into their timeouts without being slow."""
BESIDE_REQUESTS = 2
"""How many of them begin while somebody waits for an answer over HTTP."""


@dataclass(frozen=True)
class Function:
    """A function as the template declares it, everything resolved."""

    logical_id: str
    name: str
    arn: str
    folder: Path
    handler: str
    timeout_s: float
    memory_mb: int
    layers: tuple[Path, ...]
    environment: Mapping[str, str]

    @property
    def label(self) -> str:
        """The folder's name, by which people call it."""
        return self.folder.name


class FunctionFailed(Exception):
    """A call that Lambda would answer with `x-amz-function-error`."""

    def __init__(self, error_type: str, message: str, stack_trace: tuple[str, ...] = ()) -> None:
        super().__init__(f"{error_type}: {message}")
        self.error_type = error_type
        self.message = message
        self.stack_trace = stack_trace

    def to_payload(self) -> dict[str, Any]:
        """The body Lambda answers with, which Retry and Catch read."""
        payload: dict[str, Any] = {"errorMessage": self.message, "errorType": self.error_type}
        if self.stack_trace:
            payload["stackTrace"] = list(self.stack_trace)
        return payload


class CallerTimedOut(Exception):
    """The caller's own time ran out before the function's."""


class UnknownFunction(LookupError):
    """No function of the template has this folder, logical id, name or ARN."""


@dataclass(frozen=True)
class LambdaContext:
    """The second argument of a handler."""

    function_name: str
    memory_limit_in_mb: str
    invoked_function_arn: str
    aws_request_id: str
    deadline: float = field(repr=False)
    function_version: str = "$LATEST"
    log_group_name: str = ""
    log_stream_name: str = ""
    client_context: None = None
    identity: None = None

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function's Timeout, of real time, never negative."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))

    @property
    def tenant_id(self) -> None:
        """Lambda's own tenant isolation, which this product does not use."""
        return None


class _Sandbox:
    """The loaded code of one function."""

    def __init__(self, function: Function, generation: int) -> None:
        self.function = function
        self._generation = generation
        self._lock = threading.Lock()
        self._handler: Callable[[Any, LambdaContext], Any] | None = None

    def handler(self, meter: Meter) -> Callable[[Any, LambdaContext], Any]:
        """The handler, imported on the first call. Raises FunctionFailed as Lambda's runtime reports it."""
        with self._lock:
            if self._handler is None:
                started = time.perf_counter()
                self._handler = self._load()
                meter.count_cold_start(self.function.label, time.perf_counter() - started)
            return self._handler

    def unload(self) -> None:
        with self._lock:
            self._handler = None
        for name in [name for name in list(sys.modules) if name.startswith(f"{self._module_name}.")]:
            del sys.modules[name]

    @property
    def _module_name(self) -> str:
        return f"function_{self._generation}_{self.function.label}"

    def _load(self) -> Callable[[Any, LambdaContext], Any]:
        module_path, _, attribute = self.function.handler.rpartition(".")
        source = self.function.folder.joinpath(*module_path.split(".")).with_suffix(".py")
        if not source.is_file():
            raise FunctionFailed(
                "Runtime.ImportModuleError", f"Unable to import module '{module_path}': no file {source}"
            )
        with _own_modules_first(self.function.folder):
            module = _import_file(f"{self._module_name}.{module_path}", source)
        try:
            handler: Callable[[Any, LambdaContext], Any] = getattr(module, attribute)
        except AttributeError:
            raise FunctionFailed(
                "Runtime.HandlerNotFound", f"Handler '{attribute}' missing on module '{module_path}'"
            ) from None
        return handler


_import_lock = threading.RLock()


class _own_modules_first:  # noqa: N801  (used as a `with` statement)
    """Make `import routes` in a function's folder find that folder's routes.py, not another function's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        _import_lock.acquire()
        own = {path.stem for path in self._folder.iterdir() if path.suffix == ".py" or path.is_dir()}
        for name in own & sys.modules.keys():
            file = getattr(sys.modules[name], "__file__", None) or ""
            if Path(file).parent.parent == self._folder.parent or Path(file).parent == self._folder:
                del sys.modules[name]
        sys.path.insert(0, str(self._folder))

    def __exit__(self, *_: object) -> None:
        sys.path.remove(str(self._folder))
        importlib.invalidate_caches()
        _import_lock.release()


def _build_models() -> None:
    """Build what would build itself on first use: pydantic does not do that safely in threads."""
    models: list[type[BaseModel]] = [BaseModel]
    while models:
        model = models.pop()
        models += model.__subclasses__()
        if model.model_config.get("defer_build") and not model.__pydantic_complete__:
            model.model_rebuild()


def _import_file(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FunctionFailed("Runtime.ImportModuleError", f"Unable to import {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        _build_models()
    except (SandboxKilled, FunctionFailed):
        raise
    except BaseException as error:
        del sys.modules[name]
        kind = "Runtime.ImportModuleError" if isinstance(error, ImportError) else type(error).__name__
        raise FunctionFailed(kind, f"Unable to import module '{path.stem}': {error}") from error
    return module


class FunctionRunner:
    """Finds and calls the functions of one stack."""

    _generations = 0

    def __init__(self, functions: list[Function], *, clock: Clock, meter: Meter) -> None:
        FunctionRunner._generations += 1
        self._clock = clock
        self._meter = meter
        self._sandboxes = {
            function.logical_id: _Sandbox(function, self._generations) for function in functions
        }
        self._in_flight: set[_Call] = set()
        # On a clock that jumps no time passes while anybody is held back, so a request could wait for ever.
        beside = CONCURRENCY if isinstance(clock, VirtualClock) else BESIDE_REQUESTS
        self._lanes = Lanes(width=CONCURRENCY, beside=beside)
        self._by_name: dict[str, Function] = {}
        for function in functions:
            for name in (function.logical_id, function.name, function.label, function.arn):
                self._by_name[name] = function

    @property
    def functions(self) -> list[Function]:
        """Every function of the stack."""
        return [sandbox.function for sandbox in self._sandboxes.values()]

    def find(self, name: str) -> Function:
        """By folder, logical id, function name or ARN, qualified or not. Raises UnknownFunction."""
        function = self._by_name.get(name)
        if function is None and name.startswith("arn:"):
            function = self._by_name.get(":".join(name.split(":")[:7]))
        elif function is None:
            function = self._by_name.get(name.partition(":")[0])
        if function is None:
            raise UnknownFunction(f"no function {name!r}; there are {', '.join(sorted(self._labels()))}")
        return function

    def invoke(self, name: str, event: Any, *, caller_timeout_s: float | None = None) -> Any:
        """The JSON result of one synchronous call.

        Raises FunctionFailed for the function's own errors and Lambda's, CallerTimedOut if
        `caller_timeout_s` real seconds pass before, and UnknownFunction.
        """
        function = self.find(name)
        payload = json.dumps(event)
        if len(payload.encode()) > PAYLOAD_LIMIT:
            raise FunctionFailed("RequestEntityTooLargeException", f"The event exceeds {PAYLOAD_LIMIT} bytes")
        call = _Call(function, self._sandboxes[function.logical_id], self._meter)
        self._in_flight.add(call)
        # Who waits for an answer over HTTP, and a function that calls another, must not stand in the queue.
        is_urgent = current_invocation.get() is not None or current_caller.get() == "gateway"
        lane = self._lanes.fast() if is_urgent else self._lanes.slow()
        try:
            with self._clock.work(), lane:
                return call.run(json.loads(payload), caller_timeout_s)
        finally:
            self._in_flight.discard(call)

    def warm(self) -> dict[str, float]:
        """Import every function now; seconds by function."""
        for sandbox in self._sandboxes.values():
            invocation = Invocation(sandbox.function.label, "init", sandbox.function.environment)
            token = current_invocation.set(invocation)
            try:
                sandbox.handler(self._meter)
            finally:
                current_invocation.reset(token)
        return dict(self._meter.snapshot().cold_start_s)

    def kill(self) -> None:
        """End every sandbox: calls in flight have no more effects on AWS."""
        for call in list(self._in_flight):
            call.kill()

    def unload(self) -> None:
        """Forget the imported functions: the next call of each is a cold start."""
        for sandbox in self._sandboxes.values():
            sandbox.unload()

    def _labels(self) -> list[str]:
        return [function.label for function in self.functions]


class _Call:
    """One invocation, in a thread of its own because nothing else can be given up on after a timeout."""

    def __init__(self, function: Function, sandbox: _Sandbox, meter: Meter) -> None:
        self._function = function
        self._sandbox = sandbox
        self._meter = meter
        self._done = Signal()
        self._outcome: str | FunctionFailed | None = None
        self._invocation = Invocation(function.label, str(uuid.uuid4()), function.environment)

    def run(self, event: Any, caller_timeout_s: float | None) -> Any:
        context = copy_context()
        thread = threading.Thread(
            target=context.run, args=(self._body, event), name=self._function.label, daemon=True
        )
        thread.start()
        timeout_s = self._function.timeout_s
        patience_s = timeout_s if caller_timeout_s is None else min(timeout_s, caller_timeout_s)
        # A cold start is not part of the function's time (Lambda's own limit for it is 10 s).
        if not self._done.wait(patience_s + 10 * (not self._sandbox._handler)):
            if patience_s < timeout_s:
                raise CallerTimedOut(self._function.label)
            self._invocation.killed.set()
            raise FunctionFailed(
                "Sandbox.Timedout",
                f"{self._prefix} Task timed out after {timeout_s:.2f} seconds",
            )
        if isinstance(self._outcome, FunctionFailed):
            raise self._outcome
        return json.loads(self._outcome) if self._outcome is not None else None

    def kill(self) -> None:
        """Let it have no more effects."""
        self._invocation.killed.set()

    def _body(self, event: Any) -> None:
        current_invocation.set(self._invocation)
        current_caller.set(self._function.label)
        claim_output()
        cpu = time.thread_time()
        try:
            handler = self._sandbox.handler(self._meter)
            cpu = time.thread_time()
            self._outcome = _dump(handler(event, self._context()))
        except FunctionFailed as failure:
            self._outcome = failure
        except Exception as error:  # noqa: BLE001  Lambda reports whatever a handler raises
            self._outcome = FunctionFailed(type(error).__name__, str(error), _trace(error))
        except BaseException as error:  # noqa: BLE001  a crash or sys.exit ends the sandbox, not this process
            status = error.code if isinstance(error, SystemExit) else 1
            self._outcome = FunctionFailed(
                "Runtime.ExitError",
                f"{self._prefix} Runtime exited with error: exit status {status}",
            )
            self._invocation.killed.set()
        finally:
            self._meter.count_invocation(self._function.label, time.thread_time() - cpu)
            self._done.set()

    @property
    def _prefix(self) -> str:
        """How Lambda begins the message of an error of its own."""
        return f"RequestId: {self._invocation.request_id} Error:"

    def _context(self) -> LambdaContext:
        function = self._function
        return LambdaContext(
            function_name=function.name,
            memory_limit_in_mb=str(function.memory_mb),
            invoked_function_arn=function.arn,
            aws_request_id=self._invocation.request_id,
            deadline=time.monotonic() + function.timeout_s,
            log_group_name=f"/aws/lambda/{function.name}",
            log_stream_name=self._invocation.request_id,
        )


def _dump(result: Any) -> str:
    try:
        text = json.dumps(result)
    except (TypeError, ValueError) as error:
        raise FunctionFailed("Runtime.MarshalError", f"Unable to marshal response: {error}") from None
    if len(text.encode()) > PAYLOAD_LIMIT:
        raise FunctionFailed(
            "Function.ResponseSizeTooLarge",
            "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        )
    return text


def _trace(error: BaseException) -> tuple[str, ...]:
    lines = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename != __file__:
            lines.append(f'File "{code.co_filename}", line {trace.tb_lineno}, in {code.co_name}')
        trace = trace.tb_next
    return tuple(lines)

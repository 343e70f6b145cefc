"""Task tokens of moto's Step Functions engine, with AWS's answers.

A token is used once. A late or second answer is TaskTimedOut, a token that never was is InvalidToken, and an
execution that is stopped leaves its waits.
"""

import threading
from collections.abc import Iterator
from typing import Any

from moto.core.exceptions import AWSError
from moto.core.responses import EmptyResult
from moto.stepfunctions.parser import models as moto_models
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_callback,
)
from moto.stepfunctions.parser.asl.eval.callback import callback
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.responses import StepFunctionResponse

from local.clock import Clock, Signal


class Halted(BaseException):
    """The execution was stopped while a state waited. Not an Exception, so that no Retry or Catch sees it."""


class _LateToken(AWSError):
    """The task has an outcome already, or waits no more."""

    TYPE = "TaskTimedOut"
    STATUS = 400

    def __init__(self) -> None:
        super().__init__("Task Timed Out: 'Provided task does not exist anymore'")


class _UnknownToken(AWSError):
    """No task ever had this token."""

    TYPE = "InvalidToken"
    STATUS = 400

    def __init__(self) -> None:
        super().__init__("Invalid Token: 'Invalid token'")


class Tokens:
    """Every task token of the stack: the open ones with their endpoint, and which ones are closed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, callback.CallbackEndpoint] = {}
        self._closed: set[str] = set()

    def add(self, endpoint: callback.CallbackEndpoint) -> None:
        with self._lock:
            self._open[endpoint.callback_id] = endpoint

    def answer(self, token: str, outcome: callback.CallbackOutcome) -> None:
        """Give a waiting task its outcome. Raises TaskTimedOut if it waits no more, or InvalidToken."""
        with self._lock:
            endpoint = self._open.pop(token, None)
            if endpoint is None:
                if token in self._closed:
                    raise _LateToken
                raise _UnknownToken
            self._closed.add(token)
            endpoint.notify(outcome=outcome)

    def close(self, token: str) -> None:
        """The task waits no more; an outcome that came before stays with the endpoint."""
        with self._lock:
            if self._open.pop(token, None) is not None:
                self._closed.add(token)

    def beat(self, token: str) -> None:
        """Pass on a heartbeat. Raises like `answer`."""
        with self._lock:
            endpoint = self._open.get(token)
            if endpoint is not None:
                endpoint.notify_heartbeat()
                return
            raise _LateToken if token in self._closed else _UnknownToken

    def replacements(self) -> Iterator[tuple[Any, str, Any]]:
        """Waiting for a task token and answering one."""
        clock, tokens = self._clock, self
        original_add = callback.CallbackPoolManager.add

        def add(pool: callback.CallbackPoolManager, callback_id: str) -> callback.CallbackEndpoint:
            endpoint = original_add(pool, callback_id)
            tokens.add(endpoint)
            return endpoint

        def wait_for_token(
            _: Any,
            env: Environment,
            timeout_seconds: int,
            callback_endpoint: callback.CallbackEndpoint,
            heartbeat_endpoint: callback.HeartbeatEndpoint | None,
        ) -> Any:
            signal: Any = callback_endpoint._notify_event  # a Signal since `replacements`
            token = callback_endpoint.callback_id
            due = getattr(env, "deadline", clock.now() + timeout_seconds)
            heartbeat_s = heartbeat_endpoint._heartbeat_seconds if heartbeat_endpoint else None
            try:
                while callback_endpoint.get_outcome() is None:
                    if not env.is_running():
                        raise Halted
                    left = due - clock.now()
                    if left <= 0:
                        break
                    patience = left if heartbeat_s is None else min(left, heartbeat_s)
                    if not clock.wait(signal, patience) and patience < left:
                        return callback.HeartbeatTimedOut()
            finally:
                tokens.close(token)
            return callback_endpoint.get_outcome() or callback.CallbackOutcomeTimedOut(token)

        def notify_heartbeat(endpoint: Any) -> bool:
            endpoint._notify_event.touch()
            return True

        def send_success(_: Any, task_token: str, outcome: str) -> None:
            tokens.answer(task_token, callback.CallbackOutcomeSuccess(task_token, output=outcome))

        def send_failure(
            _: Any, task_token: str, error: str | None = None, cause: str | None = None
        ) -> dict[str, Any]:
            tokens.answer(task_token, callback.CallbackOutcomeFailure(task_token, error=error, cause=cause))
            return {}

        def send_failure_with_cause(response: Any) -> Any:
            # moto leaves out the cause.
            names = ("taskToken", "error", "cause")
            response.stepfunction_backend.send_task_failure(*map(response._get_param, names))
            return EmptyResult()

        def send_heartbeat(_: Any, task_token: str) -> None:
            tokens.beat(task_token)

        backend = moto_models.StepFunctionsParserBackend
        yield callback, "Event", Signal
        yield callback.CallbackPoolManager, "add", add
        yield callback.CallbackEndpoint, "notify_heartbeat", notify_heartbeat
        yield (
            state_task_service_callback.StateTaskServiceCallback,
            "_eval_wait_for_task_token",
            wait_for_token,
        )
        yield StepFunctionResponse, "send_task_failure", send_failure_with_cause
        yield backend, "send_task_success", send_success
        yield backend, "send_task_failure", send_failure
        yield backend, "send_task_heartbeat", send_heartbeat

"""moto's Step Functions engine, made to wait on the stack's clock and to answer like AWS where moto does
not.

What changes: states run in their execution's thread; waits, retries and timeouts use the clock; functions
are called directly; a stopped or timed-out execution leaves its token waits; tokens are used once and late
ones answer TaskTimedOut; a definition is parsed once; the end of an execution is reported.
"""

import json
import threading
import time
import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from jsonpath_ng.ext.parser import parse as parse_json_path
from moto.stepfunctions.parser import models as moto_models
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import EvalTimeoutError
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import inline_iteration_component
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.iteration_worker import (
    IterationWorker,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.job import JobPool
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel.branch_worker import BranchWorker
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel.branches_decl import BranchWorkerPool
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.state import CommonStateField
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.timestamp import Timestamp
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.parse import asl_parser
from moto.stepfunctions.parser.asl.utils import json_path
from moto.stepfunctions.parser.backend import execution as moto_execution
from moto.stepfunctions.parser.backend import execution_worker
from moto.stepfunctions.parser.utils import TMP_THREADS

from local.clock import Clock, Signal
from local.engine_clients import shared_engine_clients
from local.environment import current_caller, current_invocation
from local.functions import CallerTimedOut, FunctionFailed, FunctionRunner
from local.meter import Meter
from local.replacement import replaced
from local.tokens import Halted, Tokens


@lru_cache(maxsize=32)
def _parse_once(parse: Callable[[str], Any], definition: str) -> Any:
    return parse(definition)


class Engine:
    """Runs the executions of one stack."""

    def __init__(
        self,
        *,
        clock: Clock,
        runner: Callable[[], FunctionRunner],
        meter: Meter,
        on_status: Callable[[moto_execution.Execution], None],
    ) -> None:
        self._clock = clock
        self._runner = runner
        self._meter = meter
        self._on_status = on_status
        self._stopped = False
        self._tokens = Tokens(clock)

    def stop(self) -> None:
        """Abort every execution that runs, without telling anybody."""
        self._stopped = True
        for backends in moto_models.stepfunctions_parser_backends.values():
            for backend in backends.values():
                for execution in backend._get_executions(ExecutionStatus.RUNNING):
                    if execution.exec_worker is not None and execution.exec_worker.env is not None:
                        execution.stop(stop_date=datetime.now(UTC), error=None, cause=None)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Change moto's engine while the block runs."""
        with ExitStack() as stack:
            for replace in (
                self._replace_flow,
                self._replace_waits,
                self._tokens.replacements,
                self._replace_calls,
            ):
                for owner, name, value in replace():
                    stack.enter_context(replaced(owner, name, value))
            stack.enter_context(shared_engine_clients())
            yield

    def _replace_flow(self) -> Iterator[tuple[Any, str, Any]]:
        """Threads, parsing, the end of an execution."""
        clock, meter, on_status = self._clock, self._meter, self._on_status
        original_state, original_parse = (
            CommonStateField._eval_body,
            asl_parser.AmazonStateLanguageParser.parse,
        )
        original_end = moto_execution.BaseExecutionWorkerCommunication.terminated
        original_begin = moto_models.StepFunctionsParserBackend.start_execution
        beginning = threading.RLock()
        original_error, original_start = Environment.set_error, moto_execution.Execution.start

        def spawn(target: Callable[[], Any], name: str) -> None:
            context = copy_context()
            context.run(current_caller.set, "engine")
            # What the function that started an execution was doing is none of the engine's business.
            context.run(current_invocation.set, None)
            clock.spawn(target, name=name, context=context)

        def eval_state(state: Any, env: Environment) -> None:
            meter.count_transition(env.states.context_object.context_object_data["Execution"]["Id"])
            try:
                original_state(state, env)
            except Halted:
                # The program sees by its environment that it is over, and why.
                return

        def parse(definition: str) -> Any:
            if '"DISTRIBUTED"' in definition:  # its parsed form keeps state of a run
                return original_parse(definition)
            return _parse_once(original_parse, definition)

        def eval_program(program: Program, env: Environment) -> None:
            try:
                env.next_state_name = program.start_at.start_at_name
            except RuntimeError:  # stopped before it began, as a branch of a stopped execution is
                return
            if self._stopped:  # began too late for `stop` to have seen it
                env.set_stop(stop_date=datetime.now(UTC), error=None, cause=None)
            if program.timeout_seconds is None:
                EvalComponent.eval(program, env)
                return
            done = Signal()

            def run() -> None:
                EvalComponent.eval(program, env)
                done.set()

            spawn(run, "machine")
            if not clock.wait(done, program.timeout_seconds.timeout_seconds):
                env.set_timed_out()
                # Waits end now; a function that is still running is not waited for, as on AWS.
                clock.wait(done, 0.5)

        def begin_execution(backend: Any, *args: Any, **kwargs: Any) -> Any:
            with beginning:  # two of the same name must not both find that there is none
                return original_begin(backend, *args, **kwargs)

        def start_execution(execution: moto_execution.Execution) -> None:
            original_start(execution)
            on_status(execution)

        def end_execution(communication: moto_execution.BaseExecutionWorkerCommunication) -> None:
            original_end(communication)
            TMP_THREADS.clear()  # moto keeps every thread it ever started here
            if not self._stopped:
                on_status(communication.execution)

        def start_worker(worker: execution_worker.ExecutionWorker) -> None:
            spawn(worker._execution_logic, "execution")

        def start_branch(worker: BranchWorker) -> None:
            worker._worker_thread = threading.current_thread()
            spawn(worker._thread_routine, "branch")

        def launch_map_worker(
            component: Any, env: Any, eval_input: Any, job_pool: JobPool
        ) -> IterationWorker:
            worker: IterationWorker = component._create_worker(
                env=env, eval_input=eval_input, job_pool=job_pool
            )
            spawn(worker.eval, "map")
            return worker

        def set_error(env: Environment, error: Any) -> None:
            if env._program_state is None or env.is_running():  # a stopped execution stays stopped
                original_error(env, error)
                _touch(env)

        yield CommonStateField, "_eval_body", eval_state
        yield asl_parser.AmazonStateLanguageParser, "parse", staticmethod(parse)
        yield json_path, "parse", lru_cache(maxsize=1024)(parse_json_path)
        yield EvalComponent, "heap_key", property(lambda component: str(id(component)))
        yield Program, "eval", eval_program
        yield moto_models.StepFunctionsParserBackend, "start_execution", begin_execution
        yield moto_execution.Execution, "start", start_execution
        yield moto_execution.BaseExecutionWorkerCommunication, "terminated", end_execution
        yield execution_worker.ExecutionWorker, "start", start_worker
        yield BranchWorker, "start", start_branch
        yield inline_iteration_component.InlineIterationComponent, "_launch_worker", launch_map_worker
        yield Environment, "set_error", set_error

    def _replace_waits(self) -> Iterator[tuple[Any, str, Any]]:
        """Whatever takes time."""
        clock, tokens = self._clock, self._tokens
        originals = {cls: cls.__init__ for cls in (Environment, JobPool, BranchWorkerPool)}
        original_stop, original_timed_out = Environment.set_stop, Environment.set_timed_out

        def init_environment(env: Any, *args: Any, **kwargs: Any) -> None:
            originals[Environment](env, *args, **kwargs)
            env.program_state_event = Signal()

        def init_job_pool(pool: Any, *args: Any, **kwargs: Any) -> None:
            originals[JobPool](pool, *args, **kwargs)
            pool._termination_event = Signal()

        def init_branch_pool(pool: Any, *args: Any, **kwargs: Any) -> None:
            originals[BranchWorkerPool](pool, *args, **kwargs)
            pool._termination_event = Signal()

        def await_jobs(pool: Any) -> None:
            while not pool._is_terminated():
                clock.wait(pool._termination_event, None)

        def await_branches(pool: Any) -> None:
            clock.wait(pool._termination_event, None)

        def wait_interval(_: Any, env: Environment, wait_seconds: float) -> None:
            due = clock.now() + wait_seconds
            while env.is_running() and (left := due - clock.now()) > 0:
                clock.wait(env.program_state_event, left)

        def seconds_until(function: Timestamp, env: Environment) -> int:
            function.string.eval(env=env)
            text: str = env.stack.pop()
            moment = Timestamp._from_timestamp_string(text)
            if moment is None:
                raise FailureEventException(function._create_failure_event(env, text))
            return max(0, round(moment.replace(tzinfo=UTC).timestamp() - clock.now()))

        def set_stop(env: Environment, stop_date: datetime, cause: str | None, error: str | None) -> None:
            original_stop(env, stop_date=stop_date, cause=cause, error=error)
            _touch(env)

        def set_timed_out(env: Environment) -> None:
            original_timed_out(env)
            _touch(env)

        def evaluate_with_timeout(state: Any, env: Environment) -> None:
            _evaluate_in_this_thread(state, env, clock, tokens)

        yield Environment, "__init__", init_environment
        yield JobPool, "__init__", init_job_pool
        yield BranchWorkerPool, "__init__", init_branch_pool
        yield JobPool, "await_jobs", await_jobs
        yield BranchWorkerPool, "wait", await_branches
        yield WaitFunction, "_wait_interval", wait_interval
        yield Timestamp, "_get_wait_seconds", seconds_until
        yield Environment, "set_stop", set_stop
        yield Environment, "set_timed_out", set_timed_out
        yield ExecutionState, "_evaluate_with_timeout", evaluate_with_timeout
        yield retrier_decl, "time", types.SimpleNamespace(sleep=clock.sleep, time=time.time)

    def _replace_calls(self) -> Iterator[tuple[Any, str, Any]]:
        """`lambda:invoke` without the way through HTTP."""
        clock, runner, meter = self._clock, self._runner, self._meter

        def invoke(env: Any, parameters: dict[str, Any], **_: Any) -> None:
            meter.count_call("lambda", "Invoke", "engine")
            event = json.loads(parameters.get("Payload") or b"{}")
            deadline = getattr(env, "deadline", None)
            left = None if deadline is None else max(deadline - clock.now(), 0.001)
            try:
                result = runner().invoke(parameters["FunctionName"], event, caller_timeout_s=left)
            except FunctionFailed as failure:
                payload = json.dumps(failure.to_payload(), separators=(",", ":"))
                raise lambda_eval_utils.LambdaFunctionErrorException("Unhandled", payload) from failure
            except CallerTimedOut as error:
                raise EvalTimeoutError from error
            env.stack.append({"ExecutedVersion": "$LATEST", "Payload": result, "StatusCode": 200})

        yield lambda_eval_utils, "execute_lambda_function_integration", invoke


def _touch(env: Environment) -> None:
    """Wake whatever waits in an execution, so that it sees that the execution is over."""
    endpoints: list[Any] = list(env.callback_pool_manager._pool.values())
    for endpoint in endpoints:
        endpoint._notify_event.touch()


def _evaluate_in_this_thread(state: Any, env: Any, clock: Clock, tokens: Tokens) -> None:
    """One attempt of a state. Its timeout is kept by whatever the attempt waits for (a function, a token)."""
    context = env.states.context_object.context_object_data
    if "Task" in context and context["State"]["RetryCount"] > 0:
        # moto keeps the token over retries; on AWS each attempt has its own.
        env.callback_pool_manager.add(env.states.context_object.update_task_token())
    state.timeout.eval(env=env)
    timeout_s = env.stack.pop()
    frame = env.open_frame()
    frame.states.reset(input_value=env.states.get_input())
    frame.stack = list(env.stack)
    if not state.timeout.is_default_value():
        frame.deadline = clock.now() + timeout_s
    try:
        state._eval_execution(frame)
        output = frame.stack[-1] if frame.stack else None
    finally:
        frame.set_ended()
        env.close_frame(frame)
        if "Task" in context:
            tokens.close(context["Task"]["Token"])
            env.callback_pool_manager._pool.pop(context["Task"]["Token"], None)
    if not env.is_running():
        raise Halted
    env.stack.append(output)
    if not state._is_language_query_jsonpath():
        env.states.set_result(output)
    if state.assign_decl:
        state.assign_decl.eval(env=env)
    if state.result_selector:
        state.result_selector.eval(env=env)
    if state.result_path:
        state.result_path.eval(env)
    else:
        env.states.reset(input_value=env.stack.pop())

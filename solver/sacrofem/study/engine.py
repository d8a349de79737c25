"""The engine: calls of one function on many workers, each answered once, whatever dies meanwhile.

Each worker has one call at a time, so that what died with a worker is known exactly. A call that
was lost with its worker, or ran out of memory, is made once more elsewhere.
"""

import platform
import time
import traceback
from asyncio import CancelledError
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from sacrofem.errors import InputError, MeshError, SolverError

#: Causes after which a call is made once more: they lie in the machine, not in the call.
MADE_AGAIN = ("memory", "worker lost", "walltime")
ATTEMPTS = 2
#: A worker lost this near to the end of its job's time was ended by it. Batch systems look at
#: their clocks every half minute, and the worker began some seconds after its job.
WALLTIME_MARGIN_S = 60.0
#: Seconds after which an answer that cannot be fetched counts as lost with its worker. A choice.
FETCH_WITHIN_S = 30.0
#: At most so many events are handled before their answers are handed out. A choice.
TOGETHER = 100
#: PETSC_ERR_MEM of petscerror.h.
_PETSC_OUT_OF_MEMORY = 55


@dataclass(frozen=True)
class Call:
    """One call to make: of the engine's function with ``argument``.

    Calls of one ``group`` stay on one worker while others have enough to do, in the order given:
    a worker keeps in memory what they share.
    """

    key: str
    argument: Any
    group: Hashable = None


@dataclass(frozen=True)
class Answer:
    """The value of a call."""

    key: str
    value: Any
    host: str


@dataclass(frozen=True)
class Lost:
    """A call without a value; ``cause`` is a word of the list in the failures of a store."""

    key: str
    cause: str
    message: str
    traceback: str
    host: str
    attempts: int


@dataclass(frozen=True)
class Value:
    """What a call returned."""

    value: Any


@dataclass(frozen=True)
class Raised:
    """What a call raised, as text: not every exception can travel."""

    cause: str
    message: str
    traceback: str


def cause_of(error: Exception) -> str:
    """The cause of a failure by what was raised."""
    out_of_memory = getattr(error, "ierr", None) == _PETSC_OUT_OF_MEMORY
    if isinstance(error, MemoryError) or out_of_memory:
        return "memory"
    kinds = ((InputError, "input"), (SolverError, "solver"), (MeshError, "mesh"))
    return next((cause for kind, cause in kinds if isinstance(error, kind)), "unexpected")


def run_calls(
    function: Callable[[Any], Any],
    calls: Iterable[Call],
    cluster: Any,
    walltime_s: float | None = None,
    tell_workers: Callable[[int], None] = lambda _: None,
) -> Iterator[list[Answer | Lost]]:
    """Make all calls on the workers of a cluster; yields those that finished together, at once.

    Args:
        function: Importable, called with one argument; its value must be picklable and small.
        calls: What to call it with; keys differ.
        cluster: Dask cluster with its scheduler in this process, of
            :func:`sacrofem.study.cluster.open_cluster`.
        walltime_s: Longest time of a worker's job, to name it as the cause.
        tell_workers: Told the number of workers whenever it changes.
    """
    from distributed import Client

    with Client(cluster) as client:
        yield from _Run(client, cluster, function, calls, walltime_s, tell_workers).answers()


def make_call(function: Callable[[Any], Any], argument: Any) -> Value | Raised:
    """In the worker: the value of a call, or what it raised.

    A function that has asked another process returns what that one says: a Value, or a Raised.
    """
    try:
        back = function(argument)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        return Raised(cause_of(error), text, traceback.format_exc())
    return back if isinstance(back, Value | Raised) else Value(back)


class _Backlog:
    """The calls not yet made, by group; decides what a worker does next."""

    def __init__(self, calls: Iterable[Call]) -> None:
        self._groups: dict[Hashable, deque[Call]] = {}
        for call in calls:
            self._groups.setdefault(call.group, deque()).append(call)
        self._untouched = deque(self._groups)
        self._again: deque[Call] = deque()
        self._of: dict[str, Hashable] = {}

    def __bool__(self) -> bool:
        return bool(self._groups or self._again)

    def again(self, call: Call) -> None:
        """Take back a call, to be made by whichever worker asks next."""
        self._again.append(call)

    def next(self, worker: str) -> Call | None:
        """The next call for a worker: of its group, else of a new one, else of the longest."""
        if self._again:
            return self._again.popleft()
        if not self._groups:
            return None
        group = self._of.get(worker)
        if group not in self._groups or worker not in self._of:
            group = self._other_group()
            self._of[worker] = group
        calls = self._groups[group]
        call = calls.popleft()
        if not calls:
            del self._groups[group]
        return call

    def _other_group(self) -> Hashable:
        while self._untouched:
            group = self._untouched.popleft()
            if group in self._groups:
                return group
        return max(self._groups, key=lambda group: len(self._groups[group]))


@dataclass(frozen=True)
class _Worker:
    host: str
    since: float


@dataclass(frozen=True, eq=False)
class _Flight:
    """A call on its way; the future is kept, since Dask forgets what nobody holds."""

    call: Call
    worker: str
    future: Any


def _listener(events: "SimpleQueue[tuple[str, str, Any]]") -> Any:
    """A plugin of the scheduler that notes which workers come and go, and why they went."""
    from distributed import SchedulerPlugin

    class Listener(SchedulerPlugin):
        name = "sacrofem-listener"

        def add_worker(self, scheduler: Any, worker: str) -> None:
            events.put(("joined", worker, scheduler.workers[worker].host))

        def remove_worker(self, scheduler: Any, worker: str, **_: Any) -> None:
            restarts = scheduler.get_events("worker-restart-memory")
            memory = any(message["worker"] == worker for _, message in restarts)
            events.put(("left", worker, memory))

    return Listener()


class _Run:
    """One run of the engine: the client's view of workers and calls."""

    def __init__(
        self,
        client: Any,
        cluster: Any,
        function: Callable[[Any], Any],
        calls: Iterable[Call],
        walltime_s: float | None,
        tell_workers: Callable[[int], None],
    ) -> None:
        self._client, self._cluster, self._function = client, cluster, function
        self._walltime_s, self._tell_workers = walltime_s, tell_workers
        self._backlog = _Backlog(calls)
        self._events: SimpleQueue[tuple[str, str, Any]] = SimpleQueue()
        self._workers: dict[str, _Worker] = {}
        self._idle: set[str] = set()
        self._flights: dict[str, _Flight] = {}
        self._attempts: dict[str, int] = {}

    def answers(self) -> Iterator[list[Answer | Lost]]:
        """Answers until there is no call left; in one list what is there at one time."""
        scheduler = self._cluster.scheduler
        listener = _listener(self._events)
        scheduler.add_plugin(listener)
        for address, state in list(scheduler.workers.items()):
            self._join(address, state.host)
        handle: dict[str, Callable[[str, Any], Answer | Lost | None]]
        handle = {"joined": self._join, "left": self._leave, "done": self._land}
        while self._backlog or self._flights:
            outcomes = [handle[kind](name, value) for kind, name, value in self._next_events()]
            if found := [outcome for outcome in outcomes if outcome is not None]:
                yield found
        scheduler.remove_plugin(listener.name)

    def _next_events(self) -> Iterator[tuple[str, str, Any]]:
        """What happens next, with what has happened by then; nothing where all is quiet."""
        with suppress(Empty):
            # With a limit, so that Ctrl-C is seen on every platform.
            yield self._events.get(timeout=1.0)
            for _ in range(TOGETHER - 1):
                yield self._events.get_nowait()

    def _join(self, address: str, host: str) -> Answer | Lost | None:
        if address in self._workers:
            return None
        name = platform.node() if host == "127.0.0.1" else host
        self._workers[address] = _Worker(name, time.monotonic())
        self._tell_workers(len(self._workers))
        self._give(address)
        return None

    def _leave(self, address: str, memory: bool) -> Lost | None:
        worker = self._workers.pop(address, None)
        self._idle.discard(address)
        self._tell_workers(len(self._workers))
        flight = next((f for f in self._flights.values() if f.worker == address), None)
        if worker is None or flight is None:
            return None
        del self._flights[flight.call.key]
        flight.future.cancel()
        age_s = time.monotonic() - worker.since
        if memory:
            cause, text = "memory", "the worker was ended at its memory limit"
        elif self._walltime_s is not None and age_s > self._walltime_s - WALLTIME_MARGIN_S:
            cause, text = "walltime", f"the job ended after {age_s:.0f} s, at its time limit"
        else:
            cause, text = "worker lost", f"the worker process or its node is gone ({address})"
        return self._once_more(flight.call, Raised(cause, text, ""), worker.host)

    def _land(self, key: str, future: Any) -> Answer | Lost | None:
        flight = self._flights.get(key)
        if flight is None or flight.future is not future:
            return None  # lost with its worker before, and dealt with there
        back = self._fetch(flight)
        if back is None:
            return None
        del self._flights[key]
        host = self._workers[flight.worker].host
        # Before the answer is handed out and written: the worker must not wait for that.
        self._give(flight.worker)
        if isinstance(back, Raised):
            return self._once_more(flight.call, back, host)
        return Answer(key, back.value, host)

    def _fetch(self, flight: _Flight) -> Value | Raised | None:
        """What came back of a call; None where its worker is gone, whose own event tells why."""
        from distributed.scheduler import KilledWorker

        deadline = time.monotonic() + FETCH_WITHIN_S
        while flight.worker in self._cluster.scheduler.workers:
            try:
                back: Value | Raised = flight.future.result(timeout=1.0)
                return back
            except KilledWorker:
                return None
            except (Exception, CancelledError) as error:
                if flight.future.status == "error":
                    text = f"the call cannot be made: {type(error).__name__}: {error}"
                    return Raised("unexpected", text, traceback.format_exc())
                # On its way still, or its worker has just died and the scheduler will say so.
                if time.monotonic() > deadline:
                    text = f"no answer could be fetched within {FETCH_WITHIN_S:.0f} s"
                    return Raised("worker lost", text, traceback.format_exc())
                time.sleep(0.05)
        return None

    def _once_more(self, call: Call, raised: Raised, host: str) -> Lost | None:
        """Make a call again, or give it up."""
        attempts = self._attempts[call.key]
        if raised.cause in MADE_AGAIN and attempts < ATTEMPTS:
            self._backlog.again(call)
            if self._idle:
                self._give(self._idle.pop())
            return None
        return Lost(call.key, raised.cause, raised.message, raised.traceback, host, attempts)

    def _give(self, address: str) -> None:
        """Send a worker its next call, if there is one."""
        call = self._backlog.next(address)
        if call is None:
            self._idle.add(address)
            return
        attempt = self._attempts[call.key] = self._attempts.get(call.key, 0) + 1
        future = self._client.submit(
            make_call,
            self._function,
            call.argument,
            key=f"{call.key}-{attempt}",
            workers=[address],
            pure=False,
        )
        self._flights[call.key] = _Flight(call, address, future)
        future.add_done_callback(lambda done: self._events.put(("done", call.key, done)))

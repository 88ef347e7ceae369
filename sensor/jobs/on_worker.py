"""What a Dask worker does of a run over captures: it has a pool of its own (sensor.jobs.local) read them.

The worker's threads only wait for that pool's process, so its heartbeat never waits behind a kernel. One pool serves
all threads of a worker for one run; it ends with the worker, and once nobody has asked it for anything for a while.
"""

import hashlib
import json
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final

from sensor.errors import OutputError
from sensor.files.unfinished import scratch_directory
from sensor.jobs.local import LocalPool, PoolEndedError, unlike
from sensor.jobs.pool import News, Task
from sensor.sources.captures.objects import is_object
from sensor.version import VERSION

TOPIC: Final = "flowvigil"  # of the events that tell how far tasks are
TELL_S: Final = 1.0  # between two of them
LOOK_S: Final = 0.25
IDLE_S: Final = 60.0  # after which a pool without a task is closed
MOST_LINES: Final = 64 << 20  # bytes that come back of a task; a cluster is no place for more

_AT_WORK: Final = ("running", "paused", "closing_gracefully")  # states of a worker that finishes what it has begun

Order = dict[str, Any]  # what a worker is told of a task, see order_of
Outcome = dict[str, Any]  # `result` and `lines`, or `failure`, `lost` or `refused` with the reason


def order_of(run: str, told: dict[str, Any], module: str, ready: dict[str, Any]) -> Order:
    """What is the same of all tasks of a run.

    run: its name. told: first line of a pool's process. module: that this process runs. ready: what it must say of
    itself: `bundle`, `sha256` of that, and of `files` by path.
    """
    return {"run": run, "told": told, "module": module, "ready": ready, "directory": os.getcwd()}


def greet() -> dict[str, Any]:
    """What a worker says of itself, to whoever wants to give it something to do."""
    return {"version": VERSION}


def carry(order: Order) -> Outcome:
    """Do a task on the worker that this is called on.

    order: that of the run, with `number`, `attempt`, `task` and the capture's `size` in bytes (0: not known).
    """
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state == "executing" and worker.status.name in _AT_WORK

    def tell(done: int) -> None:
        worker.log_event(TOPIC, {"run": order["run"], "number": order["number"], "of": order["attempt"], "done": done})

    found, expected = _size_of(order), order["size"]
    if expected and found != expected and not is_object(order["task"]["capture"]):
        seen = "no such file" if found is None else f"{found:,} bytes"
        return {"failure": f"{worker.address}: found {seen}, expected the {expected:,} bytes that are here"}
    pool = _shared(order, worker.state.nthreads)
    try:
        if pool.refused:
            return {"refused": pool.refused}
        with scratch_directory() as scratch:
            part = scratch / "part"
            news = pool.do({**order["task"], "part": str(part)}, tell, wanted)
            return _outcome(news, part)
    except OutputError as error:  # there is no such directory to be had
        return {"refused": str(error)}
    finally:
        pool.leave()


def _outcome(news: News, part: Path) -> Outcome:
    """What goes back to who gave the task."""
    if news.result is None:
        return {"lost" if news.lost else "failure": news.failure}
    if "unwritten" in news.result:  # by a full disk, which would have this worker set all captures aside
        return {"refused": news.result["unwritten"]}
    with part.open("rb") as file:
        lines = file.read(MOST_LINES + 1)
    if len(lines) > MOST_LINES:
        return {"failure": f"gave more than the {MOST_LINES >> 20} MiB of lines that a cluster carries"}
    return {"result": news.result, "lines": lines, "done": news.done}


def _size_of(order: Order) -> int | None:
    try:
        return os.stat(os.path.join(order["directory"], order["task"]["capture"])).st_size
    except OSError:
        return None


class SharedPool:
    """A pool whose tasks come from threads; each waits for the news of its own."""

    def __init__(self, pool: LocalPool, ready: dict[str, Any]) -> None:
        """Begin it. ready: as of order_of."""
        self.users = 1
        self.refused = ""  # why it does nothing
        self._pool = pool
        self._heard: dict[int, deque[News]] = {}
        self._changed = threading.Condition()
        self._numbers = count()
        self._left_s = time.monotonic()
        try:
            self.refused = unlike(pool.start(), ready, "as here")
        except (PoolEndedError, OSError) as error:
            self.refused = str(error)
        if self.refused:
            pool.close()
        else:
            threading.Thread(target=self._listen, name="flowvigil pool", daemon=True).start()

    @property
    def idle(self) -> bool:
        """Whether nobody has wanted anything of it for so long that it may go."""
        return not self.users and time.monotonic() - self._left_s > IDLE_S

    def leave(self) -> None:
        """Say that a thread needs it no more."""
        with _LOCK:
            self.users -= 1
            self._left_s = time.monotonic()

    def do(self, task: Task, tell: Callable[[int], None], wanted: Callable[[], bool]) -> News:
        """Have a task done, and how it ended. tell: told how far it is. wanted: whether somebody waits for it still."""
        with self._changed:
            number = next(self._numbers)
            if self.refused:
                return News(number, failure=self.refused, lost=True)
            heard = self._heard[number] = deque()
            self._pool.submit(number, task)
        told_s, done = 0.0, 0
        try:
            while wanted():
                with self._changed:
                    self._changed.wait_for(lambda: heard, LOOK_S)
                while heard:
                    news = heard.popleft()
                    if news.over:
                        return news
                    done = news.done
                if time.monotonic() - told_s >= TELL_S:
                    told_s = time.monotonic()
                    tell(done)
            return News(number, failure="nobody waits for it any more", lost=True)
        finally:
            with self._changed:
                self._pool.withdraw(number)
                del self._heard[number]

    def _listen(self) -> None:
        """Hand news to whom it is for, until nobody has wanted anything for a while."""
        while True:
            select.select([self._pool.descriptor], [], [], LOOK_S)
            with self._changed:
                try:
                    found = self._pool.news(0)
                except (PoolEndedError, OSError) as error:
                    self.refused = str(error)
                    found = [News(number, failure=self.refused, lost=True) for number in self._heard]
                for news in found:
                    if news.number in self._heard:
                        self._heard[news.number].append(news)
                self._changed.notify_all()
            with _LOCK:
                if self.idle or self.refused:
                    _forget(self)
                    break
        self._pool.close()


_LOCK: Final = threading.Lock()
_POOLS: Final[dict[str, SharedPool]] = {}


def _shared(order: Order, slots: int) -> SharedPool:
    """The pool of a run on this worker, begun by the first who asks."""
    told = order["told"] | {"limits": order["told"]["limits"] | {"slots": slots}}
    directory = order["directory"] if os.path.isdir(order["directory"]) else None
    name = hashlib.sha256(json.dumps([told, order["module"], order["ready"], directory]).encode()).hexdigest()
    with _LOCK:
        found = _POOLS.get(name)
        if found is None or found.refused:
            command = [sys.executable, "-P", "-m", order["module"]]  # -P: nothing is loaded from where captures lie
            found = _POOLS[name] = SharedPool(LocalPool(command, told, slots, directory), order["ready"])
        else:
            found.users += 1
        return found


def _forget(pool: SharedPool) -> None:
    for name in [name for name, other in _POOLS.items() if other is pool]:
        del _POOLS[name]

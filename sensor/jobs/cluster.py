"""The pool of a Dask cluster: each task goes to one of its workers, whose own pool (sensor.jobs.on_worker) does it.

What carries bytes, knows workers and starts functions on them is dask.distributed (sensor.jobs.dask_thread). What is
decided here: which worker has which task, when one is taken to be gone or hung, and when nobody is left to wait for.
"""

import hashlib
import queue
import secrets
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensor.errors import OutputError, reason_of
from sensor.files.unfinished import whole_file
from sensor.jobs.dask_thread import LOOK_S, ClusterError, DaskThread, reason
from sensor.jobs.on_worker import Order, Outcome
from sensor.jobs.pool import News, Task
from sensor.printable import printable
from sensor.progress.progress import WorkerRate
from sensor.version import VERSION

if TYPE_CHECKING:
    from distributed import Security

HUNG_S: Final = 30.0  # without a heartbeat, after which a worker's tasks go to others
BEGIN_S: Final = 300.0  # in which a worker has its kernels compiled, beyond the patience with a capture
MOST_NAMED: Final = 20  # workers, at the end
STOOD_S: Final = 5.0  # between two looks, from which on this process stood still itself, as by Ctrl-Z


@dataclass(slots=True)
class Worker:
    """A worker of the cluster."""

    identity: str = ""  # changes where another one has the same address; "" of one that is gone
    threads: int = 0
    heartbeat: float = 0.0  # the scheduler's time of its last one
    heard_s: float = 0.0  # when that changed
    fit: bool | None = None  # whether it is of this version and has the bundle, None: not known yet
    tasks: int = 0
    done: int = 0  # tasks with a result
    read: int = 0  # bytes of those
    busy_s: float = 0.0  # in which it had any task, before it had none the last time
    since_s: float = 0.0  # when it got one after that

    def take(self, now_s: float) -> None:
        """Have one more task."""
        self.since_s = self.since_s if self.tasks else now_s
        self.tasks += 1

    def drop(self, now_s: float) -> None:
        """Have one less."""
        self.busy_s = self.busy_until(now_s) if self.tasks == 1 else self.busy_s
        self.tasks -= 1

    def busy_until(self, now_s: float) -> float:
        """In which it had any task."""
        return self.busy_s + (now_s - self.since_s if self.tasks else 0.0)

    def hung(self, now_s: float) -> bool:
        """Whether it gives no sign of life."""
        return now_s - self.heard_s > HUNG_S


@dataclass(slots=True)
class Given:
    """A task that a worker has."""

    attempt: int
    address: str
    task: Task
    began_s: float
    heard_s: float
    carrying: "Future[None]"
    done: int = 0  # how far it is


class ClusterPool:
    """Carries tasks to the workers of a cluster. A context manager."""

    def __init__(
        self, address: str, security: "Security | None", order: Order, *, reconnect_s: float, patience_s: float
    ) -> None:
        """address: of the scheduler. order: what is the same of all tasks. reconnect_s: for which one that is gone, or
        a cluster without a worker, is waited for. patience_s: for which a capture's reading may stand still.
        """
        self._address, self._order = address, order
        self._reconnect_s, self._silence_s = reconnect_s, BEGIN_S + patience_s
        self._dask = DaskThread(address, security, order["run"], reconnect_s)
        self._workers: dict[str, Worker] = {}
        self._given: dict[int, Given] = {}
        self._attempts = 0
        self._said: list[str] = []
        self._unfit: list[str] = []
        self._gone_s: float | None = None  # since when there is no scheduler
        self._why = ""
        self._without_s = time.monotonic()  # since when there is no worker to use
        self._looked_s = time.monotonic()

    def __enter__(self) -> "ClusterPool":
        self._dask.open()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def free(self) -> int:
        """How many tasks it takes now."""
        if self._gone_s is not None:
            return 0
        now_s = time.monotonic()
        return sum(max(0, worker.threads - worker.tasks) for worker in self._workers.values() if _usable(worker, now_s))

    def submit(self, number: int, task: Task) -> str:
        """Have a task done by the worker that has the least to do; its address."""
        now_s = time.monotonic()
        usable = [address for address, worker in self._workers.items() if _usable(worker, now_s)]
        address = max(usable, key=lambda name: self._workers[name].threads - self._workers[name].tasks)
        self._attempts += 1
        self._workers[address].take(now_s)
        order = self._order | {"number": number, "attempt": self._attempts, "task": task, "size": task["size"] or 0}
        carrying = self._dask.carry(number, self._attempts, address, order)
        self._given[number] = Given(self._attempts, address, task, now_s, now_s, carrying)
        return address

    def news(self, within_s: float) -> list[News]:
        """What has happened since the last call; waits for something for so long. Raises ClusterError, OutputError."""
        found: list[News] = []
        with suppress(queue.Empty):
            what, told = self._dask.heard.get(timeout=within_s)
            while True:
                found += self._take(what, told)
                what, told = self._dask.heard.get_nowait()
        self._pass_over()
        return found + self._missing()

    def _pass_over(self) -> None:
        """Count no time in which this process stood still and heard of nobody."""
        now_s = time.monotonic()
        if (stood_s := now_s - self._looked_s) > STOOD_S:
            for worker in self._workers.values():
                worker.heard_s = min(now_s, worker.heard_s + stood_s)
            for given in self._given.values():
                given.heard_s = min(now_s, given.heard_s + stood_s)
            self._without_s = min(now_s, self._without_s + stood_s)
            if self._gone_s is not None:
                self._gone_s = min(now_s, self._gone_s + stood_s)
        self._looked_s = now_s

    def remarks(self) -> list[str]:
        """What is to be said of the cluster since the last call."""
        said, self._said = self._said, []
        return said

    def rates(self) -> tuple[WorkerRate, ...]:
        """How much each worker has read by now, those that are gone too."""
        now_s = time.monotonic()
        read = {
            name: WorkerRate(name, worker.done, worker.read, worker.busy_until(now_s))
            for name, worker in self._workers.items()
        }
        for given in self._given.values():
            read[given.address] = read[given.address].after(0, given.done, 0.0)
        return tuple(rate for rate in read.values() if rate.busy_s)

    def account(self) -> list[str]:
        """How much each worker has read, and how fast."""
        named = sorted(self.rates(), key=lambda worker: -worker.bytes)
        lines = [
            f"{worker.name}: {worker.captures:,} captures, {worker.bytes / 1e6:,.1f} MB, "
            f"{worker.megabytes_per_s:,.1f} MB/s while reading"
            for worker in named[:MOST_NAMED]
            if worker.captures
        ]
        return lines + [f"and {len(named) - MOST_NAMED:,} other workers"] * (len(named) > MOST_NAMED)

    def close(self) -> None:
        """Leave the cluster, which ends what it does of these tasks."""
        self._dask.close()

    # What the queue brings, on the caller's thread.

    def _take(self, what: str, told: Any) -> list[News]:
        now_s = time.monotonic()
        match what:
            case "seen":
                self._report(told)
            case "workers":
                return self._meet(told, now_s)
            case "greeted":
                self._judge(*told)
            case "far":
                given = self._given.get(told["number"])
                if given is not None and given.attempt == told["of"]:
                    given.heard_s, given.done = now_s, told["done"]
                    return [News(told["number"], told["done"])]
            case "ended":
                return self._end(*told)
            case "connected":
                self._gone_s, self._without_s = None, now_s
                self._report(f"{self._address}: the scheduler is there again")
            case "gone":
                return self._lose_all(told, now_s)
        return []

    def _meet(self, found: dict[str, dict[str, Any]], now_s: float) -> list[News]:
        """Take in which workers there are; tasks of those that are gone are lost."""
        for address, about in found.items():
            worker = self._workers.setdefault(address, Worker())
            if worker.identity != about["id"]:  # new, or the successor of one that had this address
                worker.identity, worker.fit, worker.heard_s = about["id"], None, now_s
                self._dask.greet(address, about["id"])
            worker.threads = about["nthreads"]
            if worker.heartbeat != about["last_seen"]:
                worker.heartbeat, worker.heard_s = about["last_seen"], now_s
        for address, worker in self._workers.items():
            if address not in found:
                worker.fit, worker.identity = None, ""
        return [
            self._lost(number, f"{given.address}: the worker is gone")
            for number, given in list(self._given.items())
            if self._workers[given.address].fit is None
        ]

    def _judge(self, address: str, identity: str, said: Any) -> None:
        """Take in what a worker says of itself."""
        worker = self._workers[address]
        if worker.identity != identity:
            return
        if isinstance(said, OSError):  # no answer, or none in time
            self._dask.greet(address, identity)
            return
        version = said.get("version") if isinstance(said, dict) else None
        worker.fit = version == VERSION
        if version is None:
            self._refuse(address, f"found no flowvigil that answers ({reason(said)}), expected {VERSION}")
        elif not worker.fit:
            self._refuse(address, f"found flowvigil {printable(str(version), 40)}, expected {VERSION}, as here")

    def _refuse(self, address: str, why: str) -> None:
        line = f"{address}: not used: {why}"
        self._workers[address].fit = False
        self._unfit.append(line)
        self._report(line)

    def _report(self, line: str) -> None:
        self._said.append(line)

    def _end(self, number: int, attempt: int, outcome: Outcome) -> list[News]:
        """Take in how a task ended; its lines are in their file then."""
        given = self._given.get(number)
        if given is None or given.attempt != attempt:
            return []
        if "refused" in outcome:
            self._refuse(given.address, outcome["refused"])
        if "lost" in outcome or "refused" in outcome:
            return [self._lost(number, f"{given.address}: {outcome.get('lost') or outcome['refused']}")]
        worker = self._workers[given.address]
        self._forget(number)
        if "failure" in outcome:
            return [News(number, failure=outcome["failure"])]
        lines, result = outcome["lines"], outcome["result"]
        if hashlib.sha256(lines).hexdigest() != result.get("sha256"):
            return [News(number, failure=f"{given.address}: found other lines than were sent")]
        try:
            with whole_file(Path(given.task["part"])) as part:
                part.write(lines)
        except OSError as error:
            raise OutputError(
                f"{printable(given.task['part'], 200)}: cannot be written ({reason_of(error)})"
            ) from error
        worker.done += 1
        worker.read += outcome["done"]
        return [News(number, outcome["done"], result)]

    def _missing(self) -> list[News]:
        """What was lost without a word. Raises ClusterError where nothing more can come."""
        now_s = time.monotonic()
        if self._gone_s is not None:
            if now_s - self._gone_s > self._reconnect_s:
                raise ClusterError(
                    f"{self._address}: the scheduler has been gone for {self._reconnect_s:.0f} s ({self._why})"
                )
            return []
        alive = [worker for worker in self._workers.values() if worker.fit is not False and worker.identity]
        if any(not worker.hung(now_s) for worker in alive):
            self._without_s = now_s
        elif now_s - self._without_s > (LOOK_S if self._unfit and not alive else self._reconnect_s):
            raise ClusterError(self._nobody(len(alive)))
        lost = []
        for number, given in list(self._given.items()):
            if self._workers[given.address].hung(now_s):
                lost.append(self._lost(number, f"{given.address}: no heartbeat of the worker for {HUNG_S:.0f} s"))
            elif now_s - given.heard_s > self._silence_s:
                lost.append(self._lost(number, f"{given.address}: no word of the task for {self._silence_s:.0f} s"))
        return lost

    def _nobody(self, hung: int) -> str:
        if self._unfit and not hung:
            return self._unfit[-1]
        found = f"{hung} without a heartbeat" if hung else "none"
        return f"{self._address}: found {found}, expected workers within {self._reconnect_s:.0f} s"

    def _lose_all(self, why: str, now_s: float) -> list[News]:
        self._gone_s, self._why = now_s, why
        self._report(
            f"{self._address}: the scheduler is gone ({why}); waiting for it for up to {self._reconnect_s:.0f} s"
        )
        for worker in self._workers.values():
            worker.identity, worker.fit = "", None
        return [self._lost(number, f"{self._address}: the scheduler is gone") for number in list(self._given)]

    def _lost(self, number: int, why: str) -> News:
        self._forget(number)
        return News(number, failure=why, lost=True)

    def _forget(self, number: int) -> None:
        given = self._given.pop(number)
        given.carrying.cancel()
        self._workers[given.address].drop(time.monotonic())


def run_name() -> str:
    """A name for a run, that no other has."""
    return secrets.token_hex(8)


def _usable(worker: Worker, now_s: float) -> bool:
    return worker.fit is True and not worker.hung(now_s)

"""The pool of a Dask cluster: each task goes to one of its workers, whose own pool (sensor.jobs.on_worker) does it.

What carries bytes, knows workers and starts functions on them is dask.distributed. What is decided here: which worker
has which task, when one is taken to be gone or hung, and for how long a scheduler is waited for. All that Dask does
runs on a thread of its own, with an end in time for each step; what it finds comes back by a queue.
Source: https://distributed.dask.org (Client, Security, events, diagnosing of workers by Scheduler.identity).
"""

import asyncio
import hashlib
import logging
import queue
import re
import secrets
import socket
import threading
import time
import warnings
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensor.errors import CLUSTER, OutputError, reason_of
from sensor.files.unfinished import whole_file
from sensor.jobs import on_worker
from sensor.jobs.on_worker import Order, Outcome
from sensor.jobs.pool import News, Task
from sensor.jobs.schedule import CarrierError
from sensor.printable import printable
from sensor.version import VERSION

if TYPE_CHECKING:
    from distributed import Client, Security

CONNECT_S: Final = 10.0  # for one attempt to reach a scheduler
ASK_S: Final = 15.0  # for an answer of it, or of a worker
LOOK_S: Final = 1.0  # between two looks at the workers
HUNG_S: Final = 30.0  # without a heartbeat, after which a worker's tasks go to others
CLOSE_S: Final = 5.0
PROBE_S: Final = 2.0
BEGIN_S: Final = 300.0  # in which a worker has its kernels compiled, beyond the patience with a capture
MOST_NAMED: Final = 20  # workers, at the end
_OF_SYSTEM: Final = re.compile(r"\[Errno -?\d+\] ([^()\[\]]+)")


class ClusterError(CarrierError):
    """A cluster that cannot be reached, has gone or has no worker to use."""

    exit_code = CLUSTER


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
    busy_s: float = 0.0  # that reading them took

    def hung(self, now_s: float) -> bool:
        """Whether it gives no sign of life."""
        return now_s - self.heard_s > HUNG_S


@dataclass(slots=True)
class Given:
    """A task that a worker has."""

    attempt: int
    address: str
    task: Task
    given_s: float
    heard_s: float
    carrying: "Future[None]"


class ClusterPool:
    """Carries tasks to the workers of a cluster. A context manager."""

    def __init__(
        self, address: str, security: "Security | None", order: Order, *, reconnect_s: float, patience_s: float
    ) -> None:
        """address: of the scheduler. order: what is the same of all tasks. reconnect_s: for which one that is gone, or
        a cluster without a worker, is waited for. patience_s: for which a capture's reading may stand still.
        """
        self._address, self._security, self._order = address, security, order
        self._reconnect_s, self._silence_s = reconnect_s, BEGIN_S + patience_s
        self._connect_s = min(CONNECT_S, reconnect_s)
        self._workers: dict[str, Worker] = {}
        self._given: dict[int, Given] = {}
        self._attempts = 0
        self._heard: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._said: list[str] = []
        self._unfit: list[str] = []
        self._gone_s: float | None = None  # since when there is no scheduler
        self._why = ""
        self._without_s = time.monotonic()  # since when there is no worker to use
        self._client: Client | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cluster", daemon=True)

    def __enter__(self) -> "ClusterPool":
        _be_silent()
        self._thread.start()
        try:
            self._done(self._connect(), self._connect_s + ASK_S)
        except Exception as error:
            self.close()
            why = _refused(self._address) or _unreachable(error)
            raise ClusterError(f"{self._address}: {why}, expected a Dask scheduler") from error
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

    def submit(self, number: int, task: Task) -> None:
        """Have a task done by the worker that has the least to do."""
        now_s = time.monotonic()
        usable = [address for address, worker in self._workers.items() if _usable(worker, now_s)]
        address = max(usable, key=lambda name: self._workers[name].threads - self._workers[name].tasks)
        self._attempts += 1
        self._workers[address].tasks += 1
        order = self._order | {"number": number, "attempt": self._attempts, "task": task, "size": task["size"] or 0}
        carrying = self._begun(self._carry(number, self._attempts, address, order))
        self._given[number] = Given(self._attempts, address, task, now_s, now_s, carrying)

    def news(self, within_s: float) -> list[News]:
        """What has happened since the last call; waits for something for so long. Raises ClusterError, OutputError."""
        found: list[News] = []
        with suppress(queue.Empty):
            what, told = self._heard.get(timeout=within_s)
            while True:
                found += self._take(what, told)
                what, told = self._heard.get_nowait()
        return found + self._missing()

    def remarks(self) -> list[str]:
        """What is to be said of the cluster since the last call."""
        said, self._said = self._said, []
        return said

    def account(self) -> list[str]:
        """How much each worker has read, and how fast."""
        named = sorted(self._workers.items(), key=lambda entry: -entry[1].read)
        lines = [
            f"{address}: {worker.done:,} captures, {worker.read / 1e6:,.1f} MB, "
            f"{worker.read / 1e6 / max(worker.busy_s, 1e-3):,.1f} MB/s while reading"
            for address, worker in named[:MOST_NAMED]
            if worker.done
        ]
        return lines + [f"and {len(named) - MOST_NAMED:,} other workers"] * (len(named) > MOST_NAMED)

    def close(self) -> None:
        """Leave the cluster, which ends what it does of these tasks."""
        with suppress(Exception):
            self._done(self._end_all(), 2 * CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_S)

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
                    given.heard_s = now_s
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
                self._begun(self._greet(address, about["id"]))
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
            self._begun(self._greet(address, identity))
            return
        version = said.get("version") if isinstance(said, dict) else None
        worker.fit = version == VERSION
        if version is None:
            self._refuse(address, f"found no flowvigil that answers ({_reason(said)}), expected {VERSION}")
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
        worker.busy_s += result.get("seconds") or 0.0
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
        self._workers[given.address].tasks -= 1

    # What runs on the thread of the loop.

    def _begun(self, what: Coroutine[Any, Any, None]) -> "Future[None]":
        return asyncio.run_coroutine_threadsafe(what, self._loop)

    def _done(self, what: Coroutine[Any, Any, None], within_s: float) -> None:
        self._begun(what).result(within_s)

    async def _connect(self) -> None:
        """Have a client, by whom the workers are looked at from now on."""
        from distributed import Client

        client = Client(
            self._address, security=self._security, asynchronous=True, timeout=self._connect_s, set_as_default=False
        )
        try:
            await asyncio.wait_for(client, self._connect_s + 1)
            client.subscribe_topic(on_worker.TOPIC, self._hear)
        except BaseException:
            with suppress(Exception):
                await asyncio.wait_for(client.close(), CLOSE_S)
            raise
        self._client = client
        self._loop.create_task(self._watch(client))

    async def _watch(self, client: "Client") -> None:
        """Look at the workers until the scheduler is gone; then wait for another."""
        why, first = "it ended the connection", True
        while client.status == "running":
            try:
                assert client.scheduler is not None  # noqa: S101  # as long as it runs
                found = await asyncio.wait_for(client.scheduler.identity(n_workers=-1), ASK_S)
                if first:
                    self._heard.put(("seen", _dashboard(self._address, found)))
                first = False
                self._heard.put(("workers", found["workers"]))
            except Exception as error:  # noqa: BLE001  # whatever a client finds: it is told, and another one tried
                why = _unreachable(error)
                break
            await asyncio.sleep(LOOK_S)
        if self._client is not client:  # closed by this process
            return
        self._client = None
        self._heard.put(("gone", why))
        await self._leave(client)
        began_s = time.monotonic()
        while time.monotonic() - began_s < self._reconnect_s:
            try:
                await self._connect()
            except Exception:  # noqa: BLE001  # as above, until the time is over
                await asyncio.sleep(LOOK_S)
            else:
                self._heard.put(("connected", None))
                return

    async def _end_all(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await self._leave(client)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 1.0)

    async def _leave(self, client: "Client") -> None:
        with suppress(Exception):
            await asyncio.wait_for(client.close(), CLOSE_S)

    async def _greet(self, address: str, identity: str) -> None:
        said: Any
        try:
            assert self._client is not None  # noqa: S101  # who told of the worker
            answers = await asyncio.wait_for(
                self._client.run(on_worker.greet, workers=[address], on_error="return"), ASK_S
            )
            said = answers.get(address)
        except Exception as error:  # noqa: BLE001  # whatever the worker cannot do: it is not used, and that is told
            await asyncio.sleep(LOOK_S)
            said = error
        self._heard.put(("greeted", (address, identity, said)))

    async def _carry(self, number: int, attempt: int, address: str, order: Order) -> None:
        """Give a task to a worker, and wait for how it ends; cancelled, it is taken back."""
        from distributed.scheduler import KilledWorker

        client, key = self._client, f"flowvigil-{order['run']}-{attempt}"
        outcome: Outcome
        try:
            if client is None:
                raise asyncio.CancelledError
            future = client.submit(on_worker.carry, order, key=key, workers=[address], pure=False)
            try:
                outcome = await future
            except asyncio.CancelledError:
                with suppress(Exception):
                    await asyncio.wait_for(client.cancel([future], reason="no longer wanted"), CLOSE_S)
                raise
            finally:
                future.release()
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():  # by this process
                return
            await asyncio.sleep(3 * LOOK_S)  # if the scheduler is gone, that is known by then
            outcome = {"lost": "taken back by the cluster"}
        except KilledWorker:
            outcome = {"lost": "the worker ended"}
        except Exception as error:  # noqa: BLE001  # of the task, on the worker: an attempt that failed
            outcome = {"failure": f"{address}: {_reason(error)}"}
        self._heard.put(("ended", (number, attempt, outcome)))

    def _hear(self, event: tuple[float, Any]) -> None:
        """An event of a worker's."""
        _, told = event
        if isinstance(told, dict) and told.get("run") == self._order["run"]:
            self._heard.put(("far", told))


def run_name() -> str:
    """A name for a run, that no other has."""
    return secrets.token_hex(8)


def _dashboard(address: str, found: dict[str, Any]) -> str:
    """What a scheduler says of itself, as a line."""
    from distributed.utils import format_dashboard_link

    line = f"{address}: {found['n_workers']:,} workers with {found['total_threads']:,} threads"
    if (port := found["services"].get("dashboard")) is None:
        return line
    host = address.partition("://")[2].rpartition(":")[0]
    return f"{line}; dashboard: {format_dashboard_link(host, port)}"


def _usable(worker: Worker, now_s: float) -> bool:
    return worker.fit is True and not worker.hung(now_s)


def _reason(error: Any) -> str:
    """What went wrong on a worker, in a few words on one line."""
    text = printable(" ".join(str(error).split()), 160)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _refused(address: str) -> str:
    """Why nothing listens there, "" where something does. Dask tells of its last attempt, which had no time left."""
    host, _, port = address.partition("://")[2].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PROBE_S).close()
    except OSError as error:
        return reason_of(error)
    return ""


def _unreachable(error: Exception) -> str:
    """Why there is no connection to a scheduler."""
    if isinstance(error, OSError):
        found = _OF_SYSTEM.search(str(error)) or _OF_SYSTEM.search(str(error.__cause__))
        return found[1].lower() if found else "no answer in time"
    if isinstance(error, MemoryError | ValueError | LookupError | AssertionError | TypeError):
        return "something else than Dask answers"
    return _reason(error)


def _be_silent() -> None:
    """Have Dask write nothing by itself: what there is to say is said here."""
    warnings.filterwarnings("ignore", module="distributed")
    import distributed  # noqa: F401  # sets up its loggers

    for name in ("distributed", *(name for name in logging.root.manager.loggerDict if name.startswith("distributed."))):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [logging.NullHandler()], False
        logger.setLevel(logging.CRITICAL + 1)

"""All that Dask does of a run: on a thread of its own, with an end in time for each step.

What it finds comes back by a queue, as pairs: `seen` a line about the cluster; `workers` by address, as the scheduler
knows them; `greeted` address, identity and what that worker said, or an exception; `far` number, attempt (`of`) and how
far that is (`done`); `ended` number, attempt and outcome; `gone` why there is no scheduler any more; `connected`.
Source: https://distributed.dask.org (Client, events, Scheduler.identity).
"""

import asyncio
import logging
import queue
import re
import socket
import threading
import time
import warnings
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from sensor.errors import CLUSTER, reason_of
from sensor.jobs import on_worker
from sensor.jobs.on_worker import Order, Outcome
from sensor.jobs.schedule import CarrierError
from sensor.printable import printable

if TYPE_CHECKING:
    from distributed import Client, Security

CONNECT_S: Final = 10.0  # for one attempt to reach a scheduler
ASK_S: Final = 15.0  # for an answer of it, or of a worker
LOOK_S: Final = 1.0  # between two looks at the workers
CLOSE_S: Final = 5.0
PROBE_S: Final = 2.0
OF_WORKERS: Final = ("id", "nthreads", "last_seen")  # what is told of each
MOST_WAITING: Final = 10_000  # before what passes is not told of: whoever asks may wait hours for a reader of lines
_OF_SYSTEM: Final = re.compile(r"\[Errno -?\d+\] ([^()\[\]]+)")


class ClusterError(CarrierError):
    """A cluster that cannot be reached, has gone or has no worker to use."""

    exit_code = CLUSTER


class DaskThread:
    """A client of a scheduler, and another one once that is gone."""

    def __init__(self, address: str, security: "Security | None", run: str, reconnect_s: float) -> None:
        """address: of the scheduler. run: name of the run. reconnect_s: for which one that is gone is waited for."""
        self.heard: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._address, self._security, self._run = address, security, run
        self._reconnect_s, self._connect_s = reconnect_s, min(CONNECT_S, reconnect_s)
        self._client: Client | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cluster", daemon=True)

    def open(self) -> None:
        """Reach the scheduler. Raises ClusterError."""
        _be_silent()
        self._thread.start()
        try:
            self._begun(self._connect()).result(self._connect_s + ASK_S)
        except Exception as error:
            self.close()
            why = _refused(self._address) or _unreachable(error)
            raise ClusterError(f"{self._address}: {why}, expected a Dask scheduler") from error

    def close(self) -> None:
        """Leave the cluster, which ends what it does of this run."""
        with suppress(Exception):
            self._begun(self._end_all()).result(2 * CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_S)

    def greet(self, address: str, identity: str) -> None:
        """Ask a worker what it is."""
        self._begun(self._greeted(address, identity))

    def carry(self, number: int, attempt: int, address: str, order: Order) -> "Future[None]":
        """Give a task to a worker; what comes back takes it back when it is cancelled."""
        return self._begun(self._carried(number, attempt, address, order))

    def _begun(self, what: Coroutine[Any, Any, None]) -> "Future[None]":
        return asyncio.run_coroutine_threadsafe(what, self._loop)

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
        why, identity = "it ended the connection", None
        while client.status == "running":
            try:
                assert client.scheduler is not None  # noqa: S101  # as long as it runs
                found = await asyncio.wait_for(client.scheduler.identity(n_workers=-1), ASK_S)
                if identity is None:
                    identity = found["id"]
                    self.heard.put(("seen", _dashboard(self._address, found)))
                if identity != found["id"]:  # of which this client has asked for no events
                    why = "another one has its place"
                    break
                about = {at: {name: one[name] for name in OF_WORKERS} for at, one in found["workers"].items()}
                self._mention("workers", about)
            except Exception as error:  # noqa: BLE001  # whatever a client finds: it is told, and another one tried
                why = _unreachable(error)
                break
            await asyncio.sleep(LOOK_S)
        if self._client is not client:  # closed by this process
            return
        self._client = None
        self.heard.put(("gone", why))
        await self._leave(client)
        began_s = time.monotonic()
        while time.monotonic() - began_s < self._reconnect_s:
            try:
                await self._connect()
            except Exception:  # noqa: BLE001  # as above, until the time is over
                await asyncio.sleep(LOOK_S)
            else:
                self.heard.put(("connected", None))
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

    async def _greeted(self, address: str, identity: str) -> None:
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
        self.heard.put(("greeted", (address, identity, said)))

    async def _carried(self, number: int, attempt: int, address: str, order: Order) -> None:
        """Give a task to a worker, and wait for how it ends; cancelled, it is taken back."""
        from distributed.comm.core import CommClosedError
        from distributed.scheduler import KilledWorker

        client, key = self._client, f"flowvigil-{self._run}-{attempt}"
        outcome: Outcome
        future = None
        try:
            if client is None:  # which is gone
                raise CancelledError
            future = client.submit(on_worker.carry, order, key=key, workers=[address], pure=False)
            outcome = await future
        except asyncio.CancelledError:  # by this process
            with suppress(Exception):
                assert client is not None  # noqa: S101  # who has waited
                await asyncio.wait_for(client.cancel([future], reason="no longer wanted"), CLOSE_S)
            return
        except (CancelledError, CommClosedError) as error:  # by the cluster, or what came of it did not come through
            await asyncio.sleep(3 * LOOK_S)  # if the scheduler is gone, that is known by then
            taken_back = isinstance(error, CancelledError)
            outcome = {"lost": "taken back by the cluster" if taken_back else "the connection to the cluster broke"}
        except KilledWorker:
            outcome = {"lost": "the worker ended"}
        except Exception as error:  # noqa: BLE001  # of the task, on the worker: an attempt that failed
            outcome = {"failure": f"{address}: {reason(error)}"}
        finally:
            if future is not None:
                future.release()
        self.heard.put(("ended", (number, attempt, outcome)))

    def _mention(self, what: str, told: Any) -> None:
        """Tell what will be told anew in a moment."""
        if self.heard.qsize() < MOST_WAITING:
            self.heard.put((what, told))

    def _hear(self, event: tuple[float, Any]) -> None:
        """An event of a worker's."""
        _, told = event
        if isinstance(told, dict) and told.get("run") == self._run:
            self._mention("far", told)


def _dashboard(address: str, found: dict[str, Any]) -> str:
    """What a scheduler says of itself, as a line."""
    from distributed.utils import format_dashboard_link

    line = f"{address}: {found['n_workers']:,} workers with {found['total_threads']:,} threads"
    if (port := found["services"].get("dashboard")) is None:
        return line
    host = address.partition("://")[2].rpartition(":")[0]
    return f"{line}; dashboard: {format_dashboard_link(host, port)}"


def reason(error: Any) -> str:
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
    return reason(error)


def _be_silent() -> None:
    """Have Dask write nothing by itself: what there is to say is said here."""
    warnings.filterwarnings("ignore", module="distributed")
    import distributed  # noqa: F401  # sets up its loggers

    for name in ("distributed", *(name for name in logging.root.manager.loggerDict if name.startswith("distributed."))):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [logging.NullHandler()], False
        logger.setLevel(logging.CRITICAL + 1)

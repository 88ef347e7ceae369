"""A Dask cluster on loopback: a scheduler and workers, each a process of its own, which may be killed and started anew.

A service manager would start them again (Restart=always); so does `keep_up`.
"""

import ctypes
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from sensor.process.children import PR_SET_PDEATHSIG
from tests.support.certificates import Identity
from tests.support.command import surroundings

START_S: Final = 60.0


class Cluster:
    """Its processes. A context manager, which ends them."""

    def __init__(self, directory: Path, workers: int, tls: Identity | None = None, **environment: str) -> None:
        """directory: for what they write. tls: what both kinds of processes show, None: they speak plainly.
        environment: variables of theirs.
        """
        self._directory, self._environment = directory, environment
        files = () if tls is None else zip(("ca-file", "cert", "key"), (tls.ca, tls.certificate, tls.key), strict=True)
        self._tls = [word for name, file in files for word in (f"--tls-{name}", str(file))]
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self._port = found.getsockname()[1]
        self.address = f"{'tls' if self._tls else 'tcp'}://127.0.0.1:{self._port}"
        self._host = self.address.rpartition(":")[0]  # with how they speak
        self._wanted = workers
        self._starts = 0
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Cluster":
        self.keep_up()
        return self

    def __exit__(self, *_error: object) -> None:
        for process in [*self.workers, self.scheduler]:
            if process is not None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()

    def keep_up(self) -> None:
        """Start what is not there, or no more."""
        if self.scheduler is None or self.scheduler.poll() is not None:
            self.scheduler = self._started(
                "dask_scheduler", "--port", str(self._port), "--dashboard-address", "127.0.0.1:0"
            )
            self._wait_for_scheduler()
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < self._wanted:
            local = ("--local-directory", str(self._directory), "--no-dashboard", "--death-timeout", "60")
            self.workers.append(self._started("dask_worker", self.address, "--nthreads", "1", "--no-nanny", *local))

    def kill_worker(self, number: int = 0) -> None:
        """Kill one at once."""
        worker = self.workers.pop(number)
        worker.kill()
        worker.wait()

    def kill_scheduler(self) -> None:
        """Kill it at once."""
        assert self.scheduler is not None
        self.scheduler.kill()
        self.scheduler.wait()

    def _started(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        self._starts += 1
        with (self._directory / f"{program}-{self._starts}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{program}", *arguments, "--host", self._host, *self._tls],
                env=surroundings(**self._environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509  # which takes no lock
            )

    def _wait_for_scheduler(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1.0).close()
            except OSError:
                assert time.monotonic() < deadline, "the scheduler does not listen"
                time.sleep(0.05)
            else:
                return


def end_with_parent() -> None:
    """Have a process that is about to begin end with this one."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

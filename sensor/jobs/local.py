"""The pool of this machine: its process (sensor.jobs.server), begun anew where it ends unasked."""

import select
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from sensor.errors import CONFIG
from sensor.jobs.pool import News, Task
from sensor.jobs.schedule import CarrierError
from sensor.jobs.server import Lines, of_json, say
from sensor.printable import printable
from sensor.process.children import how_it_ended
from sensor.progress.progress import WorkerRate

ENDING_S: Final = 10.0  # for it to be gone once nobody tells it anything
BEGUN_ANEW: Final = 20  # times without being ready, after which whatever ends it is taken to be lasting


class PoolEndedError(CarrierError):
    """The pool's process ends again and again, or cannot begin; the text says how."""


class PoolChangedError(PoolEndedError):
    """The pool's process, begun anew, would do otherwise than before."""

    exit_code = CONFIG


@dataclass(slots=True)
class _Given:
    """A task that the process has."""

    slot: int  # of those that it does at once
    began_s: float
    done: int = 0  # how far it is


class LocalPool:
    """Carries tasks to a pool's process, whose news it gives. A context manager."""

    def __init__(
        self, command: Sequence[str], settings: dict[str, Any], slots: int, directory: str | None = None
    ) -> None:
        """command: of a process that reads the settings as its first line, and then serves. slots: of its pool.

        directory: that the process works in, None: that of this one.
        """
        self.slots = slots
        self._directory = directory
        self._command = command
        self._settings = settings
        self._begun = 0
        self._first: dict[str, Any] | None = None  # what its process said of itself at first
        self._given: dict[int, _Given] = {}  # tasks that it has
        self._read = [WorkerRate(f"worker {slot + 1}", 0, 0, 0.0) for slot in range(slots)]
        self._process: subprocess.Popen[bytes] | None = None
        self._lines = Lines(-1)

    def __enter__(self) -> "LocalPool":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def free(self) -> int:
        """How many tasks it takes now."""
        return self.slots - len(self._given)

    def start(self) -> dict[str, Any]:
        """Begin, and what it says of itself.

        Raises PoolEndedError where it ends by itself before it is ready, or is killed again and again.
        """
        while True:
            self._begun += 1
            if self._begun > BEGUN_ANEW:
                raise PoolEndedError(
                    f"the process that reads captures has ended {BEGUN_ANEW} times before it was ready"
                )
            found = self._once()
            if isinstance(found, dict):
                self._begun = 0
                self._first = self._first or found
                return found
            if found >= 0:
                raise PoolEndedError(f"the process that reads captures has ended: {how_it_ended(found)}")

    def _once(self) -> dict[str, Any] | int:
        """Begin, and what it says of itself; how it ended where it did, below 0 by a signal."""
        process = subprocess.Popen(  # noqa: S603  # this program
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            cwd=self._directory,
        )
        self._process = process
        assert process.stdin is not None  # noqa: S101  # both are asked for above
        assert process.stdout is not None  # noqa: S101
        with suppress(BrokenPipeError):  # it has ended, which reading from it shows
            say(process.stdin.fileno(), self._settings)
        self._lines = Lines(process.stdout.fileno())
        found: list[dict[str, Any]] = []
        try:
            while not found and not self._lines.closed:
                found = self._lines.read()
        except BaseException:  # an interrupt: until it is ready it does not look whether it is still wanted
            process.kill()
            raise
        return dict(found[0]) if found else self._gone()

    def submit(self, number: int, task: Task) -> str:
        """Have a task done; all are at one place. More than its slots are done as well, and slower."""
        taken = {given.slot for given in self._given.values()}
        slot = next((slot for slot in range(self.slots) if slot not in taken), self.slots - 1)
        self._given[number] = _Given(slot, time.monotonic())
        self._say({"number": number, "task": task})
        return ""

    def withdraw(self, number: int) -> None:
        """Have a task ended of which no news is wanted any more, if it has not ended."""
        if self._given.pop(number, None) is not None:
            self._say({"number": number, "withdrawn": True})

    def remarks(self) -> list[str]:
        """Nothing needs to be said of this machine."""
        return []

    def rates(self) -> tuple[WorkerRate, ...]:
        """How much is read by each of those that read at once."""
        now_s, read = time.monotonic(), list(self._read)
        for given in self._given.values():
            read[given.slot] = read[given.slot].after(0, given.done, now_s - given.began_s)
        return tuple(read)

    def account(self) -> list[str]:
        """Nor afterwards."""
        return []

    def news(self, within_s: float) -> list[News]:
        """What has happened since the last call; waits for something for so long. Raises PoolEndedError.

        Where its process has ended, every task that it had has failed with it, and it is begun anew; PoolChangedError
        where that would do otherwise than before, as by a bundle that has taken the place of the other.
        """
        if not select.select([self.descriptor], [], [], within_s)[0]:
            return []
        try:
            found = [of_json(line) for line in self._lines.read()]
        except (ValueError, KeyError, TypeError, AttributeError):  # a line of somebody else's, or half of one
            found = []
            self._lines.closed = True
        for news in found:
            if (given := self._given.get(news.number)) is None:
                continue
            given.done = news.done
            if news.over:
                del self._given[news.number]
                if news.result is not None:
                    spent_s = time.monotonic() - given.began_s
                    self._read[given.slot] = self._read[given.slot].after(1, news.done, spent_s)
        if self._lines.closed:
            how = how_it_ended(self._gone())
            found += [News(number, failure=f"the process above it ended: {how}", lost=True) for number in self._given]
            self._given.clear()
            self._begin_anew()
        return found

    def _begin_anew(self) -> None:
        said = self.start()
        assert self._first is not None  # noqa: S101  # it was started
        if why := unlike(said, self._first["ready"], "as before"):
            raise PoolChangedError(f"the process that reads captures was begun anew: {why}")

    @property
    def descriptor(self) -> int:
        """Readable when there is news."""
        return self._lines.descriptor

    def _say(self, what: dict[str, Any]) -> None:
        assert self._process is not None  # noqa: S101  # it was started
        assert self._process.stdin is not None  # noqa: S101
        with suppress(BrokenPipeError):  # the next look at it shows that it has ended
            say(self._process.stdin.fileno(), what)

    def close(self) -> None:
        """End it, and whatever it runs."""
        if self._process is not None:
            self._gone()

    def _gone(self) -> int:
        """Have its process gone; its exit code, below 0 the number of a signal."""
        process = self._process
        assert process is not None  # noqa: S101  # it was started
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            how = process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            how = process.wait()
        self._process = None
        return how


def unlike(said: dict[str, Any], expected: dict[str, Any], where: str) -> str:
    """Why a pool's process is not to be used, by what it says; "" where it is. where: the other one is, in words."""
    if "refused" in said:
        return str(said["refused"]["message"])
    ready = said["ready"]
    if ready["sha256"] != expected["sha256"]:
        found, own = ready["sha256"], expected["sha256"]
        return f"found bundle {ready['bundle']} with manifest {found:.16}…, expected {own:.16}…, {where}"
    for path, own in expected["files"].items():
        if (found := ready["files"].get(path, "")) != own:
            return f"found {printable(path, 200)} {_content(found)}, expected it {_content(own)}, {where}"
    return ""


def _content(sha256: str) -> str:
    return f"with SHA-256 {sha256:.16}…" if sha256 else "unreadable"

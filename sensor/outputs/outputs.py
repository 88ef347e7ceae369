"""The outputs of a run: opened before the privileges go, started after they went, told what there is.

Two steps, because a file, a key or a directory may be root's alone, while threads must not be there when the
privileges go.
"""

import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sensor.errors import OutputError, reason_of
from sensor.files.ownership import Owner, make_owned_directory
from sensor.outputs.delivery import Delivery
from sensor.outputs.in_flight import Encode
from sensor.outputs.lines import LinesTransport, open_descriptor
from sensor.outputs.transport import NoReaderYetError, Transport
from sensor.outputs.transports import encoder_of, mark_of, transport_of
from sensor.progress.progress import OutputState
from sensor.settings.outputs import FileEntry, OutputEntry

LAST_LINES_S: Final = 5.0  # for outputs to deliver what waits at the end
LOOK_S: Final = 0.05  # between two looks for room, where several are waited for
LONGEST_LOOK_S: Final = 1.0  # that one of them counts for: beyond, this process stood still itself, as by Ctrl-Z


@dataclass(frozen=True, slots=True)
class Prepared:
    """An output that has what only privileges could open."""

    entry: OutputEntry
    transport: Transport
    # How a line becomes a message; None where it is one.
    encode: Encode | None


def prepared_outputs(entries: Sequence[OutputEntry], observer_name: str, user: Owner | None = None) -> list[Prepared]:
    """Open what privileges are needed for. Raises OutputError, ConfigError.

    observer_name: key of Kafka records. user: whom the process becomes, who shall own what is made here.
    """
    prepared = []
    for entry in entries:
        if entry.spool is not None:
            _make_spool(entry.spool, user)
        prepared.append(Prepared(entry, transport_of(entry, observer_name, user), encoder_of(entry)))
    return prepared


class Outputs:
    """All outputs of one run, each with its own thread: a context manager that delivers what waits.

    Unless the process is to end on the spot (SystemExit).
    """

    def __init__(self, prepared: Sequence[Prepared], patience_s: float = 0.0) -> None:
        """patience_s: that write() may wait for an output in the run until it moves again, 0 for who cannot wait.

        Who can wait does so without limit for the reader of stdout and of the sensor's own file: in the run where that
        is the only output, whose first error is final, else at the end alone. Raises OutputError for a spool that
        cannot be used.
        """
        self._prepared = prepared
        self._deliveries: list[Delivery] = []
        self._can_wait, self._closed = patience_s > 0, False
        try:
            for one, name in zip(prepared, _names([one.entry for one in prepared]), strict=True):
                entry = one.entry
                own = self._can_wait and not entry.listed
                alone = own and len(prepared) == 1
                self._deliveries.append(
                    Delivery(
                        name,
                        one.transport,
                        one.encode,
                        queue_bytes=entry.queue_bytes,
                        spool=entry.spool,
                        spool_bytes=entry.spool_bytes,
                        patience_s=math.inf if alone else patience_s,
                        first_error_is_final=alone,
                        waits_at_end=own,
                        mark=mark_of(entry),
                    )
                )
        except OutputError:
            self.close(0.0)
            raise

    def __len__(self) -> int:
        return len(self._deliveries)

    def write(self, lines: Iterable[bytes]) -> None:
        """Hand native lines to every output.

        Raises BrokenPipeError to who can wait when nobody reads stdout any more, and there is no other output.
        """
        write_all(self._deliveries, lines)
        self._tell_of_broken_pipe()

    def news(self) -> list[tuple[str, str]]:
        """Action and message of an event for each output that began to refuse or lose lines, or goes on after that."""
        return [told for delivery in self._deliveries if (told := delivery.news()) is not None]

    def reopen(self, own_file: Path | None = None) -> int:
        """Open files again and connect the other listed outputs anew, as after a log rotation; how many are listed.

        own_file: where the sensor's own file is now, None where it stays. Raises OutputError for a file that cannot be
        opened: that output goes on as it was, and the others are opened all the same.
        """
        failures = [
            str(failure)
            for one, delivery in zip(self._prepared, self._deliveries, strict=True)
            if (failure := _reopened(one, delivery, own_file)) is not None
        ]
        if failures:
            raise OutputError("; ".join(failures))
        return len(self._listed())

    def stop_waiting(self) -> None:
        """Wait for nobody from now on, as after an interrupt. For a signal handler."""
        for delivery in self._deliveries:
            delivery.stop_waiting()

    def states(self) -> tuple[OutputState, ...]:
        """The account of each of the listed ones."""
        return tuple(delivery.state() for delivery in self._listed())

    @property
    def lost(self) -> int:
        """Lines that did not get out, over all outputs."""
        return sum(delivery.status.lost for delivery in self._deliveries)

    @property
    def over(self) -> bool:
        """Whether there is no output left that takes anything."""
        return bool(self._deliveries) and all(delivery.over for delivery in self._deliveries)

    @property
    def failed(self) -> bool:
        """Whether an output takes nothing any more, or told at its end that something was not written."""
        return any(delivery.failed for delivery in self._deliveries)

    @property
    def complete(self) -> bool:
        """Whether each has got all lines, but for the reader of stdout where that has gone."""
        return all(one.broken_pipe or not (one.failed or one.status.lost) for one in self._deliveries)

    @property
    def broken_pipe(self) -> bool:
        """Whether nobody reads stdout any more."""
        return any(delivery.broken_pipe for delivery in self._deliveries)

    @property
    def problems(self) -> list[str]:
        """One line for each output that failed, lost or spooled lines; a reader that left needs to be told nothing."""
        told = [one for one in self._deliveries if one.failed or one.status.lost or one.state().spooled]
        return [
            *(problem for delivery in told if not delivery.broken_pipe and (problem := delivery.status.problem)),
            *(problem for delivery in self._deliveries if (problem := delivery.status.spool_problem)),
        ]

    def close(self, timeout_s: float = LAST_LINES_S) -> None:
        """Deliver what waits, together within the timeout, and end. Once is enough.

        Who waits without limit does so here too, until stop_waiting() and the timeout from then on. Raises
        BrokenPipeError as write().
        """
        if not self._closed:
            self._closed = True
            close_all(self._deliveries, timeout_s)
            self._tell_of_broken_pipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        if kind is SystemExit:
            self.stop_waiting()
        with suppress(BrokenPipeError):
            self.close(0.0 if kind is SystemExit else LAST_LINES_S)

    def _tell_of_broken_pipe(self) -> None:
        if self._can_wait and self.over and self.broken_pipe:
            raise BrokenPipeError

    def _listed(self) -> list[Delivery]:
        pairs = zip(self._prepared, self._deliveries, strict=True)
        return [delivery for one, delivery in pairs if one.entry.listed]


def write_all(deliveries: Sequence[Delivery], lines: Iterable[bytes]) -> None:
    """Hand native lines, each with its newline, to all outputs; wait for room side by side, while patience lasts."""
    batch = list(lines)
    rests = dict.fromkeys(deliveries, batch)
    while rests := {delivery: left for delivery, rest in rests.items() if (left := delivery.take_on(rest))}:
        began_s = time.monotonic()
        next(iter(rests)).wait_for_room(LOOK_S)
        waited_s = min(time.monotonic() - began_s, LONGEST_LOOK_S)
        for delivery in rests:
            delivery.spend(waited_s)


def close_all(deliveries: Sequence[Delivery], timeout_s: float) -> None:
    """End all outputs side by side, together within the timeout, but for those whose reader is waited for."""
    for delivery in deliveries:
        delivery.begin_close(timeout_s)
    for delivery in deliveries:
        delivery.wait_patiently()
    for delivery in deliveries:
        delivery.begin_close(timeout_s)
    for delivery in deliveries:
        delivery.join()


def _names(entries: Sequence[OutputEntry]) -> list[str]:
    """The name of each for messages and labels: of several to one receiver with the format, which then differs."""
    alike = Counter(entry.name for entry in entries)
    return [f"{entry.name} ({entry.format})" if alike[entry.name] > 1 else entry.name for entry in entries]


def _reopened(one: Prepared, delivery: Delivery, own_file: Path | None) -> OutputError | None:
    """Why a file could not be opened, None where nothing was wrong."""
    entry = one.entry
    if not isinstance(entry, FileEntry) or not isinstance(one.transport, LinesTransport):
        if entry.listed:
            delivery.reopen()
        return None
    path = None if entry.listed else own_file
    try:
        one.transport.replace(None if path is None else partial(open_descriptor, path))
    except OutputError as error:
        return error
    except NoReaderYetError as error:
        if path in (None, entry.path):  # a reader is waited for all the time
            return None
        return OutputError(f"{path}: {error}")
    delivery.go_on(None if path is None else str(path))
    return None


def _make_spool(directory: Path, user: Owner | None) -> None:
    """A directory of our own for whom the process becomes, where there is none yet. Raises OutputError."""
    try:
        make_owned_directory(directory, user)
    except OSError as error:
        raise OutputError(f"spool {directory}: {reason_of(error)}, expected a directory or a place for one") from error

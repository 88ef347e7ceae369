"""Packets of an interface into a temporary file for a while: heard, never sent, and without privileges from then on."""

import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor import log
from sensor.alerts.spread import span_in_words
from sensor.cli.build import without_names
from sensor.cli.live_capture import drop_privileges, live_turns, open_captures, unprivileged_user
from sensor.cli.signals import stopped_by_signals
from sensor.files.unfinished import scratch_directory
from sensor.packets.pcapng import create_capture

if TYPE_CHECKING:
    from sensor.metering.turns import TurnSource
    from sensor.settings.config import Config

MOST_BYTES: Final = 2_000_000_000  # of the file
_LATER: Final = (
    *("orjson", "rich.console", "rich.table", "rich.text", "training.labels"),
    *(f"sensor.rehearsal.{name}" for name in ("cutting", "page", "rehearsal", "repertoire", "site", "told")),
    *("sensor.cli.rehearsing", "sensor.report.publish", "sensor.report.subject"),
)


@dataclass(slots=True)
class _Listening:
    """A capture that ends by itself after a while, or at a signal."""

    turns: "TurnSource"
    stopping: bool = False

    def stop(self) -> None:
        """End with the packets that have come."""
        self.stopping = True
        self.turns.stop()


@contextmanager
def heard(
    config: "Config", interface: str, seconds: float, most_packets: int, show: Callable[[str], None]
) -> Iterator[Path]:
    """A capture of an interface, heard for some seconds or until a signal, and removed on exit; privileges are gone.

    most_packets: after which it ends early. show: takes how far it is. Raises CaptureError, ConfigError, OutputError.
    """
    _load_what_comes_after()
    one = without_names(config).model_copy(update={"capture": config.capture.model_copy(update={"workers": 1})})
    user = unprivileged_user(one)
    captures = open_captures(one, [interface])
    with scratch_directory(user) as directory:
        path = directory / f"{interface[:32].replace('/', '_')}.pcapng"
        writer = create_capture(path, user)
        try:
            drop_privileges(user, metrics=False)
            listening = _Listening(live_turns(one, captures, writer, None))
            with stopped_by_signals(listening):
                _listen(listening, path, seconds, most_packets, show)
        finally:
            writer.close()
        show("")
        yield path


def _load_what_comes_after() -> None:
    """Load modules, kernels and the style sheet of a rehearsal: whoever one becomes may not be able to read them."""
    from sensor.report.document import style_sheet
    from sensor.run.warmup import warm_up_reading

    for module in _LATER:
        importlib.import_module(module)
    warm_up_reading()
    style_sheet()


def _listen(listening: _Listening, path: Path, seconds: float, most_packets: int, show: Callable[[str], None]) -> None:
    began = time.monotonic()
    for turn in listening.turns:
        passed, packets = time.monotonic() - began, turn.totals.stats.packets
        heard = f"{span_in_words(round(passed * 1e9))} of {span_in_words(round(seconds * 1e9))}"
        show(f"listening: {heard}, {packets:,} packets (Ctrl-C: go on with these)")
        if turn.totals.lost_packets and not listening.stopping:
            log.warning(f"{path}: takes no more packets; the rehearsal goes on with those that it has")
            listening.stop()
        if listening.stopping:
            continue
        if packets >= most_packets or path.stat().st_size >= MOST_BYTES:
            log.warning(
                f"listened for {heard}: no more than {most_packets:,} packets, or {MOST_BYTES:,} bytes, are taken"
            )
            listening.stop()
        elif passed >= seconds:
            listening.stop()

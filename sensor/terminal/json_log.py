"""The screen of runs whose log is JSON lines: events as they come, and the totals at the end."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from sensor import log
from sensor.progress.hints import hints
from sensor.progress.words import first_problems

if TYPE_CHECKING:
    from sensor.alerts.alert import Alert
    from sensor.progress.progress import Progress


class JsonLog:
    """A screen (sensor.terminal.screen.Screen) that writes log lines."""

    def __init__(self, stream: TextIO, mode: str, source: str, *, quiet: bool) -> None:
        """mode: "read" or "watch". source: name of the input. quiet: write problems only."""
        self._stream = stream
        self._name = f"{mode} {source}"
        self._quiet = quiet

    def update(self, progress: "Progress", alerts: "Sequence[Alert]") -> None:
        """Write nothing: alerts have outputs of their own, and totals are written at the end."""

    def left_out(self, alerts: int) -> None:
        """Write nothing, as alerts are not shown."""

    def note(self, message: str) -> None:
        """Write an event."""
        if not self._quiet:
            log.write(self._stream, log.Level.INFO, message)

    def finish(self, progress: "Progress", problems: Sequence[str] = ()) -> None:
        """Write the totals, hints, and a line for each problem."""
        if not self._quiet:
            log.write(self._stream, log.Level.INFO, f"{self._name} ended", extra=_totals(progress))
            for hint in hints(progress):
                log.write(self._stream, log.Level.INFO, hint.message)
        for problem in first_problems(problems):
            log.write(self._stream, log.Level.ERROR, problem)


def _totals(progress: "Progress") -> dict[str, object]:
    return {
        "packets": progress.packets,
        "flows": progress.flows,
        "alerts": {
            "opened": progress.alerts,
            "attack": progress.attacks,
            "uncertain": progress.uncertain,
            "merged": progress.merged,
            **({} if progress.muted is None else {"muted": progress.muted}),
        },
        "undecoded": dict(sorted(progress.undecoded.items())),
        "unjudged": dict(sorted(progress.unjudged.items())),
        "filtered": progress.filtered,
        "shed": progress.shed,
        "dropped": progress.dropped,
        "evicted": progress.evicted,
        **({} if progress.context_evicted is None else {"context_evicted": progress.context_evicted}),
        **({"stores_evicted": dict(progress.stores_evicted)} if progress.stores_evicted else {}),
        "late": progress.late,
        "clock_jumps": progress.clock_jumps,
        "tunnelled": progress.tunnelled,
        "split_sessions": progress.split_sessions,
        "lost_lines": progress.lost_lines,
        "elapsed_s": round(progress.elapsed_s, 3),
    }

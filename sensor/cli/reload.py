"""Requests to a running watch by signals: read the settings again and reopen outputs, report the statistics."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Final

from sensor.alerts.spread import counted
from sensor.cli.build import episode_settings, site_notes
from sensor.errors import SensorError
from sensor.process.systemd import notify
from sensor.signals import handling

if TYPE_CHECKING:
    from sensor.outputs.outputs import Outputs
    from sensor.run.watching import Watching
    from sensor.settings.config import Config
    from sensor.site.notes import SiteNotes

# Settings that a reload applies; all others are fixed at the start.
RELOADABLE: Final = frozenset(
    {
        *("output.file", "stats.interval_s"),
        *("episodes.flows_between_false_openings", "episodes.quiet_s", "episodes.alerts_per_minute"),
    }
)


class Reload:
    """Reads the settings again, applies those that can change while the sensor runs, and reopens outputs."""

    def __init__(self, read_settings: Callable[[], "Config"], config: "Config", outputs: "Outputs") -> None:
        """read_settings: reads the current settings. config: the settings at the start."""
        self._read_settings = read_settings
        self._config = config
        self._outputs = outputs

    def __call__(self, watching: "Watching") -> list[str]:
        """Reload; lines that describe what was done. Settings with an error change nothing."""
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            return self._reload(watching)
        except SensorError as error:
            return [f"not taken over: {error}"]
        finally:
            notify("READY=1")

    def _reload(self, watching: "Watching") -> list[str]:
        config = self._read_settings()
        notes = site_notes(self._config)
        reopened = self._reopen(config)
        watching.interval_s = config.stats.interval_s
        watching.detection.judge.episodes.adjust(episode_settings(config))
        watching.detection.notes = notes
        fixed = _changed(self._config, config) - RELOADABLE
        if self._config.outputs != config.outputs:
            fixed.add("outputs")
        lines = [f"settings read again{reopened}{self._noted(notes)}"]
        if fixed:
            lines.append(f"only a restart takes over {', '.join(sorted(fixed))}")
        return lines

    def _noted(self, notes: "SiteNotes | None") -> str:
        if notes is None:
            return ""
        rules, assets = counted(len(notes.rules), "rule"), counted(len(notes.assets), "asset")
        return f", {rules} and {assets} of {self._config.site.file}"

    def _reopen(self, config: "Config") -> str:
        path = config.output.file
        listed = self._outputs.reopen(path)
        again = f", {listed} outputs connected anew" if listed else ""
        return f", {path} reopened{again}" if path is not None and self._config.output.file is not None else again


def _changed(before: "Config", after: "Config") -> set[str]:
    """Names of settings that differ, as section.name."""
    old, new = before.model_dump(), after.model_dump()
    return {f"{section}.{name}" for section in new for name in new[section] if new[section][name] != old[section][name]}


@contextmanager
def requested_by_signals(watching: "Watching") -> Iterator[None]:
    """Make SIGHUP request a reload and SIGUSR1 statistics; the watch handles requests at its next turn."""

    def request(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            watching.requests.reload = True
        else:
            watching.requests.stats = True

    names = [name for name in ("SIGHUP", "SIGUSR1") if hasattr(signal, name)]
    with handling({signal.Signals[name]: request for name in names}):
        yield

"""Requests to a running watch by signals: read the settings again and reopen outputs, report the statistics.

What takes new settings is a list (Taker): each is told them in its turn and says in a few words what it did.
"""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

from sensor.alerts.spread import counted
from sensor.cli.build import (
    build_judge,
    bundle_path,
    checked_rate,
    episode_settings,
    geo_databases,
    load_model,
    site_notes,
)
from sensor.errors import ConfigError, ModelError, OutputError, SensorError
from sensor.files.special import is_special
from sensor.process.systemd import notify
from sensor.signals import handling

if TYPE_CHECKING:
    from sensor.geoip.databases import GeoDatabases
    from sensor.judging.judge import Judge
    from sensor.outputs.outputs import Outputs
    from sensor.process.privileges import User
    from sensor.run.judging_state import JudgingState
    from sensor.run.new_bundle import NewBundle
    from sensor.run.watching import Watching
    from sensor.settings.config import Config
    from sensor.site.notes import SiteNotes

    Taker = Callable[[Config, Watching], str]  # takes new settings; says what it did, "" for nothing worth a word

# Settings that a reload applies; all others are fixed at the start.
RELOADABLE: Final = frozenset(
    {
        *("output.file", "stats.interval_s"),
        *("detection.bundle", "detection.bundle_keys", "detection.false_positive_rate"),
        *("episodes.flows_between_false_openings", "episodes.quiet_s", "episodes.alerts_per_minute"),
    }
)
_TRIED_FLOWS: Final = 1024  # of the meter that makes the flows by which another bundle is tried


class Reload:
    """Reads the settings again and hands them to everything that takes new ones while the sensor runs."""

    def __init__(
        self,
        read_settings: Callable[[], "Config"],
        config: "Config",
        takers: "Sequence[Taker]",
        file: Path | None = None,
    ) -> None:
        """read_settings: reads the current settings. config: the settings at the start. takers: in their order.

        file: that the settings are read from, None for none.
        """
        self._read_settings = read_settings
        self._config = config
        self._takers = takers
        self._file = file

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
        if self._file is not None and is_special(self._file):  # it would keep us waiting, or be empty by now
            raise ConfigError(f"{self._file}: is a pipe or a device, expected a file: settings can be read again then")
        config = self._read_settings()
        done = [take(config, watching) for take in self._takers]
        fixed = _changed(self._config, config) - RELOADABLE
        if (self._config.output.file is None) != (config.output.file is None):
            fixed.add("output.file")  # another file is taken over, a first one or none is not
        if self._config.outputs != config.outputs:
            fixed.add("outputs")
        lines = [", ".join(["settings read again", *filter(None, done)])]
        if fixed:
            lines.append(f"only a restart takes over {', '.join(sorted(fixed))}")
        return lines


def reopened_outputs(outputs: "Outputs", config: "Config", _watching: "Watching", *, had_file: bool) -> str:
    """Reopen the file of alerts, for log rotation, and connect the listed outputs anew. had_file: from the start."""
    path = config.output.file
    try:
        listed = outputs.reopen(path)
    except OutputError as error:  # such as a directory of root's: no reason to keep the bundle and the notes of before
        return f"not all outputs reopened, which go on as they were ({error})"
    done = [f"{path} reopened"] if path is not None and had_file else []
    return ", ".join([*done, *([f"{listed} outputs connected anew"] if listed else [])])


def finished_flow_file(_config: "Config", watching: "Watching") -> str:
    """Have the flows up to now be found in whole files of the flow log."""
    recorder = watching.detection.flow_recorder
    if recorder is None:
        return ""
    recorder.finish_file()
    return "flow log up to now finished"


class NotesAgain:
    """Reads the site's notes before anything else is taken over, and puts them in force once all the rest was."""

    def __init__(self, config: "Config") -> None:
        """config: the settings at the start, which name the file."""
        self._path = config.site.file
        self._config = config
        self._notes: SiteNotes | None = None

    def read(self, _config: "Config", _watching: "Watching") -> str:
        """Read the file. Raises ConfigError for one with an error."""
        self._notes = site_notes(self._config)
        return ""

    def take_over(self, _config: "Config", watching: "Watching") -> str:
        """Put what was read in force."""
        notes = self._notes
        watching.detection.notes = notes
        if notes is None:
            return ""
        return f"{counted(len(notes.rules), 'rule')} and {counted(len(notes.assets), 'asset')} of {self._path}"


class GeoAgain:
    """Opens the databases of where addresses belong anew, and has them asked once all the rest was taken over."""

    def __init__(self, config: "Config") -> None:
        """config: the settings at the start, which name the files."""
        self._config = config
        self._opened: GeoDatabases | None = None

    def open(self, _config: "Config", _watching: "Watching") -> str:
        """Open the files. Raises ConfigError for one that is not what it should be."""
        self.close()
        self._opened = geo_databases(self._config)
        return ""

    def take_over(self, _config: "Config", watching: "Watching") -> str:
        """Ask these from here on, and close the others."""
        detection, opened = watching.detection, self._opened
        if opened is None:
            return ""
        detection.close_files()
        detection.geo, self._opened = opened, None
        return f"{counted(len(opened.databases), 'database')} of addresses opened anew"

    def close(self) -> None:
        """Close what was opened by a reload that something else kept from being taken over."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None


def taken_interval(config: "Config", watching: "Watching") -> str:
    """Account for packets as often as the settings say now."""
    watching.interval_s = config.stats.interval_s
    return ""


def told_settings(started: "Config", state: "JudgingState", config: "Config", _watching: "Watching") -> str:
    """Account for the settings that are in force now. started: those at the start, most of which only that sets."""
    from sensor.settings.bearing import changed_settings

    fixed, taken = changed_settings(started), changed_settings(config)
    names = dict.fromkeys([*fixed, *taken])
    now = {name: (taken if name in RELOADABLE else fixed).get(name) for name in names}
    state.settings = {name: value for name, value in now.items() if value is not None}
    return ""


def taken_episode_settings(config: "Config", watching: "Watching") -> str:
    """Open and close episodes as the settings say now."""
    judge = watching.detection.judge
    judge.episodes.adjust(episode_settings(config, judge.hybrid))
    return ""


def requested_bundle(new_bundle: "NewBundle", config: "Config", _watching: "Watching", *, user: "User | None") -> str:
    """Begin to load the bundle of the settings, which takes the other's place if it is another.

    user: whom the sensor has become, for an error.
    """
    new_bundle.request(lambda: other_judge(config, new_bundle.judge, user))
    return ""


def other_judge(config: "Config", current: "Judge", user: "User | None") -> "Judge | None":
    """A judge with the bundle and rate of the settings, tried once; None where they are what `current` judges by.

    Raises ModelError for a bundle that cannot be used, or not be read by the user that the sensor has become.
    """
    from flows.meter import Meter
    from sensor.run.warmup import warm_up

    try:
        hybrid = load_model(config)
    except ModelError as error:
        if user is not None and not os.access(bundle_path(config.detection.bundle), os.R_OK | os.X_OK):
            raise ModelError(f"{error}; user {user.name}, whom the sensor has become, may not read it") from error
        raise
    if (hybrid.manifest_sha256, checked_rate(config, hybrid)) == (current.hybrid.manifest_sha256, current.rate):
        return None
    warm_up(Meter(_TRIED_FLOWS), build_judge(config, hybrid))  # kernels that only this bundle needs, for one
    return build_judge(config, hybrid)


def _changed(before: "Config", after: "Config") -> set[str]:
    """Names of settings that differ, as section.name."""
    old, new = before.model_dump(), after.model_dump()
    return {f"{section}.{name}" for section in new for name in new[section] if new[section][name] != old[section][name]}


_REQUESTS: Final = [signal.Signals[name] for name in ("SIGHUP", "SIGUSR1") if hasattr(signal, name)]


@contextmanager
def not_yet_requested() -> Iterator[set[int]]:
    """Note SIGHUP and SIGUSR1 until a watch can take requests; those that were heard so far."""
    heard: set[int] = set()
    with handling(dict.fromkeys(_REQUESTS, lambda number, _frame: heard.add(number))):
        yield heard


@contextmanager
def requested_by_signals(watching: "Watching", heard: Iterable[int] = ()) -> Iterator[None]:
    """Make SIGHUP request a reload and SIGUSR1 statistics; the watch handles requests at its next turn.

    heard: what was requested before (not_yet_requested).
    """

    def request(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            watching.requests.reload = True
        else:
            watching.requests.stats = True

    with handling(dict.fromkeys(_REQUESTS, request)):
        for number in list(heard):
            request(number, None)
        yield

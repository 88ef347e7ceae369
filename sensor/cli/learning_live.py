"""A site learnt from an interface: flows are logged until there are enough, over several runs if need be, then fitted.

`watch --learn` does it beside watching, the fit in a process of its own, and takes the bundle over; `baseline IFACE`
ends with it.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensor import log
from sensor.alerts.spread import counted
from sensor.cli import beside
from sensor.cli.build import DEFAULT_BUNDLE
from sensor.cli.display import DisplayOptions
from sensor.errors import ConfigError, InputError, OutputError, SensorError, reason_of
from sensor.files.special import is_special
from sensor.files.unfinished import refuse_unwritable
from sensor.process.children import how_it_ended

if TYPE_CHECKING:
    from sensor.process.privileges import User
    from sensor.run.detection import Detection
    from sensor.run.learning import Learner, SiteLearning
    from sensor.run.new_bundle import NewBundle
    from sensor.run.run import Run
    from sensor.settings.config import Config

MANIFEST: Final = "manifest.json"
_TRIAL: Final = "flowvigil-trial"  # what a file is made for in the bundle's directory, to see whether that can be done
UNFINISHED: Final = ".unfinished"  # behind the name of the bundle: the directory of the flows until it is there


@dataclass(slots=True)
class LearnedSite:
    """What is learnt beside a run, and where."""

    output: Path  # of the bundle
    seconds: float  # of traffic time to learn from
    alerts_per_day: float
    read_settings: Callable[[], "Config"]
    options: tuple[str, ...] = ()  # of the command line, by which the settings of whoever fits beside a watch are those
    learnt: bool = False  # whether the bundle is there and judges
    enough: bool = False  # whether the site was heard for long enough
    _named: Path | None = field(init=False, default=None)  # flow log of the settings at the start: it stays as it is
    _fitting: "subprocess.Popen[bytes] | None" = field(init=False, default=None)  # the process that fits
    _logs: bool | None = field(init=False, default=None)  # whether a log of its own is kept; None: not known yet

    def settings(self) -> "Config":
        """The settings, with a flow log to learn from, and the site's bundle once there is one."""
        config = self.read_settings()
        if self._logs is None:
            self._named = config.flow_log.directory
            self._logs = self._named is None and not self.learnt
        changes: dict[str, Any] = {}
        if self._logs and config.flow_log.directory is None:
            changes["flow_log"] = config.flow_log.model_copy(update={"directory": self.unfinished})
        if self.learnt:
            changes["detection"] = config.detection.model_copy(update={"bundle": self.output})
        return config.model_copy(update=changes)

    @property
    def unfinished(self) -> Path:
        """The directory of the flows that are learnt from, unless the settings name one."""
        return self.output.with_name(self.output.name + UNFINISHED)

    @property
    def log(self) -> Path:
        """The directory of the flows that are learnt from."""
        if self._logs is None:
            self.settings()
        return self._named or self.unfinished

    def heard_s(self) -> float:
        """Traffic time that earlier runs have logged; what several logged at the same time counts once."""
        from sensor.flow_log.files import log_name
        from sensor.flow_log.reading import FlowLog

        runs: dict[str, tuple[int, int]] = {}  # first and last moment
        try:
            for opened in FlowLog([self.log]).files():
                name = log_name(opened.path.name)
                run = opened.path.name if name is None else name.run
                first_ns, last_ns = runs.get(run, (opened.first_ns, opened.last_packet_ns))
                runs[run] = min(first_ns, opened.first_ns), max(last_ns, opened.last_packet_ns)
        except InputError:
            return 0.0
        heard_ns = until_ns = 0
        for first_ns, last_ns in sorted(runs.values()):
            heard_ns += max(0, last_ns - max(first_ns, until_ns))
            until_ns = max(until_ns, last_ns)
        return heard_ns / 1e9

    def hook(
        self, enough: "Callable[[Run, NewBundle, Detection], Learner | None]", new_bundle: "NewBundle", run: "Detection"
    ) -> "SiteLearning":
        """The hook of the run (sensor.cli.watching.WatchOptions.learning)."""
        from sensor.run.learning import SiteLearning

        return SiteLearning(self.seconds, self.heard_s(), lambda running: enough(running, new_bundle, run))

    def ended(self, run: "Run", _new_bundle: "NewBundle", detection: "Detection") -> None:
        """End the run: there is enough."""
        self.enough = True
        self._tell_removed(run, detection)
        run.stop()

    def begun(self, run: "Run", new_bundle: "NewBundle", detection: "Detection") -> "Learner":
        """Begin to fit in a process of its own; what it gives is taken over when it is there."""
        if detection.flow_recorder is not None:
            detection.flow_recorder.finish_file()
            if self._named is None:  # what comes now would only push out what is being learnt from
                detection.flow_recorder.take_no_more()
        self._tell_removed(run, detection)
        run.screen.note(f"the site was heard for long enough: fitting {self.output}, beside the watch")
        try:
            complaint = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the process
            process = self._fitting = subprocess.Popen(  # noqa: S603  # this program
                self._command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=complaint
            )
        except (OSError, SensorError) as error:  # settings that are wrong at this moment, too: the watch goes on
            told = f"the site cannot be learnt: {reason_of(error) if isinstance(error, OSError) else error}"
            return lambda: told

        def learner() -> str | None:
            code = process.poll()
            if code is None:
                return None
            why = ""
            if code:
                complaint.seek(0)
                last = complaint.read(100_000).decode("utf-8", "replace").strip().splitlines()[-1:]
                why = "".join(f": {line[:300]}" for line in last)
            if code and not has_site(self.output):
                return f"the site was not learnt ({how_it_ended(code)}){why}; the bundle goes on as it is"
            self.learnt = True
            from sensor.cli.reload import other_judge

            new_bundle.request(lambda: other_judge(self.settings(), new_bundle.judge, None))
            return f"the site was learnt: {self.output}" + (f", but ({how_it_ended(code)}){why}" if code else "")

        return learner

    def _command(self) -> list[str]:
        bundle = self.read_settings().detection.bundle
        name = DEFAULT_BUNDLE if bundle is None else str(bundle)
        return beside.command(
            *("baseline", name, str(self.log), "-o", str(self.output)),
            *("--alerts-per-day", f"{self.alerts_per_day:g}", "--page", f"{self.output}.html", "-q"),
            *self.options,
        )

    def _tell_removed(self, run: "Run", detection: "Detection") -> None:
        """Say where a log of its own was too small for all that was heard."""
        recorder = detection.flow_recorder
        removed = 0 if recorder is None or self._named is not None else recorder.state.files_deleted
        if removed:
            run.screen.note(
                f"the site is learnt from the latest flows alone: {counted(removed, 'file')} of earlier ones gave way "
                "to them (flow_log.directory_bytes)"
            )

    def end(self) -> None:
        """End the fit where the watch ends before it; what is there stays as it is, and the flows are kept."""
        process = self._fitting
        if process is None or process.poll() is not None:
            return
        process.kill()
        process.wait()
        log.info(f"the site was not learnt: the watch ended before {self.output} was fitted; the same command goes on")

    def clear(self) -> None:
        """Remove the flows, once they are learnt from, unless the settings ask for a flow log."""
        if self._named is None:
            from sensor.flow_log.directory import remove_log

            remove_log(self.unfinished)


class Silent(DisplayOptions):
    """Nothing on stdout, whatever that is."""

    def lines_on_stdout(self, _config: "Config") -> bool:
        """Never."""
        return False


def has_site(bundle: Path) -> bool:
    """Whether a directory holds a bundle that was learnt from a site, as far as its manifest says so."""
    from models.manifest import MAX_MANIFEST, BundleError, parsed, read_file

    try:
        manifest = parsed(read_file(bundle / MANIFEST, MAX_MANIFEST, "a bundle"), MANIFEST)
    except BundleError:
        return False
    return "site" in manifest


def refuse_output(output: Path, user: "User | None") -> None:
    """Raise OutputError where this user could not make the bundle.

    user: whom the process becomes, None for no change.
    """
    from sensor.checks.privileges import once_dropped

    why = once_dropped(user, partial(_cannot_make, output.absolute().parent))
    if why:
        raise OutputError(
            f"bundle {output} cannot be written: once its privileges have gone, the sensor cannot make files in "
            f"{output.absolute().parent} ({why}), expected a directory in which its user can"
        )


def refuse_program(user: "User | None") -> None:
    """Raise OutputError where this user could not run the program that fits the bundle beside a watch."""
    from sensor.checks.privileges import once_dropped

    if once_dropped(user, lambda: "" if os.access(sys.executable, os.X_OK) else sys.executable):
        raise OutputError(
            f"the site cannot be learnt beside the watch: once its privileges have gone, the sensor cannot run "
            f"{sys.executable}, expected an installation that its user can run, such as below /opt"
        )


def refuse_settings(files: Iterable[Path | None], user: "User | None") -> None:
    """Raise ConfigError for files of settings that cannot be read once more when the bundle is fitted beside a watch.

    user: whom the process becomes, None for no change.
    """
    from sensor.checks.privileges import once_dropped

    for file in filter(None, files):
        if is_special(file):
            raise ConfigError(
                f"{file}: is a pipe or a device, expected a file: it is read again once the site is learnt"
            )
        if once_dropped(user, partial(_cannot_read, file)):
            raise ConfigError(
                f"{file}: the sensor reads it again once the site is learnt, and may not when its privileges have gone"
            )


def _cannot_read(file: Path) -> str:
    return "" if os.access(file, os.R_OK) else "it cannot be read"


def _cannot_make(directory: Path) -> str:
    """Why nothing can be made there, "" where it can."""
    try:
        refuse_unwritable(directory / _TRIAL)
    except OSError as error:
        return reason_of(error)
    return ""


def tell_waiting(site: LearnedSite) -> None:
    """Say where the flows are that were heard so far."""
    log.info(f"{site.log} holds what was heard: the same command goes on, or flowvigil baseline learns from it")

"""Assembles a run in the order that its safety requires, and tears it down afterwards.

First what may take long (model, kernels), so that no packet waits for it; then what needs privileges (filter, sockets,
outputs); then the privileges of a watch go; then processes are made, while there is no thread; threads come last.
"""

import gc
import importlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sensor.alerts.kinds import timestamp
from sensor.cli.beforehand import refuse_reading, refuse_watching
from sensor.cli.build import (
    build_drift,
    build_flow_recorder,
    build_judge,
    build_meter,
    build_names,
    build_packet_recorder,
    check_packet_settings,
    flow_records,
    geo_databases,
    load_model,
    make_flow_directory,
    make_packet_directory,
    observer,
    refuse_packet_directory,
    site_notes,
    warm_packet_keeping,
)
from sensor.cli.kernels import JUDGING, Kernels, cached, compiling
from sensor.cli.live_capture import (
    drop_privileges,
    live_turns,
    open_captures,
    open_packets,
    refuse_packets,
    refuse_rotation_of,
    unprivileged_user,
)
from sensor.cli.options import Color
from sensor.cli.reload import (
    GeoAgain,
    NotesAgain,
    Reload,
    finished_flow_file,
    reopened_outputs,
    requested_bundle,
    requested_by_signals,
    taken_episode_settings,
    taken_interval,
    told_settings,
)
from sensor.cli.screens import interactive_console, interactive_screen, screen_for, stdout_is_listed
from sensor.cli.signals import stopped_by_signals
from sensor.process.systemd import notify
from sensor.settings.extras import require_extras
from sensor.version import VERSION

if TYPE_CHECKING:
    from models.fusion import Hybrid
    from sensor.attach.place import Place
    from sensor.files.ownership import Owner
    from sensor.flow_log.recorder import FlowRecorder
    from sensor.metering.turns import TurnSource
    from sensor.outputs.outputs import Outputs, Prepared
    from sensor.packets.packet_files import PacketFiles
    from sensor.packets.recorder import PacketRecorder
    from sensor.process.privileges import User
    from sensor.progress.latest import Latest
    from sensor.run.detection import Detection
    from sensor.run.looking import Looking
    from sensor.run.new_bundle import NewBundle
    from sensor.run.outlet import LineTaker
    from sensor.run.run import Hook, Run
    from sensor.run.watching import Watching
    from sensor.settings.config import Config
    from sensor.site.marking import Marking
    from sensor.site.notes import SiteNotes
    from sensor.terminal.screen import Screen
    from sensor.terminal.screen_thread import ScreenThread

READ_QUEUE_WAIT_S = 10.0  # for which reading a capture waits for room in the queue of a listed output


@dataclass(frozen=True, slots=True)
class DisplayOptions:
    """The options of the command line for how a run is shown."""

    json: bool  # JSON lines on stdout also where that is a terminal
    quiet: bool  # problems only
    color: Color

    def lines_on_stdout(self, config: "Config") -> bool:
        """Whether stdout has JSON lines, and so nothing else."""
        return self.json or stdout_is_listed(config) or not sys.stdout.isatty()

    def has_view(self, config: "Config") -> bool:
        """Whether somebody looks on: the terminal shows more than lines."""
        return not self.quiet and not self.lines_on_stdout(config)


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """The options of the command line of a watch."""

    interfaces: tuple[str, ...]
    packets: "PacketFiles | None"  # files to write all packets to
    display: DisplayOptions
    settings: Callable[[], "Config"]  # reads the settings, anew at each call
    # Makes the hook that learns the site beside the watch, of what gives it another bundle; None: nothing is learnt.
    learning: "Callable[[NewBundle, Detection], Hook] | None" = None


@dataclass(frozen=True, slots=True)
class OneOfMany:
    """What a run knows that is over one of many captures, each for itself."""

    capture: str  # path of it, which its lines are to name
    packets_in: str = ""  # directory, with a slash, in which alerts say that their packets are
    flow_log_run: str | None = None  # by which its flow log's files are known


@dataclass(frozen=True, slots=True)
class AssembledRun:
    """A run that is ready to start."""

    run: "Run"
    detection: "Detection"  # the consumer of its turns: judge, outputs and kept packets


@contextmanager
def reading(
    config: "Config",
    captures: Sequence[str],
    display: DisplayOptions,
    hybrid: "Hybrid | None" = None,
    more_hooks: "Sequence[Hook]" = (),
    one: OneOfMany | None = None,
    cores: int = 1,
) -> Iterator[AssembledRun]:
    """A run over captures, torn down on exit.

    hybrid: the model where it is loaded already, with its kernels. one: which of many this is; None for captures as one
    stream, which gives the same bytes whatever they are called and however they are packed. cores: more than one where
    the run may use them.
    """
    capture = one.capture if one else None
    require_extras(config)
    refuse_packet_directory(config, captures)
    notes, geo = site_notes(config), geo_databases(config)
    if hybrid is None:
        beforehand = partial(refuse_reading, config, captures)
        hybrid = ready_model(config, cached(JUDGING, config), beforehand, quiet=display.quiet)
    from sensor.outputs.outputs import Outputs
    from sensor.run.detection import Detection
    from sensor.run.outlet import Outlet
    from sensor.run.output_news import OutputNews
    from sensor.run.run import Run

    make_packet_directory(config)
    make_flow_directory(config)
    with ExitStack() as stack:
        recorder = build_packet_recorder(stack, config, shown_in=one.packets_in if one else "")
        log_run = one.flow_log_run if one else None
        flow_recorder = _started(stack, build_flow_recorder(config, captures, waits=True, run=log_run))
        outputs = stack.enter_context(Outputs(prepared_for(config, display, None), READ_QUEUE_WAIT_S))
        outlet = Outlet(outputs=outputs, flow_records=flow_records(config, capture))
        screen = screen_of_reading(
            stack,
            config,
            captures,
            display,
            hybrid.model_id,
            lambda: bool(outlet.alerts or outlet.muted) and not run.stopping,
            _marking(config, notes, lambda: detection),
        )
        drift = build_drift(config, hybrid, live=False)
        judge, looking = build_judge(config, hybrid), _looking(display, config, live=False)
        detection = Detection(
            judge,
            outlet,
            recorder,
            flow_recorder,
            notes,
            drift=drift,
            looking=looking,
            geo=geo,
            names=build_names(config),
            capture=capture,
        )
        stack.callback(detection.close_files)
        hooks = [*_site_hooks(hybrid), *_drift_hooks(detection), OutputNews(detection, observer(config)), *more_hooks]
        turns = capture_turns(config, captures, recorder)
        run = Run(_made_ahead(stack, turns, captures, detection, cores), detection, screen, hooks)
        stack.enter_context(stopped_by_signals(run, outputs.stop_waiting))
        yield AssembledRun(run, detection)


@contextmanager
def watching(options: WatchOptions) -> Iterator[AssembledRun]:
    """A run over interfaces, torn down on exit."""
    config, display = options.settings(), options.display
    require_extras(config)
    refuse_packets(options.packets, config)
    check_packet_settings(config)
    user = unprivileged_user(config)
    refuse_rotation_of(options.packets, user)
    notes, geo = site_notes(config), geo_databases(config)
    hybrid = ready_model(
        config,
        cached(JUDGING, config),
        partial(refuse_watching, config, options.interfaces, options.packets),
        quiet=display.quiet,
        live=True,
    )
    from sensor.outputs.outputs import Outputs
    from sensor.progress.latest import Latest
    from sensor.progress.progress import Progress
    from sensor.run.detection import KEEPING_S, Detection
    from sensor.run.new_bundle import NewBundle
    from sensor.run.outlet import Outlet
    from sensor.run.output_news import OutputNews
    from sensor.run.pauses import ShortPauses
    from sensor.run.run import Run

    drift = build_drift(config, hybrid, live=True)
    captures = open_captures(config, options.interfaces)
    with ExitStack() as stack:
        prepared = prepared_for(config, display, user)
        writer = open_packets(stack, options.packets, user)
        make_packet_directory(config, user)
        make_flow_directory(config, user)
        place = _open_place(stack, config, user)
        drop_privileges(user, metrics=config.stats.metrics_port is not None)
        recorder = build_packet_recorder(stack, config, options.interfaces)
        flow_recorder = build_flow_recorder(config, options.interfaces, waits=False)
        turns = live_turns(config, captures, writer, recorder)
        _started(stack, flow_recorder)
        latest = Latest(Progress(bundle=hybrid.model_id))
        outputs = stack.enter_context(Outputs(prepared))
        source = ", ".join(options.interfaces)
        screen = stack.enter_context(
            _screen_of_watch(display, config, source, hybrid, _marking(config, notes, lambda: detection))
        )
        servers = _attach_servers(stack, place, latest, config, source, hybrid.model_id)
        outlet = Outlet(servers, outputs, flow_records(config))
        detection = Detection(
            build_judge(config, hybrid),
            outlet,
            recorder,
            flow_recorder,
            notes,
            KEEPING_S,
            drift,
            _looking(display, config, live=True),
            geo,
            build_names(config),
        )
        stack.callback(detection.close_files)
        new_bundle = NewBundle(detection.judge)
        hook = _watch_hook(options, config, detection, outputs, user, new_bundle)
        learning = [] if options.learning is None else [options.learning(new_bundle, detection)]
        own = [*_site_hooks(hybrid), *_drift_hooks(detection), OutputNews(detection, observer(config)), ShortPauses()]
        run = Run(turns, detection, screen, [hook, *learning, *own], latest)
        _serve_metrics(stack, config, latest)
        stack.enter_context(stopped_by_signals(run))
        stack.enter_context(requested_by_signals(hook))
        notify("READY=1", f"STATUS=watching {source}")
        yield AssembledRun(run, detection)
        notify("STOPPING=1")


def capture_turns(config: "Config", captures: Sequence[str], recorder: "PacketRecorder | None" = None) -> "TurnSource":
    """Turns of flow records of captures, for a judge. Raises ConfigError for a filter."""
    from sensor.metering.captures import CaptureTurns
    from sensor.sources.captures.stream import CaptureStream

    return CaptureTurns(
        CaptureStream(captures, config.capture.filter),
        build_meter(config),
        recorder.ring if recorder else None,
    )


def _made_ahead(
    stack: ExitStack, turns: "TurnSource", captures: Sequence[str], detection: "Detection", cores: int
) -> "TurnSource":
    """The turns of captures for a judge, made ahead of it where that changes nothing.

    A pipe's writer may be slow, and its packets are judged as they come; packets of alerts are looked for in memory
    before later ones push them out; and drift is told of with the records that show it.
    """
    from sensor.run.ahead import TurnsAhead
    from sensor.sources.captures.files import captures_in
    from sensor.sources.captures.stream import is_pipe

    if any(map(is_pipe, captures_in(captures))) or detection.recorder is not None or detection.drift is not None:
        return turns
    ahead = TurnsAhead(turns, detection.judge, cores)
    stack.callback(ahead.close)
    return ahead


def ready_model(
    config: "Config", kernels: Kernels, beforehand: Callable[[], None], *, quiet: bool, live: bool = False
) -> "Hybrid":
    """The model, with all kernels of a run compiled.

    kernels: those of judging. beforehand: raises what the run would stop at, before anything is compiled. live: also
    run every kernel once, as a ring that waits for a compiler loses packets.
    """
    hybrid = load_model(config)
    judge = build_judge(config, hybrid)  # refuses settings that the model does not support
    if not kernels.compiled:
        beforehand()
    if live or not kernels.compiled:  # so that the run's own times are the sensor's, not the compiler's
        from sensor.run.warmup import warm_up

        with compiling(kernels, quiet=quiet):
            warm_up(build_meter(config), judge)
            if live:
                _warm_capture()
    warm_packet_keeping(config)
    gc.freeze()  # what is loaded by now stays: the collector need not walk it again and again
    return hybrid


def _warm_capture() -> None:
    from sensor.packets.pcapng import warm_packet_builder

    warm_packet_builder()
    if sys.platform == "linux":
        from sensor.sources.live.ring import warm_ring_walker

        warm_ring_walker()


def prepared_for(config: "Config", display: DisplayOptions, user: "User | None") -> "list[Prepared]":
    """All outputs, with what needs privileges done and their modules loaded."""
    from sensor.outputs.outputs import prepared_outputs
    from sensor.settings.outputs import all_outputs

    entries = all_outputs(config.output.file, config.outputs, lines_on_stdout=display.lines_on_stdout(config))
    return prepared_outputs(entries, observer(config).name, user)


def screen_of_reading(
    stack: ExitStack,
    config: "Config",
    captures: Sequence[str],
    display: DisplayOptions,
    bundle: str,
    keep_open: Callable[[], bool],
    marking: "Marking | None",
) -> "Screen":
    """The screen of a run over captures. keep_open: whether an interactive view stays until it is dismissed."""
    from sensor.terminal.screen_thread import own_stream

    source = Path(captures[0]).name if len(captures) == 1 else f"{len(captures)} captures"
    lines_on_stdout = display.lines_on_stdout(config)
    if not display.quiet and not lines_on_stdout:
        console = interactive_console(display.color, own_stream(sys.stdout))
        if console is not None:
            return stack.enter_context(interactive_screen("read", source, bundle, console, keep_open, marking))
    streams = sys.stdout, sys.stderr
    screen = screen_for(
        "read", source, streams, lines_on_stdout=lines_on_stdout, quiet=display.quiet, color=display.color
    )
    if isinstance(screen, AbstractContextManager):
        stack.enter_context(screen)
    return screen


def _screen_of_watch(
    display: DisplayOptions, config: "Config", source: str, hybrid: "Hybrid", marking: "Marking | None"
) -> AbstractContextManager["ScreenThread"]:
    """The screen of a watch, in a thread of its own, as its terminal may block."""
    from sensor.terminal.screen_thread import ScreenThread, own_stream

    streams = own_stream(sys.stdout), own_stream(sys.stderr)
    lines_on_stdout = display.lines_on_stdout(config)
    if not display.quiet and not lines_on_stdout and (console := interactive_console(display.color, streams[0])):
        return interactive_screen("watch", source, hybrid.model_id, console, lambda: False, marking)
    return ScreenThread(
        screen_for("watch", source, streams, lines_on_stdout=lines_on_stdout, quiet=display.quiet, color=display.color)
    )


def _looking(display: DisplayOptions, config: "Config", *, live: bool) -> "Looking | None":
    """What shows who talks most and how open alerts stand, None where neither a view nor an attached one may ask."""
    from sensor.run.looking import at_captures, at_interfaces

    if not live:
        return at_captures() if display.has_view(config) else None
    return at_interfaces() if display.has_view(config) or config.attach.socket is not None else None


def _started(stack: ExitStack, recorder: "FlowRecorder | None") -> "FlowRecorder | None":
    """The recorder with its thread, which ends with the stack."""
    return None if recorder is None else stack.enter_context(recorder)


def _marking(config: "Config", notes: "SiteNotes | None", detection: "Callable[[], Detection]") -> "Marking | None":
    """What a screen writes to the site's notes with; None without any. detection: of the run, once it is made."""
    if config.site.file is None or notes is None:
        return None
    from sensor.site.marking import Marking

    def take_over(changed: "SiteNotes") -> None:
        detection().notes = changed

    return Marking(config.site.file, notes, take_over, lambda: timestamp(time.time_ns())[:19] + "Z")


def _open_place(stack: ExitStack, config: "Config", user: "Owner | None") -> "Place | None":
    """The listening socket of attach.socket, None where that is null. Raises ConfigError."""
    if config.attach.socket is None:
        return None
    from sensor.attach.place import listen

    importlib.import_module("sensor.attach.server")  # while its file can still be read
    place = listen(config.attach.socket, user, config.attach.group)
    stack.callback(place.leave)
    return place


def _attach_servers(
    stack: ExitStack, place: "Place | None", latest: "Latest", config: "Config", source: str, bundle: str
) -> list["LineTaker"]:
    """The server of attached terminals, which get the lines that the outputs get; none without a socket."""
    if place is None:
        return []
    from sensor.attach.protocol import Hello
    from sensor.attach.server import AttachServer

    hello = Hello(VERSION, observer(config).name, source, bundle)
    return [stack.enter_context(AttachServer(place, hello, latest))]


def _watch_hook(
    options: WatchOptions,
    config: "Config",
    detection: "Detection",
    outputs: "Outputs",
    user: "User | None",
    new_bundle: "NewBundle",
) -> "Watching":
    from sensor.process.systemd import Watchdog
    from sensor.run.judging_state import JudgingState
    from sensor.run.watching import Watching
    from sensor.settings.bearing import changed_settings

    notes, geo = NotesAgain(config), GeoAgain(config)
    state = JudgingState(detection.judge, changed_settings(config), options.learning is not None)
    takers = (
        notes.read,
        geo.open,
        partial(reopened_outputs, outputs, had_file=config.output.file is not None),
        finished_flow_file,
        taken_interval,
        taken_episode_settings,
        partial(told_settings, config, state),
        partial(requested_bundle, new_bundle, user=user),
        notes.take_over,
        geo.take_over,
    )
    return Watching(
        detection,
        observer(config),
        interval_s=config.stats.interval_s,
        state=state,
        reload=Reload(options.settings, config, takers),
        news=new_bundle.news,
        alive=Watchdog().feed,
    )


def _site_hooks(hybrid: "Hybrid") -> "list[Hook]":
    """What says that the bundle's site is warming; nothing where it is not, or where the bundle knows of no site."""
    from sensor.episodes.learned_site import warming_site

    words = "" if hybrid.site is None else warming_site(hybrid.site)
    if not words:
        return []
    from sensor.run.warming import WarmingNote

    return [WarmingNote(words)]


def _drift_hooks(detection: "Detection") -> "list[Hook]":
    """What tells of drift; nothing where it is not looked for."""
    if detection.drift is None:
        return []
    from sensor.run.drifting import Drifting

    return [Drifting(detection, detection.drift)]


def _serve_metrics(stack: ExitStack, config: "Config", latest: "Latest") -> None:
    if config.stats.metrics_port is not None:
        from sensor.progress.prometheus import MetricsServer

        stack.enter_context(MetricsServer(config.stats.metrics_port, latest))

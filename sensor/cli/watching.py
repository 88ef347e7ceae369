"""Assembles a run over interfaces in the order that its safety requires, and tears it down afterwards.

First what may take long (model, kernels), so that no packet waits for it; then what needs privileges (filter, sockets,
outputs); then the privileges go; then processes are made, while there is no thread; threads come last.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING

from sensor.cli.assembly import AssembledRun, drift_hooks, marking_of, site_hooks, started
from sensor.cli.beforehand import refuse_watching
from sensor.cli.build import (
    build_drift,
    build_flow_recorder,
    build_judge,
    build_names,
    build_packet_recorder,
    flow_records,
    geo_databases,
    make_flow_directory,
    make_packet_directory,
    observer,
    site_notes,
)
from sensor.cli.display import DisplayOptions, looking_on, prepared_for, screen_of_watch
from sensor.cli.kernels import JUDGING, cached
from sensor.cli.live_capture import (
    check_packet_settings,
    drop_privileges,
    live_turns,
    open_captures,
    open_packets,
    refuse_packets,
    refuse_rotation_of,
    unprivileged_user,
)
from sensor.cli.ready_model import ready_model
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
from sensor.cli.signals import stopped_by_signals
from sensor.process.systemd import notify
from sensor.settings.extras import require_extras
from sensor.version import VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.alerts.alert import Observer
    from sensor.attach.place import Place
    from sensor.files.ownership import Owner
    from sensor.outputs.outputs import Outputs
    from sensor.packets.packet_files import PacketFiles
    from sensor.process.privileges import User
    from sensor.progress.latest import Latest
    from sensor.run.detection import Detection
    from sensor.run.new_bundle import NewBundle
    from sensor.run.outlet import LineTaker
    from sensor.run.run import Hook
    from sensor.run.watching import Watching
    from sensor.settings.config import Config


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """The options of the command line of a watch."""

    interfaces: tuple[str, ...]
    packets: "PacketFiles | None"  # files to write all packets to
    display: DisplayOptions
    settings: Callable[[], "Config"]  # reads the settings, anew at each call
    # Makes the hook that learns the site beside the watch, of what gives it another bundle; None: nothing is learnt.
    learning: "Callable[[NewBundle, Detection], Hook] | None" = None
    settings_file: "Path | None" = None  # that the settings are read from
    requested: Iterable[int] = ()  # signals by which something was requested before the watch could do it


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
    from sensor.run.run import Run

    drift, speaker = build_drift(config, hybrid, live=True), observer(config, run=token_hex(8))
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
        started(stack, flow_recorder)
        latest = Latest(Progress(bundle=hybrid.model_id))
        outputs = stack.enter_context(Outputs(prepared))
        source = ", ".join(options.interfaces)
        screen = stack.enter_context(
            screen_of_watch(display, config, source, hybrid, marking_of(config, notes, lambda: detection))
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
            looking_on(display, config, live=True),
            geo,
            build_names(config),
        )
        stack.callback(detection.close_files)
        new_bundle = NewBundle(detection.judge)
        hook = _watch_hook(options, config, detection, outputs, user, new_bundle, speaker)
        learning = [] if options.learning is None else [options.learning(new_bundle, detection)]
        own = [*site_hooks(hybrid), *drift_hooks(detection), OutputNews(detection, speaker), *_steady()]
        run = Run(turns, detection, screen, [hook, *learning, *own], latest)
        _serve_metrics(stack, config, latest)
        stack.enter_context(stopped_by_signals(run))
        stack.enter_context(requested_by_signals(hook, options.requested))
        notify("READY=1", f"STATUS=watching {source}")
        yield AssembledRun(run, detection)
        notify("STOPPING=1")


def _steady() -> "list[Hook]":
    """What keeps pauses short and memory small for as long as the run may last."""
    from sensor.run.pauses import ShortPauses
    from sensor.run.trimming import TrimmedMemory, trimmer

    return [ShortPauses(), TrimmedMemory(trimmer())]


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
    speaker: "Observer",
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
        speaker,
        interval_s=config.stats.interval_s,
        state=state,
        reload=Reload(options.settings, config, takers, options.settings_file),
        news=new_bundle.news,
        alive=Watchdog().feed,
    )


def _serve_metrics(stack: ExitStack, config: "Config", latest: "Latest") -> None:
    if config.stats.metrics_port is not None:
        from sensor.progress.prometheus import MetricsServer

        stack.enter_context(MetricsServer(config.stats.metrics_port, latest))

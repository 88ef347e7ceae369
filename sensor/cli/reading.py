"""Assembles a run over captures, and tears it down afterwards.

First what may take long (model, kernels), then outputs and recorders. With another core a thread meters from the start,
beside the model; the threads that judge begin with the run.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sensor.cli.assembly import AssembledRun, drift_hooks, marking_of, site_hooks, started
from sensor.cli.beforehand import refuse_reading
from sensor.cli.build import (
    build_drift,
    build_flow_recorder,
    build_judge,
    build_meter,
    build_names,
    build_packet_recorder,
    flow_records,
    geo_databases,
    make_flow_directory,
    make_packet_directory,
    observer,
    refuse_packet_directory,
    site_notes,
)
from sensor.cli.display import DisplayOptions, looking_on, prepared_for, screen_of_reading
from sensor.cli.kernels import JUDGING, Kernels, cached
from sensor.cli.ready_model import ready_model
from sensor.cli.signals import stopped_by_signals
from sensor.settings.extras import require_extras

if TYPE_CHECKING:
    from models.fusion import Hybrid
    from sensor.geoip.databases import GeoDatabases
    from sensor.judging.judge import Judge
    from sensor.metering.turns import TurnSource
    from sensor.packets.recorder import PacketRecorder
    from sensor.run.ahead import MeteredAhead
    from sensor.run.run import Hook
    from sensor.settings.config import Config
    from sensor.site.notes import SiteNotes

READ_QUEUE_WAIT_S = 10.0  # for which reading a capture waits for room in the queue of a listed output


@dataclass(frozen=True, slots=True)
class OneOfMany:
    """What a run knows that is over one of many captures, each for itself."""

    capture: str  # path of it, which its lines are to name
    notes: "SiteNotes | None" = None  # of the site, and where addresses belong: the same for all of them
    geo: "GeoDatabases | None" = None
    moved: Callable[[], None] | None = None  # called after each read, also where no flow comes of it
    packets_in: str = ""  # directory, with a slash, in which alerts say that their packets are
    flow_log_run: str | None = None  # by which its flow log's files are known


@contextmanager
def reading(
    config: "Config",
    captures: Sequence[str],
    display: DisplayOptions,
    judge: "Judge | None" = None,
    more_hooks: "Sequence[Hook]" = (),
    one: OneOfMany | None = None,
    cores: int = 1,
) -> Iterator[AssembledRun]:
    """A run over captures, torn down on exit.

    judge: one that has judged nothing yet, where there is one with its kernels. one: which of many this is; None for
    captures as one stream, which gives the same bytes whatever they are called and however they are packed. cores: that
    the run may use.
    """
    capture = one.capture if one else None
    require_extras(config)
    refuse_packet_directory(config, captures)
    notes, geo = (one.notes, one.geo) if one else (site_notes(config), geo_databases(config))
    moved = one.moved if one else None
    with ExitStack() as stack:
        if judge is None:
            kernels, beforehand = cached(JUDGING, config), partial(refuse_reading, config, captures)
            hybrid, metered = model_beside_metering(
                stack, config, captures, kernels, beforehand, cores=cores, quiet=display.quiet
            )
            judge = build_judge(config, hybrid)
        else:
            hybrid, metered = judge.hybrid, metered_ahead(stack, config, captures, cores, moved)
        from sensor.outputs.outputs import Outputs
        from sensor.run.detection import Detection
        from sensor.run.outlet import Outlet
        from sensor.run.output_news import OutputNews
        from sensor.run.run import Run
        from sensor.terminal.plain_screens import NoScreen

        make_packet_directory(config)
        make_flow_directory(config)
        recorder = build_packet_recorder(stack, config, shown_in=one.packets_in if one else "")
        log_run = one.flow_log_run if one else None
        flow_recorder = started(stack, build_flow_recorder(config, captures, waits=True, run=log_run))
        outputs = stack.enter_context(Outputs(prepared_for(config, display, None), READ_QUEUE_WAIT_S))
        outlet = Outlet(outputs=outputs, flow_records=flow_records(config, capture))
        screen = (
            NoScreen()
            if one
            else screen_of_reading(
                stack,
                config,
                captures,
                display,
                hybrid.model_id,
                lambda: bool(outlet.alerts or outlet.muted) and not run.stopping,
                marking_of(config, notes, lambda: detection),
            )
        )
        drift = build_drift(config, hybrid, live=False)
        looking = looking_on(display, config, live=False)
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
            may_judge=moved,
        )
        stack.callback(detection.close_files)
        hooks = [*site_hooks(hybrid), *drift_hooks(detection), OutputNews(detection, observer(config)), *more_hooks]
        turns = judged_turns(stack, config, captures, metered, judge, recorder, moved)
        run = Run(turns, detection, screen, hooks)
        if one is None:  # a part of the lines of one of many must not be taken for all of them: a signal fails it
            stack.enter_context(stopped_by_signals(run, outputs.stop_waiting))
        yield AssembledRun(run, detection)


def model_beside_metering(
    stack: ExitStack,
    config: "Config",
    captures: Sequence[str],
    kernels: Kernels,
    beforehand: Callable[[], None],
    *,
    cores: int,
    quiet: bool,
) -> "tuple[Hybrid, MeteredAhead | None]":
    """The model, as of ready_model, and turns as of metered_ahead: another core begins with them before that."""
    metered = metered_ahead(stack, config, captures, cores) if kernels.compiled else None
    hybrid = ready_model(config, kernels, beforehand, quiet=quiet)
    return hybrid, metered or metered_ahead(stack, config, captures, cores)


def metered_ahead(
    stack: ExitStack,
    config: "Config",
    captures: Sequence[str],
    cores: int,
    moved: Callable[[], None] | None = None,
) -> "MeteredAhead | None":
    """Turns of captures, metered from now on where there is more than one core; None where that would change something.

    A pipe's writer may be slow, and its packets are judged as they come; packets of alerts are looked for in memory
    before later ones push them out; and drift is told of with the records that show it.
    """
    from sensor.run.ahead import MeteredAhead
    from sensor.sources.captures.files import captures_in
    from sensor.sources.captures.stream import is_pipe

    if config.keep_packets.directory is not None or config.drift.runs == "all":
        return None
    if any(map(is_pipe, captures_in(captures))):
        return None
    metered = MeteredAhead(capture_turns(config, captures, moved=moved), cores)
    stack.callback(metered.close)
    return metered


def capture_turns(
    config: "Config",
    captures: Sequence[str],
    recorder: "PacketRecorder | None" = None,
    moved: Callable[[], None] | None = None,
) -> "TurnSource":
    """Turns of flow records of captures, for a judge. moved: as of CaptureStream. Raises ConfigError for a filter."""
    from sensor.metering.captures import CaptureTurns
    from sensor.sources.captures.stream import CaptureStream

    return CaptureTurns(
        CaptureStream(captures, config.capture.filter, moved=moved),
        build_meter(config),
        recorder.ring if recorder else None,
    )


def judged_turns(
    stack: ExitStack,
    config: "Config",
    captures: Sequence[str],
    metered: "MeteredAhead | None",
    judge: "Judge",
    recorder: "PacketRecorder | None" = None,
    moved: Callable[[], None] | None = None,
) -> "TurnSource":
    """The turns of captures for a judge, made ahead of it where they are metered ahead (metered_ahead)."""
    if metered is None:
        return capture_turns(config, captures, recorder, moved)
    from sensor.run.ahead import TurnsAhead

    ahead = TurnsAhead(metered, judge)
    stack.callback(ahead.close)
    return ahead

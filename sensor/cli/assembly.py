"""A watch put together in the order that its safety needs.

First what may take long (model, kernels), so that no packet waits for it; then what needs privileges (filter, sockets,
outputs); then the privileges go; then processes are made, while there is no thread; threads come last.
"""

import gc
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from sensor import log
from sensor.cli.keeping import build_keeper, make_packet_directory, refuse_keeping, warm_keeping
from sensor.cli.kernels import cached_kernels
from sensor.cli.options import Color
from sensor.cli.parts import (
    build_judge,
    build_meter,
    build_pipeline,
    episode_settings,
    flow_records,
    load_model,
    observer,
)
from sensor.cli.refusals import refuse_to_overwrite
from sensor.cli.screens import interactive, interactive_console, screen_for, stdout_is_listed
from sensor.cli.showing import opened_place, show_to_others
from sensor.cli.signals import ended_by_interrupt, stopped_by_signals
from sensor.errors import ConfigError, SensorError
from sensor.process.kernel_cache import kernels_are_compiled
from sensor.process.systemd import notify
from sensor.signals import handled

if TYPE_CHECKING:
    from models.fusion import Hybrid
    from sensor.metering.live import Capture
    from sensor.outputs.jsonl import JsonlSink
    from sensor.outputs.outputs import Outputs, Prepared
    from sensor.outputs.queued import QueuedSink
    from sensor.packets.keeper import Keeper
    from sensor.packets.pcapng import PcapngWriter
    from sensor.process.privileges import User
    from sensor.run.watching import Reports, Watch
    from sensor.settings.config import Config
    from sensor.terminal.screen import Screen
    from sensor.terminal.screen_thread import ScreenThread

LAST_LINES_S = 5.0  # time for outputs to take what is queued at the end
# Settings that a running sensor takes over; all others are fixed at its start.
TAKEN_OVER = frozenset(
    {
        *("output.file", "stats.interval_s"),
        *("episodes.flows_between_false_openings", "episodes.quiet_s", "episodes.alerts_per_minute"),
    }
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for. settings: reads the settings, anew at each call."""

    interfaces: tuple[str, ...]
    packets: Path | None
    json: bool
    quiet: bool
    color: Color
    settings: Callable[[], "Config"]


@contextmanager
def assembled(wanted: Wanted) -> Iterator["Watch"]:
    """A watch ready to run, all its parts taken apart afterwards."""
    config = wanted.settings()
    refuse_packets(wanted.packets, config)
    refuse_keeping(config)
    user = _user(config)
    hybrid = _warm(config, quiet=wanted.quiet)
    captures = _captures(wanted, config)
    listed = stdout_is_listed(config)
    lines_on_stdout = wanted.json or listed or not sys.stdout.isatty()
    with ExitStack() as stack:
        files = _opened_outputs(config, user, lines_on_stdout=lines_on_stdout and not listed)
        prepared = _prepared_outputs(config, user)
        writer = _opened_packets(stack, wanted.packets, user)
        make_packet_directory(config, user)
        place = opened_place(stack, config, user)
        _drop(user, metrics=config.stats.metrics_port is not None)
        keeper = build_keeper(config, wanted.interfaces)
        reports = _metering(config, captures, writer, keeper)
        sinks = [stack.enter_context(_queued(sink)) for sink in files]
        queues = _started_outputs(stack, prepared)
        screen = stack.enter_context(_screen(wanted, hybrid, lines_on_stdout=lines_on_stdout))
        watch = _watch(wanted, config, hybrid, reports, sinks, queues, screen)
        watch.keeper = keeper
        show_to_others(stack, place, watch, ", ".join(wanted.interfaces), hybrid.model_id)
        if config.stats.metrics_port is not None:
            from sensor.progress.prometheus import Metrics

            stack.enter_context(Metrics(config.stats.metrics_port, lambda: watch.progress, hybrid.model_id))
        stack.enter_context(stopped_by_signals(watch))
        stack.enter_context(_wishes(watch))
        notify("READY=1", f"STATUS=watching {', '.join(wanted.interfaces)}")
        yield watch
        notify("STOPPING=1")


def refuse_packets(packets: Path | None, config: "Config") -> None:
    """Raise ConfigError, OutputError where packets cannot be kept in this file with these settings."""
    if packets is None:
        return
    if config.capture.workers > 1:
        raise ConfigError(
            f"--write with capture.workers {config.capture.workers}: expected 1 worker, which sees the packets in order"
        )
    refuse_to_overwrite(config.output.file, [str(packets)])


def _warm(config: "Config", *, quiet: bool) -> "Hybrid":
    """The model, after everything that a watch runs has run once: a ring that waits for a compiler loses packets."""
    cached_kernels(quiet=quiet)
    from sensor.packets.pcapng import warm_packet_builder
    from sensor.run.warmup import warm_up

    hybrid = load_model(config)
    with ended_by_interrupt():
        warm_up(build_pipeline(config, hybrid))
        warm_packet_builder()
        warm_keeping(config)
        if sys.platform == "linux":
            from sensor.sources.live.ring import warm_ring_walker

            warm_ring_walker()
    kernels_are_compiled()
    gc.collect()
    gc.freeze()  # what is loaded by now stays: the collector need not walk it again and again
    return hybrid


def _captures(wanted: Wanted, config: "Config") -> list["Capture"]:
    """A capture for each worker, their sockets open. Raises CaptureError, ConfigError for a filter."""
    settings = config.capture
    if sys.platform != "linux":
        from sensor.sources.live.portable import LIMIT, PortableCapture

        if settings.workers > 1:
            raise ConfigError(f"capture.workers is {settings.workers}: more than one needs Linux")
        log.warning(LIMIT)
        return [
            PortableCapture(wanted.interfaces, promiscuous=settings.promiscuous, expression=settings.filter or None)
        ]
    from sensor.sources.filters.libpcap import compile_live
    from sensor.sources.live.ring import Ring

    programs = None
    if settings.filter:
        compiled = [compile_live(settings.filter, interface) for interface in wanted.interfaces]
        programs = {program.linktype: program for program in compiled}
    rings: list[Ring] = []
    for _ in range(settings.workers):
        group = None if settings.workers == 1 else rings[0].fanout_group if rings else 0
        rings.append(
            Ring(
                wanted.interfaces,
                settings.ring_block_bytes,
                settings.ring_blocks,
                promiscuous=settings.promiscuous,
                hardware_timestamps=settings.timestamps == "hardware",
                programs=programs,
                fanout=group,
            )
        )
    return list(rings)


def _user(config: "Config") -> "User | None":
    if sys.platform != "linux":
        return None
    from sensor.process.privileges import user_to_become

    return user_to_become(config.process.user)


def _drop(user: "User | None", *, metrics: bool) -> None:
    """Go on without privileges: from here on nothing that a stranger sent is looked at with them."""
    if sys.platform == "linux":
        from sensor.process.preloading import load_what_is_needed_later
        from sensor.process.privileges import drop

        load_what_is_needed_later(metrics=metrics)
        drop(user)


def _opened_outputs(config: "Config", user: "User | None", *, lines_on_stdout: bool) -> list["JsonlSink"]:
    from sensor.outputs.jsonl import JsonlSink, open_jsonl

    sinks = [JsonlSink(sys.stdout.fileno(), "stdout")] if lines_on_stdout else []
    if config.output.file is not None:
        sinks.append(open_jsonl(config.output.file, user))
    return sinks


def _prepared_outputs(config: "Config", user: "User | None") -> "list[Prepared]":
    """The outputs of the settings, with what privileges are needed for; their modules are loaded by now too."""
    if not config.outputs:
        return []
    from sensor.outputs.outputs import prepared_outputs

    return prepared_outputs(config.outputs, observer().name, user)


def _started_outputs(stack: ExitStack, prepared: "Sequence[Prepared]") -> "Outputs | None":
    if not prepared:
        return None
    from sensor.outputs.outputs import Outputs

    outputs = Outputs(prepared)
    stack.callback(outputs.close, 0.0)
    return outputs


def _opened_packets(stack: ExitStack, path: Path | None, user: "User | None") -> "PcapngWriter | None":
    if path is None:
        return None
    from sensor.packets.pcapng import create_capture

    writer = create_capture(path, user)
    stack.callback(writer.close)
    return writer


def _metering(
    config: "Config", captures: Sequence["Capture"], writer: "PcapngWriter | None", keeper: "Keeper | None"
) -> "Reports":
    from sensor.metering.live import Metering

    packets = keeper.ring if keeper else None
    meterings = [Metering(capture, build_meter(config, news_only=True), writer, packets) for capture in captures]
    if len(meterings) == 1:
        return meterings[0]
    from sensor.metering.workers import Workers

    return Workers(meterings)


@contextmanager
def _queued(sink: "JsonlSink") -> Iterator["QueuedSink"]:
    from sensor.outputs.queued import QueuedSink

    queued = QueuedSink(sink)
    try:
        yield queued
    finally:
        queued.close(LAST_LINES_S)


def _screen(wanted: Wanted, hybrid: "Hybrid", *, lines_on_stdout: bool) -> AbstractContextManager["ScreenThread"]:
    """A screen whose terminal may stand still."""
    from sensor.terminal.screen_thread import ScreenThread, own_stream

    streams = own_stream(sys.stdout), own_stream(sys.stderr)
    source = ", ".join(wanted.interfaces)
    if not wanted.quiet and not lines_on_stdout and (console := interactive_console(wanted.color, streams[0])):
        return interactive("watch", source, hybrid.model_id, console, stays=lambda: False)
    return ScreenThread(
        screen_for("watch", source, streams, lines_on_stdout=lines_on_stdout, quiet=wanted.quiet, color=wanted.color)
    )


def _watch(
    wanted: Wanted,
    config: "Config",
    hybrid: "Hybrid",
    reports: "Reports",
    sinks: Sequence["QueuedSink"],
    queues: "Outputs | None",
    screen: "Screen",
) -> "Watch":
    from sensor.process.systemd import Watchdog
    from sensor.run.outlet import Outlet
    from sensor.run.watching import Watch

    outlet = Outlet(sinks, screen, queues=queues, flow_records=flow_records(config))
    return Watch(
        reports,
        build_judge(config, hybrid),
        outlet,
        observer(),
        interval_s=config.stats.interval_s,
        reload=Reload(wanted, config, sinks, queues),
        lost_lines=lambda: sum(sink.lost for sink in sinks) + (queues.lost if queues else 0),
        reader_gone=lambda: outlet.reader_gone or any(sink.broken_pipe for sink in sinks),
        alive=Watchdog().feed,
    )


class Reload:
    """Reads the settings again and takes over what can change while the sensor runs."""

    def __init__(
        self, wanted: Wanted, config: "Config", sinks: Sequence["QueuedSink"], queues: "Outputs | None" = None
    ) -> None:
        """config: the settings that the sensor runs with. sinks: all of them, stdout's too. queues: of its list."""
        self._wanted = wanted
        self._config = config
        self._sinks = sinks
        self._queues = queues

    def __call__(self, watch: "Watch") -> list[str]:
        """Lines that say what was done. What is wrong leaves everything as it was."""
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            return self._reload(watch)
        except SensorError as error:
            return [f"not taken over: {error}"]
        finally:
            notify("READY=1")

    def _reload(self, watch: "Watch") -> list[str]:
        config = self._wanted.settings()
        reopened = self._reopen(config)
        watch.interval_s = config.stats.interval_s
        watch.judge.episodes.adjust(episode_settings(config))
        left = _changed(self._config, config) - TAKEN_OVER
        if self._config.outputs != config.outputs:
            left.add("outputs")
        lines = [f"settings read again{reopened}"]
        if left:
            lines.append(f"only a restart takes over {', '.join(sorted(left))}")
        return lines

    def _reopen(self, config: "Config") -> str:
        from sensor.outputs.jsonl import open_descriptor

        again = f", {self._queues.reopen()} outputs connected anew" if self._queues else ""
        path = config.output.file
        if path is None or self._config.output.file is None:
            return again
        self._sinks[-1].reopen(partial(open_descriptor, path), str(path))
        return f", {path} reopened{again}"


def _changed(before: "Config", after: "Config") -> set[str]:
    """Settings that differ, as section.name."""
    old, new = before.model_dump(), after.model_dump()
    return {f"{section}.{name}" for section in new for name in new[section] if new[section][name] != old[section][name]}


@contextmanager
def _wishes(watch: "Watch") -> Iterator[None]:
    """SIGHUP and SIGUSR1 leave a wish, which the watch grants in its next turn."""

    def wish(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            watch.wishes.reload = True
        else:
            watch.wishes.stats = True

    names = [name for name in ("SIGHUP", "SIGUSR1") if hasattr(signal, name)]
    with handled({signal.Signals[name]: wish for name in names}):
        yield

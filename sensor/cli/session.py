"""What the commands share: settings, model, outputs and screen put together, and signals."""

import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, TextIO

import typer

from sensor import log
from sensor.errors import INTERRUPTED, ModelError, OutputError
from sensor.kernel_cache import kernels_are_compiled, use_kernel_cache
from sensor.version import VERSION

if TYPE_CHECKING:
    from rich.console import Console

    from flows.meter import Meter
    from models.fusion import Hybrid
    from sensor.alerts import Observer
    from sensor.config import Config, Effective
    from sensor.episodes import EpisodeSettings
    from sensor.outlet import Screen
    from sensor.outputs import Outputs
    from sensor.pipeline import Judge, Pipeline
    from sensor.runner import Run
    from sensor.terminal.screen_thread import ScreenThread

SECOND_NS = 1_000_000_000
READ_PATIENCE_S = 10.0  # that reading a capture waits for room in an output's queue
DEFAULT_BUNDLE = "cic2017"


def _settings_from(incomplete: str) -> list[str]:
    """For the shell: settings that begin with what is typed."""
    from sensor.config import setting_names

    return [f"{name}=" for name in setting_names() if name.startswith(incomplete)]


ConfigOption = Annotated[Path | None, typer.Option("-c", "--config", metavar="FILE", help="Settings in YAML.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="A.B=C",
        help="One setting, e.g. meter.idle_timeout_s=60.",
        autocompletion=_settings_from,
    ),
]
BundleOption = Annotated[
    str | None, typer.Option("-m", "--model", metavar="BUNDLE", help="Bundle directory, or the name of a shipped one.")
]
OutputOption = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Append alerts as JSONL.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSONL on stdout also in a terminal.")]
FilterOption = Annotated[
    str | None,
    typer.Option("--filter", metavar="EXPR", help="Only these packets, e.g. 'tcp port 443' (pcap-filter)."),
]
DecapOption = Annotated[bool, typer.Option("--decap", help="Look into tunnels: GRE, VXLAN, Geneve, GTP-U, IP-in-IP.")]
QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="No summary; errors only.")]


class Color(StrEnum):
    """When to use colours: as the terminal and NO_COLOR say, or regardless of them."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


ColorOption = Annotated[Color, typer.Option("--color", metavar="WHEN", help="auto, always or never.")]


class Stoppable(Protocol):
    """A run that can end before its input does."""

    @property
    def stopping(self) -> bool:
        """Whether it was asked to."""

    def stop(self) -> None:
        """End in order."""


def settings(
    path: Path | None,
    overrides: list[str] | None,
    output: Path | None,
    bundle: str | None,
    *,
    filter_: str | None = None,
    decap: bool = False,
    promiscuous: bool = False,
) -> "Config":
    """Settings of all sources, the flags last."""
    return effective(path, overrides, output, bundle, filter_=filter_, decap=decap, promiscuous=promiscuous).config


def effective(
    path: Path | None,
    overrides: list[str] | None,
    output: Path | None,
    bundle: str | None,
    *,
    filter_: str | None = None,
    decap: bool = False,
    promiscuous: bool = False,
) -> "Effective":
    """The same with the place of each setting."""
    from sensor.config import effective_config
    from sensor.setting import Setting

    flags = (
        Setting("output.file", None if output is None else str(output), "--output"),
        Setting("detection.bundle", bundle, "--model"),
        Setting("capture.filter", filter_, "--filter"),
        Setting("meter.decapsulate", decap or None, "--decap"),
        Setting("capture.promiscuous", promiscuous or None, "--promiscuous"),
    )
    found = effective_config(path, os.environ, overrides or (), (flag for flag in flags if flag.value is not None))
    for name, place in found.places.items():
        log.debug(f"{name} comes from {place}")
    return found


def refuse_to_overwrite(output: Path | None, packets: list[str]) -> None:
    """Raise OutputError where alerts would be appended to one of the files that hold packets."""
    if output is None:
        return
    for name in packets:
        packet_file = Path(name)
        same = output.samefile(packet_file) if output.exists() and packet_file.exists() else False
        if same or output.absolute() == packet_file.absolute():
            raise OutputError(f"{output}: found a file of packets, expected another one for the alerts")


def load_model(config: "Config") -> "Hybrid":
    """The bundle of the settings: for flows, or for connection records of either kind. Raises ModelError."""
    from flows.columns import feature_contract
    from flows.kdd.columns import kdd_contract
    from models.bundle import BundleError, load_bundle

    path = bundle_path(config.detection.bundle)
    try:
        return load_bundle(path, feature_contract(), kdd_contract(content=False), kdd_contract(content=True))
    except BundleError as error:
        raise ModelError(str(error)) from error


def bundle_path(bundle: Path | None) -> Path:
    """A directory as given, or the shipped bundle of that name."""
    import models

    pretrained = Path(str(models.__file__)).parent / "pretrained"
    if bundle is None:
        return pretrained / DEFAULT_BUNDLE
    shipped = pretrained / bundle.name
    return shipped if str(bundle) == bundle.name and not bundle.exists() and shipped.exists() else bundle


def console_for(color: Color, stream: TextIO) -> "Console":
    """Terminal to draw on."""
    from rich.console import Console

    if color is Color.NEVER:
        return Console(file=stream, color_system=None)  # no bold or dim either
    if color is Color.ALWAYS:
        return Console(file=stream, force_terminal=True, no_color=False)
    return Console(file=stream)


def build_meter(config: "Config", compat: str | None = None, *, news_only: bool = False) -> "Meter":
    """Meter by the settings. compat: a program whose flows and values it reproduces (flows.meter.COMPATIBLE).

    news_only: leave out final reports that add nothing, which a judge would pass over.
    """
    from flows.meter import Meter

    return Meter(
        config.meter.capacity_flows,
        idle_timeout_ns=round(config.meter.idle_timeout_s * SECOND_NS),
        active_timeout_ns=round(config.meter.active_timeout_s * SECOND_NS),
        closed_linger_ns=round(config.meter.closed_linger_s * SECOND_NS),
        first_snapshot_ns=round(config.meter.first_snapshot_s * SECOND_NS),
        snapshot_interval_ns=round(config.meter.snapshot_interval_s * SECOND_NS),
        decap=config.meter.decapsulate,
        compat=compat,
        news_only=news_only,
    )


def build_judge(config: "Config", hybrid: "Hybrid") -> "Judge":
    """Model and episodes by the settings.

    Raises ModelError for a rate that the bundle has no threshold for, and for a bundle that needs payloads.
    """
    from flows.columns import feature_contract
    from flows.kdd.columns import kdd_contract
    from flows.kdd.meter import Connections
    from sensor.episodes import episodes_of
    from sensor.pipeline import Judge

    if hybrid.contract == kdd_contract(content=True):
        raise ModelError(
            f"bundle {hybrid.model_id}: found columns that need payloads, which a flow sensor does not see; "
            "expected a bundle without them, such as nsl-kdd-flow (flowvigil serve takes this one)"
        )

    rate = config.detection.false_positive_rate
    if rate not in hybrid.thresholds:
        held = ", ".join(str(held) for held in sorted(hybrid.thresholds))
        raise ModelError(f"bundle {hybrid.model_id}: found thresholds for rates {held}, expected one for {rate}")
    episodes = episodes_of(
        hybrid,
        observer(),
        rate,
        episode_settings(config),
    )
    columns = None if hybrid.contract == feature_contract() else Connections().columns
    return Judge(hybrid, episodes, rate, columns)


def observer() -> "Observer":
    """This sensor, as its records name it."""
    from sensor.alerts import Observer

    return Observer(socket.gethostname(), VERSION)


def episode_settings(config: "Config") -> "EpisodeSettings":
    """When episodes open and close, by the settings."""
    from sensor.episodes import EpisodeSettings

    return EpisodeSettings(
        threshold=config.episodes.flows_between_false_openings,
        quiet_ns=round(config.episodes.quiet_s * SECOND_NS),
        capacity_hosts=config.episodes.capacity_hosts,
    )


def build_pipeline(config: "Config", hybrid: "Hybrid") -> "Pipeline":
    """Meter, model and episodes by the settings. Raises ModelError as build_judge."""
    from sensor.pipeline import Pipeline

    return Pipeline(build_meter(config, news_only=True), build_judge(config, hybrid))


@contextmanager
def session(config: "Config", captures: Sequence[str], *, json: bool, quiet: bool, color: Color) -> Iterator["Run"]:
    """Put a run over captures together and take it apart: JSONL on stdout when it is no terminal, else a view."""
    compiled = use_kernel_cache()
    if not compiled and not quiet:
        log.info("first run: compiling kernels, which takes about half a minute")
    from sensor.outlet import Outlet
    from sensor.runner import Run
    from sensor.sinks.jsonl import JsonlSink, open_jsonl
    from sensor.sources.reading import Reading
    from sensor.terminal.screen_thread import own_stream

    hybrid = load_model(config)
    pipeline = build_pipeline(config, hybrid)
    if not compiled:  # so that the run's own times are the sensor's, not the compiler's
        from sensor.warmup import warm_up

        with ended_by_interrupt():
            warm_up(build_pipeline(config, hybrid))
        kernels_are_compiled()
    gc.freeze()  # what is loaded by now stays: the collector need not walk it again and again
    with ExitStack() as stack:
        sinks: list[JsonlSink] = []
        listed = stdout_is_listed(config)
        lines_on_stdout = json or listed or not sys.stdout.isatty()
        if lines_on_stdout and not listed:
            sinks.append(JsonlSink(sys.stdout.fileno(), "stdout"))
        if config.output.file is not None:
            sinks.append(stack.enter_context(open_jsonl(config.output.file)))
        source = Path(captures[0]).name if len(captures) == 1 else f"{len(captures)} captures"
        streams = sys.stdout, sys.stderr
        console = None if quiet or lines_on_stdout else interactive_console(color, own_stream(sys.stdout))
        screen: Screen
        if console is not None:
            screen = stack.enter_context(
                interactive("read", source, hybrid.model_id, console, lambda: bool(outlet.alerts) and not run.stopping)
            )
        else:
            screen = screen_for("read", source, streams, lines_on_stdout=lines_on_stdout, quiet=quiet, color=color)
            if isinstance(screen, AbstractContextManager):
                stack.enter_context(screen)
        outlet = Outlet(sinks, screen, queues=_started_outputs(stack, config))
        run = Run(Reading(captures, config.capture.filter), pipeline, outlet)
        stack.enter_context(stopped_by_signals(run))
        yield run


def stdout_is_listed(config: "Config") -> bool:
    """Whether stdout is one of the outputs in the settings, in place of the lines that stand there by themselves."""
    return any(output.type == "stdout" for output in config.outputs)


def _started_outputs(stack: ExitStack, config: "Config") -> "Outputs | None":
    """The outputs of the settings, at work; a capture can wait for one that is slow."""
    if not config.outputs:
        return None
    from sensor.outputs import Outputs, prepared_outputs

    outputs = Outputs(prepared_outputs(config.outputs, socket.gethostname()), patience_s=READ_PATIENCE_S)
    stack.callback(outputs.close, 0.0)
    return outputs


def screen_for(
    mode: Literal["read", "watch"],
    source: str,
    streams: tuple[TextIO, TextIO],
    *,
    lines_on_stdout: bool,
    quiet: bool,
    color: Color,
) -> "Screen":
    """Who is told how the run goes: nobody, a closing line on stderr, or a view on the terminal.

    streams: stdout and stderr. A view is a context manager.
    """
    from sensor.terminal.summary import Silent, SummaryLine

    stdout, stderr = streams
    if log.is_json() and (quiet or lines_on_stdout):
        from sensor.terminal.logged import Logged

        return Logged(stderr, mode, source, quiet=quiet)
    if quiet:
        return Silent(stderr)
    if lines_on_stdout:
        return SummaryLine(stderr, mode, source)
    from sensor.terminal.view import View

    return View(console_for(color, stdout), mode, source)


def interactive_console(color: Color, stream: TextIO) -> "Console | None":
    """A terminal with somebody at its keys and a cursor that moves, or None. stream: of its own (own_stream)."""
    if sys.platform == "win32" or not sys.stdin.isatty():
        return None
    from sensor.terminal.keyboard import usable

    console = console_for(color, stream)
    return console if usable(sys.stdin.fileno()) and console.is_terminal and not console.is_dumb_terminal else None


@contextmanager
def interactive(
    mode: Literal["read", "watch"], source: str, bundle: str, console: "Console", stays: Callable[[], bool]
) -> Iterator["ScreenThread"]:
    """A view that takes keys, in a thread of its own; the terminal is as it was afterwards, whatever happens.

    stays: whether to wait, when there is nothing more to come, until the operator has seen enough.
    """
    from sensor.terminal.dashboard import Dashboard
    from sensor.terminal.keyboard import Keyboard
    from sensor.terminal.operator import Operator
    from sensor.terminal.screen_thread import ScreenThread

    view = Dashboard(console, mode, source, bundle)
    with Keyboard(sys.stdin.fileno()) as keyboard:
        operator = Operator(keyboard, view, stays)
        with operator.following(), ScreenThread(view, operator) as screen:
            yield screen


@contextmanager
def ended_by_interrupt() -> Iterator[None]:
    """SIGINT ends the process on the spot: the compiler's callbacks would print an exception and go on."""
    before = signal.signal(signal.SIGINT, lambda _signal, _frame: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def stopped_by_signals(run: Stoppable) -> Iterator[None]:
    """The first SIGINT or SIGTERM ends the run in order; a second one ends the process."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if run.stopping:
            raise SystemExit(INTERRUPTED)
        run.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

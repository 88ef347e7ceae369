"""A run over captures put together, and taken apart afterwards."""

import gc
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sensor.cli.keeping import build_keeper, make_packet_directory, refuse_to_keep_among, warm_keeping
from sensor.cli.kernels import cached_kernels
from sensor.cli.options import Color
from sensor.cli.parts import build_pipeline, flow_records, load_model
from sensor.cli.screens import interactive, interactive_console, screen_for, stdout_is_listed
from sensor.cli.signals import ended_by_interrupt, stopped_by_signals
from sensor.process.kernel_cache import kernels_are_compiled

if TYPE_CHECKING:
    from sensor.outputs.outputs import Outputs
    from sensor.run.runner import Run
    from sensor.settings.config import Config
    from sensor.terminal.screen import Screen

READ_PATIENCE_S = 10.0  # that reading a capture waits for room in an output's queue


@contextmanager
def session(config: "Config", captures: Sequence[str], *, json: bool, quiet: bool, color: Color) -> Iterator["Run"]:
    """Put a run over captures together and take it apart: JSONL on stdout when it is no terminal, else a view."""
    compiled = cached_kernels(quiet=quiet)
    from sensor.outputs.jsonl import JsonlSink, open_jsonl
    from sensor.run.outlet import Outlet
    from sensor.run.runner import Run
    from sensor.sources.captures.reading import Reading
    from sensor.terminal.screen_thread import own_stream

    hybrid = load_model(config)
    pipeline = build_pipeline(config, hybrid)
    if not compiled:  # so that the run's own times are the sensor's, not the compiler's
        from sensor.run.warmup import warm_up

        with ended_by_interrupt():
            warm_up(build_pipeline(config, hybrid))
        kernels_are_compiled()
    gc.freeze()  # what is loaded by now stays: the collector need not walk it again and again
    refuse_to_keep_among(config, captures)
    warm_keeping(config)
    make_packet_directory(config)
    keeper = build_keeper(config)
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
        outlet = Outlet(sinks, screen, queues=_started_outputs(stack, config), flow_records=flow_records(config))
        run = Run(Reading(captures, config.capture.filter), pipeline, outlet, keeper)
        stack.enter_context(stopped_by_signals(run))
        yield run


def _started_outputs(stack: ExitStack, config: "Config") -> "Outputs | None":
    """The outputs of the settings, at work; a capture can wait for one that is slow."""
    if not config.outputs:
        return None
    from sensor.outputs.outputs import Outputs, prepared_outputs

    outputs = Outputs(prepared_outputs(config.outputs, socket.gethostname()), patience_s=READ_PATIENCE_S)
    stack.callback(outputs.close, 0.0)
    return outputs

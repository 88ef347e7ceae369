"""`flowvigil watch`: an interface in, alerts out."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from sensor.cli.session import (
    BundleOption,
    Color,
    ColorOption,
    ConfigOption,
    DecapOption,
    JsonOption,
    OutputOption,
    QuietOption,
    SetOption,
    build_pipeline,
    refuse_to_overwrite,
    session,
    settings,
)
from sensor.errors import CAPTURE, OK, OUTPUT, CaptureError

InterfaceOption = Annotated[str, typer.Option("-i", "--interface", metavar="IFACE", help="Interface to watch.")]
WriteOption = Annotated[
    Path | None, typer.Option("--write", metavar="FILE", help="Keep the packets too, as nanosecond pcapng.")
]


def watch(
    interface: InterfaceOption,
    write: WriteOption = None,
    output: OutputOption = None,
    model: BundleOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    decap: DecapOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> int:
    """Watch an interface and report what is anomalous, until Ctrl-C. Needs Linux and CAP_NET_RAW (sudo has it).

    \b
    sudo flowvigil watch -i eth0
    sudo flowvigil watch -i eth0 -o /var/log/flowvigil/alerts.jsonl --write kept.pcapng
    sudo flowvigil watch -i eth0 | jq -c '[.source.ip, .event.reason]'
    """
    if sys.platform != "linux":
        raise CaptureError(f"watch works on Linux only, this is {sys.platform}; read captures instead")
    loaded = settings(config, overrides, output, model, decap=decap)
    if write is not None:
        refuse_to_overwrite(loaded.output.file, [str(write)])
    with session(loaded, "watch", interface, json=json, quiet=quiet, color=color) as run:
        from sensor.sinks.pcapng import create_capture, warm_packet_builder
        from sensor.sources.ring import Ring, warm_ring_walker
        from sensor.warmup import warm_up

        # before the socket opens: a ring that waits for a compiler loses packets
        warm_up(build_pipeline(loaded, run.pipeline.hybrid))
        warm_ring_walker()
        warm_packet_builder()
        ring = Ring(interface, loaded.capture.ring_block_bytes, loaded.capture.ring_blocks)
        writer = create_capture(write) if write else None  # last: it empties a file that is there
        try:
            run.watch(ring, writer)
        finally:
            if writer:
                writer.close()
    if run.lost_output:
        return OUTPUT
    return CAPTURE if run.problems else OK

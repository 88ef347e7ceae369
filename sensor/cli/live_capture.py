"""The live capture of a watch by the settings: sockets, the file of all packets, and privileges, which are dropped."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from sensor import log
from sensor.cli.build import build_meter
from sensor.cli.refusals import refuse_to_overwrite
from sensor.errors import CaptureError, ConfigError

if TYPE_CHECKING:
    from sensor.metering.live import LiveCapture
    from sensor.metering.turns import TurnSource
    from sensor.packets.pcapng import PcapngWriter
    from sensor.packets.recorder import PacketRecorder
    from sensor.process.privileges import User
    from sensor.settings.config import Config


ANY = "any"


def named_interfaces(names: Sequence[str]) -> tuple[str, ...]:
    """Interfaces to watch, each once; `any` on Linux is all that are up at the start and whose frames can be read.

    Raises CaptureError where none is.
    """
    if ANY not in names or sys.platform != "linux":
        return tuple(dict.fromkeys(names))
    from sensor.sources.live.ring import interfaces_up

    up = interfaces_up()
    if not up:
        raise CaptureError("any: found no interface that is up and can be read, expected at least one")
    return tuple(dict.fromkeys(found for name in names for found in (up if name == ANY else (name,))))


def refuse_packets(packets: Path | None, config: "Config") -> None:
    """Raise ConfigError or OutputError where these settings do not allow to write all packets to this file."""
    if packets is None:
        return
    if config.capture.workers > 1:
        raise ConfigError(
            f"--write with capture.workers {config.capture.workers}: expected 1 worker, which sees the packets in order"
        )
    refuse_to_overwrite(config.output.file, [str(packets)])
    from sensor.packets.pcapng import refuse_existing

    refuse_existing(packets)


def open_captures(config: "Config", interfaces: Sequence[str]) -> list["LiveCapture"]:
    """Open a capture for each worker. Raises CaptureError, and ConfigError for a filter."""
    settings = config.capture
    if sys.platform != "linux":
        from sensor.sources.live.portable import LIMIT, PortableCapture

        if settings.workers > 1:
            raise ConfigError(f"capture.workers is {settings.workers}: more than one needs Linux")
        log.warning(LIMIT)
        return [PortableCapture(interfaces, promiscuous=settings.promiscuous, expression=settings.filter or None)]
    from sensor.sources.filters.libpcap import compile_live
    from sensor.sources.live.ring import RingCapture

    programs = None
    if settings.filter:
        compiled = [compile_live(settings.filter, interface) for interface in interfaces]
        programs = {program.linktype: program for program in compiled}
    rings: list[RingCapture] = []
    for _ in range(settings.workers):
        group = None if settings.workers == 1 else rings[0].fanout_group if rings else 0
        rings.append(
            RingCapture(
                interfaces,
                settings.ring_block_bytes,
                settings.ring_blocks,
                promiscuous=settings.promiscuous,
                hardware_timestamps=settings.timestamps == "hardware",
                programs=programs,
                fanout=group,
            )
        )
    return list(rings)


def open_packets(stack: ExitStack, path: Path | None, user: "User | None") -> "PcapngWriter | None":
    """Create the file of all packets, None for no path; the stack closes it. Raises OutputError."""
    if path is None:
        return None
    from sensor.packets.pcapng import create_capture

    writer = create_capture(path, user)
    stack.callback(writer.close)
    return writer


def live_turns(
    config: "Config",
    captures: Sequence["LiveCapture"],
    writer: "PcapngWriter | None",
    recorder: "PacketRecorder | None",
) -> "TurnSource":
    """Turns of the captures; of several, each is metered in a process of its own."""
    from sensor.metering.live import LiveTurns

    packets = recorder.ring if recorder else None
    sources = [LiveTurns(capture, build_meter(config), writer, packets) for capture in captures]
    if len(sources) == 1:
        return sources[0]
    from sensor.metering.workers import WorkerTurns

    return WorkerTurns(sources)


def unprivileged_user(config: "Config") -> "User | None":
    """The user that the process becomes once its sockets are open, None for no change. Raises ConfigError."""
    if sys.platform != "linux":
        return None
    from sensor.process.privileges import user_to_become

    return user_to_become(config.process.user)


def drop_privileges(user: "User | None", *, metrics: bool) -> None:
    """Drop all privileges, before any packet is decoded. metrics: whether a metrics server is started afterwards."""
    if sys.platform == "linux":
        from sensor.process.preloading import preload
        from sensor.process.privileges import drop

        preload(metrics=metrics)
        drop(user)

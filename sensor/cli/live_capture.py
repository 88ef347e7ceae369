"""The live capture of a watch by the settings: sockets, the file of all packets, and privileges, which are dropped."""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from sensor import log
from sensor.cli.build import build_meter
from sensor.cli.refusals import refuse_to_overwrite
from sensor.errors import CaptureError, ConfigError, OutputError

if TYPE_CHECKING:
    from sensor.metering.live import LiveCapture
    from sensor.metering.turns import TurnSource
    from sensor.packets.packet_files import PacketFiles
    from sensor.packets.pcapng import PacketWriter
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
    from sensor.sources.live.interfaces import interfaces_up

    up = interfaces_up()
    if not up:
        raise CaptureError("any: found no interface that is up and can be read, expected at least one")
    return tuple(dict.fromkeys(found for name in names for found in (up if name == ANY else (name,))))


def check_packet_settings(config: "Config") -> None:
    """Raise ConfigError where these settings do not allow to keep packets of alerts."""
    directory, workers = config.keep_packets.directory, config.capture.workers
    if directory is not None and workers > 1:
        raise ConfigError(
            f"keep_packets.directory is {str(directory)!r} with capture.workers {workers}: expected 1 worker, "
            "in whose memory all packets are"
        )


def refuse_packets(packets: "PacketFiles | None", config: "Config") -> None:
    """Raise ConfigError or OutputError where these settings do not allow to write all packets to these files."""
    if packets is None:
        return
    if config.capture.workers > 1:
        raise ConfigError(
            f"--write with capture.workers {config.capture.workers}: expected 1 worker, which sees the packets in order"
        )
    first = packets.path_at(time.time_ns())
    refuse_to_overwrite(config.output.file, [str(first)])
    if not packets.rotates:
        from sensor.packets.pcapng import refuse_existing

        refuse_existing(first)
    elif os.path.exists(first) and not os.path.isfile(first):
        raise OutputError(f"{first}: found a pipe, device or directory, expected a name for files in turn")


def refuse_rotation_of(packets: "PacketFiles | None", user: "User | None") -> None:
    """Raise OutputError where this user could not make the files that follow the first.

    user: the one that the process becomes, None for no change.
    """
    if packets is not None and packets.rotates:
        from sensor.checks.files import refuse_rotation
        from sensor.checks.privileges import once_dropped

        refuse_rotation(packets, partial(once_dropped, user))


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
    if settings.workers > 1 and config.meter.decapsulate:
        log.warning(
            f"meter.decapsulate with capture.workers {settings.workers}: packets are shared out by what is outside of "
            "a tunnel, so the two ways of a flow in VXLAN or Geneve may meet different workers and look unanswered: 1 "
            "worker sees both"
        )
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


def open_packets(stack: ExitStack, packets: "PacketFiles | None", user: "User | None") -> "PacketWriter | None":
    """Create the file of all packets, or the first one, None for none; the stack closes it. Raises OutputError.

    A pipe or a device is not opened yet.
    """
    if packets is None:
        return None
    from sensor.files.special import is_special
    from sensor.packets.pcapng import create_capture
    from sensor.packets.pipe import PipeWriter
    from sensor.packets.rotation import RotatingWriter

    writer: PacketWriter
    if packets.rotates:
        writer = RotatingWriter(packets, time.time_ns(), user)
    elif is_special(packets.path):
        writer = PipeWriter(packets.path)
    else:
        writer = create_capture(packets.path, user)
    stack.callback(writer.close)
    return writer


def live_turns(
    config: "Config",
    captures: Sequence["LiveCapture"],
    writer: "PacketWriter | None",
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

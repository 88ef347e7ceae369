"""Packets of alerts, kept by the settings: what is needed before privileges go, and the keeper put together after."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sensor.cli.parts import observer
from sensor.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from sensor.packets.keeper import Keeper
    from sensor.process.privileges import User
    from sensor.settings.config import Config


def refuse_keeping(config: "Config") -> None:
    """Raise ConfigError where packets of alerts cannot be kept with these settings."""
    directory, workers = config.keep_packets.directory, config.capture.workers
    if directory is not None and workers > 1:
        raise ConfigError(
            f"keep_packets.directory is {str(directory)!r} with capture.workers {workers}: expected 1 worker, "
            "in whose memory all packets are"
        )


def refuse_to_keep_among(config: "Config", captures: Sequence[str]) -> None:
    """Raise OutputError where files would be made, replaced and deleted among the captures that are read."""
    if config.keep_packets.directory is None:
        return
    directory = config.keep_packets.directory.resolve()
    for name in captures:
        path = Path(name).resolve()
        if directory in (path, path.parent):
            raise OutputError(
                f"packets cannot be kept in {config.keep_packets.directory}: found {name} there, which is to be read, "
                "expected another directory"
            )


def make_packet_directory(config: "Config", user: "User | None" = None) -> None:
    """The directory, where there is none, for whom the process becomes. Raises OutputError."""
    if config.keep_packets.directory is None:
        return
    from sensor.packets.directory import make_directory

    make_directory(config.keep_packets.directory, user)


def build_keeper(config: "Config", interfaces: Sequence[str] = ("",)) -> "Keeper | None":
    """Who keeps packets in the directory, None where none are to be. Raises OutputError where it cannot be written.

    interfaces: names by number.
    """
    wanted = config.keep_packets
    if wanted.directory is None:
        return None
    from sensor.packets.directory import PacketDirectory
    from sensor.packets.keeper import Keeper
    from sensor.packets.ring import PacketRing

    return Keeper(
        PacketRing(wanted.memory_bytes, decap=config.meter.decapsulate),
        PacketDirectory(wanted.directory, wanted.directory_bytes),
        observer(),
        interfaces=interfaces,
        most_packets=wanted.alert_packets,
        most_bytes=wanted.alert_bytes,
    )


def warm_keeping(config: "Config") -> None:
    """Have everything that keeping packets needs loaded and its kernels compiled."""
    if config.keep_packets.directory is None:
        return
    from sensor.packets.keeper import warm_keeper

    warm_keeper()

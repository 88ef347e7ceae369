"""What is cheap to find out is found out before kernels are compiled: a wrong name is told at once, not in a minute.

Each function raises what the run itself would raise later, and leaves nothing behind.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sensor import log
from sensor.cli.build import build_judge, build_meter, load_model
from sensor.errors import InputError, OutputError, reason_of

if TYPE_CHECKING:
    from sensor.api.listening import ListenAddress
    from sensor.packets.packet_files import PacketFiles
    from sensor.settings.config import Config


SKIPPED_NAMED = 3


def tell_skipped(captures: Sequence[str]) -> None:
    """Log in one line what directories among the captures hold besides captures."""
    from sensor.sources.captures.files import skipped_in

    skipped = skipped_in(captures)
    if skipped:
        left = len(skipped) - SKIPPED_NAMED
        more = f" and {left:,} more" if left > 0 else ""
        log.info(f"skipped {len(skipped):,}, no capture: {', '.join(skipped[:SKIPPED_NAMED])}{more}")


def tell_stream(captures: Sequence[str]) -> None:
    """Log in one line that several captures are taken as one stream; nothing where reading them ends at once."""
    from sensor.sources.captures.files import captures_in, captures_of_stream
    from sensor.sources.captures.stream import refuse_unreadable

    names, several = len(captures_in(captures)), len(captures_of_stream(captures))
    if names > 1:
        try:
            refuse_unreadable(captures)
        except InputError:
            return  # which reading them says
        if several > 1:
            log.info(f"{several:,} captures read as one stream, by time; --independent reads each for itself")
        if names > several:
            log.info(f"{names - several:,} more names lead to files that are among them, which are read once")


def refuse_captures(config: "Config", captures: Sequence[str]) -> None:
    """Raise ConfigError for the filter, InputError where no capture can be opened."""
    from sensor.sources.captures.stream import refuse_unreadable

    refuse_unreadable(captures, config.capture.filter)


def refuse_reading(config: "Config", captures: Sequence[str]) -> None:
    """As refuse_captures; raise OutputError for the file of alerts."""
    _refuse_file(config.output.file, "cannot be opened for writing", given_away=False)
    refuse_captures(config, captures)


def refuse_metering(config: "Config", captures: Sequence[str], table: Path | None) -> None:
    """As refuse_captures; raise OutputError for the flow table."""
    from sensor.flow_tables.table import refuse_unwritable

    if table is not None:
        refuse_unwritable(table)
    refuse_captures(config, captures)


def refuse_watching(config: "Config", interfaces: Sequence[str], packets: "PacketFiles | None") -> None:
    """Raise CaptureError for an interface or the permission, ConfigError for the filter, and so on, as the start would.

    packets: the files that keep all packets, None where none is wanted.
    """
    from sensor.checks.attach import attach
    from sensor.checks.directories import flow_log, kept_packets
    from sensor.checks.metrics import metrics
    from sensor.checks.result import CheckContext, Observation
    from sensor.cli.live_capture import open_captures, unprivileged_user

    for capture in open_captures(config, interfaces):
        capture.close()
    given_away = unprivileged_user(config) is not None
    _refuse_file(config.output.file, "cannot be opened for writing", given_away=given_away)
    first = packets.free_path(time.time_ns()) if packets else None
    _refuse_file(first, "packets cannot be written", given_away=given_away)
    context = CheckContext(config, tuple(interfaces), Observation(""), load_model, build_meter, build_judge, packets)
    for check in (kept_packets, flow_log, attach, metrics):
        check(context)


def refuse_serving(address: "ListenAddress") -> None:
    """Raise ConfigError where the address cannot be had."""
    from sensor.api.listening import listening_socket

    with listening_socket(address):
        return


def _refuse_file(path: Path | None, words: str, *, given_away: bool) -> None:
    """Raise OutputError, with the words of whoever opens the file later."""
    from sensor.checks.files import try_to_open

    if path is None:
        return
    try:
        try_to_open(path, given_away=given_away)
    except OSError as error:
        raise OutputError(f"{path}: {words}: {reason_of(error)}") from error

"""What is cheap to find out is found out before kernels are compiled: a wrong name is told at once, not in a minute.

Each function raises what the run itself would raise later, and leaves nothing behind.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from sensor.cli.build import build_judge, build_meter, load_model, refuse_to_keep_among

if TYPE_CHECKING:
    from sensor.api.listening import ListenAddress
    from sensor.settings.config import Config


def refuse_captures(config: "Config", captures: Sequence[str]) -> None:
    """Raise ConfigError for the filter, InputError where no capture can be opened."""
    from sensor.sources.captures.reading import refuse_unreadable

    refuse_unreadable(captures, config.capture.filter)


def refuse_reading(config: "Config", captures: Sequence[str]) -> None:
    """As refuse_captures; raise OutputError for the file of alerts and the directory of their packets."""
    from sensor.checks.outputs import refuse_unwritable

    refuse_to_keep_among(config, captures)
    if config.output.file is not None:
        refuse_unwritable(config.output.file)
    refuse_captures(config, captures)


def refuse_metering(config: "Config", captures: Sequence[str], table: Path | None) -> None:
    """As refuse_captures; raise OutputError for the flow table."""
    from sensor.flow_tables.table import refuse_unwritable

    if table is not None:
        refuse_unwritable(table)
    refuse_captures(config, captures)


def refuse_watching(config: "Config", interfaces: Sequence[str], packets: Path | None) -> None:
    """Raise CaptureError for an interface or the permission, ConfigError for the filter, and so on, as the start would.

    packets: the file that keeps all packets, None where none is wanted.
    """
    from sensor.checks.attach import attach
    from sensor.checks.finding import Remark, Subject
    from sensor.checks.outputs import metrics, output
    from sensor.checks.outputs import packets as packet_file
    from sensor.cli.capturing import open_captures

    for capture in open_captures(config, interfaces):
        capture.close()
    subject = Subject(config, tuple(interfaces), Remark(""), load_model, build_meter, build_judge, packets)
    for check in (output, packet_file, attach, metrics):
        check(subject)


def refuse_serving(address: "ListenAddress") -> None:
    """Raise ConfigError where the address cannot be had."""
    from sensor.api.listening import bound_socket

    with closing(bound_socket(address)):
        if address.path is not None:
            address.path.unlink(missing_ok=True)

"""Whether each output of the list in the settings can be reached: file, socket, certificate, spool. Nothing is sent."""

import os
import ssl
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.checks.finding import Remark, Status, Subject
from sensor.errors import CONFIG, OUTPUT, ConfigError, OutputError, SensorError
from sensor.files.descriptors import reason_of

if TYPE_CHECKING:
    from sensor.settings.outputs import OutputEntry, SyslogEntry

SOON_S: Final = 14 * 86_400  # a certificate that ends by then is told of


def outputs(subject: Subject) -> Remark:
    """Reach every output. Raises ConfigError for a bad certificate or key, OutputError for a file or a spool.

    A receiver that is away is a warning: the sensor starts without it and keeps or loses what it cannot deliver.
    """
    entries = subject.config.outputs
    if not entries:
        return Remark("none listed (outputs)", Status.SKIPPED)
    reached: list[str] = []
    warnings: list[str] = []
    failures: list[SensorError] = []
    for entry in entries:
        try:
            warning = _tried(entry, subject)
        except SensorError as error:
            failures.append(error)
            continue
        if warning:
            warnings.append(f"{entry.name}: {warning}")
        else:
            reached.append(entry.name)
    if failures:
        kind = {CONFIG: ConfigError, OUTPUT: OutputError}.get(failures[0].exit_code, SensorError)
        raise kind("; ".join(map(str, failures)))
    if warnings:
        return Remark("; ".join(warnings), Status.WARNING)
    return Remark(f"reached: {', '.join(reached)}")


def _tried(entry: "OutputEntry", subject: Subject) -> str:
    """What is to be warned of, or nothing. Raises ConfigError, OutputError."""
    from sensor.checks.outputs import opened
    from sensor.outputs.transports import transport_of
    from sensor.settings.outputs import FileEntry, StdoutEntry, SyslogEntry

    lasting = "" if entry.spool else " and without a spool what it misses is lost"
    if entry.spool is not None:
        _try_spool(entry.spool, subject)
    if isinstance(entry, StdoutEntry):
        return ""
    if isinstance(entry, FileEntry):
        remark = opened(entry.path, subject)
        return remark.message if remark.status is Status.WARNING else ""
    transport = transport_of(entry, "check")
    try:
        transport.connect()
    except ssl.SSLCertVerificationError as error:
        raise ConfigError(f"{entry.name}: its certificate is not trusted: {error.verify_message}") from error
    except OSError as error:
        return f"cannot be reached now: {reason_of(error)}: the sensor tries again and again{lasting}"
    finally:
        transport.break_off()
    if isinstance(entry, SyslogEntry) and entry.transport == "tls":
        return _ends_soon(entry)
    if isinstance(entry, SyslogEntry) and entry.transport == "udp":
        return "UDP cannot tell whether anybody receives"
    return ""


def _ends_soon(entry: "SyslogEntry") -> str:
    from sensor.outputs.streams import tcp_connect
    from sensor.outputs.tls import tls_context

    with tcp_connect(entry.host, entry.target_port, tls_context(entry))() as connection:
        certificate = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
    ends_s = ssl.cert_time_to_seconds(str((certificate or {}).get("notAfter", "Jan  1 00:00:00 2100 GMT")))
    if ends_s - time.time() > SOON_S:
        return ""
    return f"its certificate ends on {datetime.fromtimestamp(ends_s, UTC):%Y-%m-%d}"


def _try_spool(directory: Path, subject: Subject) -> None:
    """Raise OutputError where the directory cannot be made, or used once the privileges have gone."""
    from sensor.checks.outputs import without_privileges

    missing: Path | None = None
    place = directory.absolute()
    while not place.exists() and place != place.parent:
        missing, place = place, place.parent
    if not place.is_dir():
        raise OutputError(f"spool {directory}: {place} is no directory")
    if missing is not None:
        try:
            missing.mkdir(mode=0o750)
            missing.rmdir()
        except OSError as error:
            raise OutputError(f"spool {directory}: {missing} cannot be made: {reason_of(error)}") from error
    if why := without_privileges(subject, partial(_unusable, place, os.X_OK if missing else os.W_OK | os.X_OK)):
        raise OutputError(f"spool {directory}: once its privileges have gone, the sensor {why}")


def _unusable(place: Path, mode: int) -> str:
    """Why who asks cannot work in a directory; nothing when they can."""
    return "" if os.access(place, mode) else f"may not {'write to' if mode & os.W_OK else 'enter'} {place}"

"""Check of the list `outputs`: whether each is reachable, with certificate and spool. Nothing is sent."""

import ssl
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sensor.checks.directories import refuse_unusable
from sensor.checks.result import CheckContext, CheckStatus, Observation
from sensor.errors import CONFIG, OUTPUT, ConfigError, OutputError, SensorError, reason_of

if TYPE_CHECKING:
    from sensor.settings.outputs import OutputEntry, SyslogEntry

EXPIRY_WARNING_S: Final = 14 * 86_400  # a warning for a certificate that expires by then


def outputs(context: CheckContext) -> Observation:
    """Connect to every output. Raises ConfigError for a bad certificate or key, OutputError for a file or a spool.

    An unreachable receiver is a warning: the sensor starts without it, and spools or loses what it cannot deliver.
    """
    from sensor.settings.outputs import all_outputs

    entries = context.config.outputs
    all_outputs(context.config.output.file, entries, lines_on_stdout=False)
    if not entries:
        return Observation("none listed (outputs)", CheckStatus.SKIPPED)
    reached: list[str] = []
    warnings: list[str] = []
    failures: list[SensorError] = []
    for entry in entries:
        try:
            warning = _try_output(entry, context)
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
        return Observation("; ".join(warnings), CheckStatus.WARNING)
    return Observation(f"reached: {', '.join(reached)}")


def _try_output(entry: "OutputEntry", context: CheckContext) -> str:
    """Connect to one output; returns a warning, or "". Raises ConfigError, OutputError."""
    from sensor.checks.files import open_to_append
    from sensor.outputs.transports import transport_of
    from sensor.settings.outputs import BatchEntry, FileEntry, StdoutEntry, SyslogEntry

    lasting = "" if entry.spool else " and without a spool what it misses is lost"
    if entry.spool is not None:
        refuse_unusable(entry.spool, context, f"spool {entry.spool}", alone=True)
    if isinstance(entry, StdoutEntry):
        return ""
    if isinstance(entry, FileEntry):
        observation = open_to_append(entry.path, context)
        return observation.message if observation.status is CheckStatus.WARNING else ""
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
        return _expiry_warning(entry)
    if isinstance(entry, SyslogEntry) and entry.transport == "udp":
        return "UDP cannot tell whether anybody receives"
    if isinstance(entry, BatchEntry) and entry.secret_file is not None and entry.secret_file.stat().st_mode & 0o007:
        return f"everybody may read its secret in {entry.secret_file}, expected mode 600 or 640"
    return ""


def _expiry_warning(entry: "SyslogEntry") -> str:
    """Warning for a server certificate that expires soon, or ""."""
    from sensor.outputs.streams import tcp_connect
    from sensor.outputs.tls import tls_context

    with tcp_connect(entry.host, entry.target_port, tls_context(entry))() as connection:
        certificate = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
    ends_s = ssl.cert_time_to_seconds(str((certificate or {}).get("notAfter", "Jan  1 00:00:00 2100 GMT")))
    if ends_s - time.time() > EXPIRY_WARNING_S:
        return ""
    return f"its certificate ends on {datetime.fromtimestamp(ends_s, UTC):%Y-%m-%d}"

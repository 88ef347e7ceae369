"""The outputs of the settings: opened before the privileges go, started after they went, told what there is.

Two steps, because a file, a key or a directory may be root's alone, while threads must not be there when the
privileges go.
"""

import os
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from sensor.alerts.formats import formatter
from sensor.errors import ConfigError, OutputError
from sensor.files.descriptors import Owner, own_directory, reason_of
from sensor.outputs.datagrams import DatagramTransport, udp_connect, unix_datagram_connect
from sensor.outputs.delivery import Delivery, Encode, close_all
from sensor.outputs.jsonl import open_descriptor
from sensor.outputs.lines import LinesTransport
from sensor.outputs.streams import StreamTransport, tcp_connect, unix_connect
from sensor.outputs.syslog import counted, syslog_message
from sensor.outputs.transport import Transport
from sensor.progress.progress import OutputState
from sensor.settings.outputs import FACILITIES, FileEntry, KafkaEntry, OutputEntry, StdoutEntry, SyslogEntry, UnixEntry


@dataclass(frozen=True, slots=True)
class Prepared:
    """An output that has what only privileges could open."""

    entry: OutputEntry
    transport: Transport
    encode: Encode


class Outputs:
    """All outputs of one run; each has its own thread, and whoever writes waits for none of them."""

    def __init__(self, prepared: Sequence[Prepared], patience_s: float = 0.0) -> None:
        """patience_s: that write() may wait for room. Raises OutputError for a spool that cannot be used."""
        self._deliveries: list[Delivery] = []
        self._closed = False
        try:
            for one in prepared:
                entry = one.entry
                self._deliveries.append(
                    Delivery(
                        entry.name,
                        one.transport,
                        one.encode,
                        queue_bytes=entry.queue_bytes,
                        spool=entry.spool,
                        spool_bytes=entry.spool_bytes,
                        patience_s=patience_s,
                    )
                )
        except OutputError:
            self.close(0.0)
            raise

    def write(self, lines: Iterable[bytes]) -> None:
        """Hand native lines to every output. Never raises."""
        batch = list(lines)
        for delivery in self._deliveries:
            delivery.write(batch)

    def reopen(self) -> int:
        """Connect every output anew; how many there are."""
        for delivery in self._deliveries:
            delivery.reopen()
        return len(self._deliveries)

    def states(self) -> tuple[OutputState, ...]:
        """The account of each."""
        return tuple(delivery.state() for delivery in self._deliveries)

    @property
    def lost(self) -> int:
        """Lines that did not get out, over all outputs."""
        return sum(delivery.lost for delivery in self._deliveries)

    @property
    def broken_pipe(self) -> bool:
        """Whether nobody reads stdout any more."""
        return any(delivery.broken_pipe for delivery in self._deliveries)

    @property
    def problems(self) -> list[str]:
        """One line for each output that lost or spooled lines."""
        return [problem for delivery in self._deliveries if (problem := delivery.problem)]

    def close(self, timeout_s: float) -> None:
        """Deliver what waits, together within the timeout, and end. Once is enough."""
        if not self._closed:
            self._closed = True
            close_all(self._deliveries, timeout_s)


def prepared_outputs(entries: Sequence[OutputEntry], observer_name: str, user: Owner | None = None) -> list[Prepared]:
    """Open what privileges are needed for. Raises OutputError, ConfigError.

    observer_name: key of Kafka records. user: whom the process becomes, who shall own what is made here.
    """
    prepared = []
    for entry in entries:
        if entry.spool is not None:
            _make_spool(entry.spool, user)
        prepared.append(Prepared(entry, transport_of(entry, observer_name, user), encoder_of(entry)))
    return prepared


def transport_of(entry: OutputEntry, observer_name: str, user: Owner | None = None) -> Transport:
    """What carries the messages of an entry. Raises OutputError, ConfigError."""
    if isinstance(entry, FileEntry):
        path = entry.path
        return LinesTransport(lambda: open_descriptor(path), open_descriptor(path, user))
    if isinstance(entry, StdoutEntry):
        return LinesTransport(lambda: os.dup(1), forever=True)
    if isinstance(entry, UnixEntry):
        if entry.socket == "stream":
            return StreamTransport(unix_connect(str(entry.path)))
        return DatagramTransport(unix_datagram_connect(str(entry.path)))
    if isinstance(entry, KafkaEntry):
        from sensor.outputs.kafka import KafkaTransport

        return KafkaTransport(entry.servers, entry.topic, observer_name.encode(), _kafka_security(entry))
    if entry.transport == "udp":
        return DatagramTransport(udp_connect(entry.host, entry.target_port))
    context = tls_context(entry) if entry.transport == "tls" else None
    return StreamTransport(tcp_connect(entry.host, entry.target_port, context))


def encoder_of(entry: OutputEntry) -> Encode:
    """How a native line becomes a message there."""
    form = formatter(entry.format)
    native = entry.format == "native"
    if not isinstance(entry, SyslogEntry):
        return (lambda line: line) if native else lambda line: form(_document(line))
    facility, stream = FACILITIES[entry.facility], entry.transport != "udp"

    def encode(line: bytes) -> bytes:
        message = syslog_message(_document(line), form, facility)
        return counted(message) if stream and message else message

    return encode


def tls_context(entry: SyslogEntry) -> ssl.SSLContext:
    """TLS that checks the receiver's certificate and name (RFC 5425, section 5). Raises ConfigError."""
    for path in (entry.ca, entry.certificate, entry.key):
        if path is not None:
            _read(path, entry.name)
    try:
        context = ssl.create_default_context(cafile=entry.ca)
    except ssl.SSLError as error:
        raise ConfigError(f"{entry.name}: {entry.ca}: found no certificate, expected some in PEM") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if entry.certificate is not None:
        _show(context, entry)
    return context


def _read(path: Path, name: str) -> None:
    """Raise ConfigError for a file that cannot be read: the library does not say which of several it is."""
    try:
        path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: {path}: {reason_of(error)}, expected a file in PEM") from error


def _show(context: ssl.SSLContext, entry: SyslogEntry) -> None:
    """Have a receiver that asks for it get our certificate. Raises ConfigError."""
    try:
        # A passphrase given, though none, so that nobody is asked for one: a service has no terminal.
        context.load_cert_chain(str(entry.certificate), entry.key, password="")
    except (OSError, ssl.SSLError) as error:  # the first: what is in the file is no key
        pair = f"{entry.certificate}, {entry.key}"
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"{entry.name}: {pair}: the key is another certificate's, expected its own") from error
        raise ConfigError(
            f"{entry.name}: {pair}: cannot be taken, expected a certificate and its key in PEM, without a passphrase"
        ) from error


def _kafka_security(entry: KafkaEntry) -> dict[str, Any]:
    if entry.ca is None and entry.certificate is None:
        return {}
    files = {"ssl.ca": entry.ca, "ssl.certificate": entry.certificate, "ssl.key": entry.key}
    named = {f"{name}.location": str(path) for name, path in files.items() if path is not None}
    return {"security.protocol": "ssl", **named}


def _make_spool(directory: Path, user: Owner | None) -> None:
    """A directory of our own for whom the process becomes, where there is none yet. Raises OutputError."""
    try:
        own_directory(directory, user)
    except OSError as error:
        raise OutputError(f"spool {directory}: {reason_of(error)}, expected a directory or a place for one") from error


def _document(line: bytes) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(line)
    return document

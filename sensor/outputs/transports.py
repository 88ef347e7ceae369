"""What carries the lines of each kind of output, and how they look there, by its entry in the settings.

What only some outputs need is loaded where one of them is asked for.
"""

from functools import partial
from typing import Any

from sensor.files.ownership import Owner
from sensor.outputs.in_flight import Encode
from sensor.outputs.lines import LinesTransport, duplicate_of_stdout, open_descriptor, open_file
from sensor.outputs.transport import Transport
from sensor.settings.outputs import (
    FACILITIES,
    BatchEntry,
    FileEntry,
    KafkaEntry,
    MailEntry,
    OutputEntry,
    StdoutEntry,
    SyslogEntry,
    UnixEntry,
    WebhookEntry,
)


def transport_of(entry: OutputEntry, observer_name: str, user: Owner | None = None) -> Transport:
    """What carries the messages of an entry, its file open unless it is a pipe or a device.

    Raises OutputError, ConfigError.
    observer_name: key of Kafka records. user: whom a file shall belong to that is made here.
    """
    if isinstance(entry, FileEntry):
        return LinesTransport(partial(open_descriptor, entry.path), open_file(entry.path, user))
    if isinstance(entry, StdoutEntry):
        return LinesTransport(duplicate_of_stdout, forever=True)
    if isinstance(entry, KafkaEntry):
        from sensor.outputs.kafka import KafkaTransport

        return KafkaTransport(entry.servers, entry.topic, observer_name.encode(), _kafka_security(entry))
    if isinstance(entry, WebhookEntry | MailEntry):
        from sensor.outputs.messages import message_transport

        return message_transport(entry)
    return _socket_transport(entry)


def _socket_transport(entry: UnixEntry | SyslogEntry) -> Transport:
    from sensor.outputs.datagrams import DatagramTransport, udp_connect, unix_datagram_connect
    from sensor.outputs.streams import StreamTransport, tcp_connect, unix_connect

    if isinstance(entry, UnixEntry):
        if entry.socket == "stream":
            return StreamTransport(unix_connect(str(entry.path)))
        return DatagramTransport(unix_datagram_connect(str(entry.path)))
    if entry.transport == "udp":
        return DatagramTransport(udp_connect(entry.host, entry.target_port))
    if entry.transport == "tcp":
        return StreamTransport(tcp_connect(entry.host, entry.target_port))
    from sensor.outputs.tls import tls_context

    return StreamTransport(tcp_connect(entry.host, entry.target_port, tls_context(entry)))


def encoder_of(entry: OutputEntry) -> Encode | None:
    """How a native line becomes a message there, None where it is one."""
    if isinstance(entry, BatchEntry):
        from sensor.outputs.messages import selected

        return selected(entry)
    if entry.format == "native" and not isinstance(entry, SyslogEntry):
        return None
    import orjson

    from sensor.alerts.formats import formatter

    form = formatter(entry.format)
    if not isinstance(entry, SyslogEntry):
        return lambda line: form(orjson.loads(line))
    from sensor.outputs.syslog import counted, syslog_message

    facility, stream = FACILITIES[entry.facility], entry.transport != "udp"

    def encode(line: bytes) -> bytes:
        message = syslog_message(orjson.loads(line), form, facility)
        return counted(message) if stream and message else message

    return encode


def mark_of(entry: OutputEntry) -> bytes:
    """What every line has that may be a message of an output: where it tells alerts alone, the name of their kind."""
    return b'"alert/' if isinstance(entry, BatchEntry) or entry.format != "native" else b""


def _kafka_security(entry: KafkaEntry) -> dict[str, Any]:
    """What librdkafka is told of TLS. Raises ConfigError."""
    if entry.ca is None and entry.certificate is None:
        return {}
    from sensor.outputs.tls import refuse_unreadable

    refuse_unreadable(entry)
    files = {"ssl.ca": entry.ca, "ssl.certificate": entry.certificate, "ssl.key": entry.key}
    named = {f"{name}.location": str(path) for name, path in files.items() if path is not None}
    return {"security.protocol": "ssl", **named}

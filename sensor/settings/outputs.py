"""The outputs of a run, one typed entry each: stdout and `output.file`, then those of the list `outputs:`.

The type of an entry decides its other settings. A fault is reported with file, line and column. It opens nothing:
whether a receiver is reachable shows at the start, and in `flowvigil check`.
"""

import difflib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from configs.faults import expected_of
from sensor.errors import ConfigError
from sensor.settings.setting import Setting

OWN_QUEUE_BYTES: Final = 32 << 20  # some 20 000 alerts
MAX_OUTPUTS: Final = 8  # so that the statistics of all of them fit into one record
FACILITIES: Final = {
    "user": 1,
    "daemon": 3,
    "auth": 4,
    "authpriv": 10,
    **{f"local{number}": 16 + number for number in range(8)},
}

Format = Literal["native", "eve", "ocsf", "cef"]
Port = Annotated[int, Field(ge=1, le=65535)]
SomePath = Annotated[Path, Field(strict=False)]
Text = Annotated[str, Field(min_length=1, max_length=255)]
_ADDRESS: Final = r"[!-+\--;=?A-~]+@[!-+\--;=?A-~]+"  # of mail: ASCII without blank, comma, <, > and a second @
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]  # name of one of the environment


class _Entry(BaseModel):
    """Settings that outputs of all types have."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    listed: ClassVar[bool] = True  # in the list of the settings, whose outputs have statistics of their own

    format: Format = "native"
    queue_bytes: Annotated[int, Field(ge=65536, le=1 << 30)] = 16 << 20  # that wait in memory
    spool: SomePath | None = None  # directory of what waits on disk
    spool_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 40)] = 256 << 20

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the output in messages and labels."""


class FileEntry(_Entry):
    """Lines appended to a file."""

    type: Literal["file"]
    path: SomePath

    @property
    def name(self) -> str:
        """Name of the output in messages and labels."""
        return f"file {self.path}"


class StdoutEntry(_Entry):
    """Lines on stdout, in place of those that stdout gets by default when it is no terminal."""

    type: Literal["stdout"]

    @property
    def name(self) -> str:
        """Name of the output in messages and labels."""
        return "stdout"


class OwnFile(FileEntry):
    """The file of `output.file` or -o."""

    listed: ClassVar[bool] = False

    type: Literal["file"] = "file"
    queue_bytes: int = OWN_QUEUE_BYTES

    @property
    def name(self) -> str:
        """Name of the output in messages."""
        return str(self.path)


class OwnStdout(StdoutEntry):
    """The lines that stdout gets by default when it is no terminal."""

    listed: ClassVar[bool] = False

    type: Literal["stdout"] = "stdout"
    queue_bytes: int = OWN_QUEUE_BYTES


class UnixEntry(_Entry):
    """Lines to a Unix socket on which a receiver listens."""

    type: Literal["unix"]
    path: SomePath
    socket: Literal["stream", "datagram"] = "stream"

    @property
    def name(self) -> str:
        """Name of the output in messages and labels."""
        return f"unix {self.socket} {self.path}"


class TlsEntry(_Entry):
    """Settings of the outputs that may use TLS; all files are PEM."""

    ca: SomePath | None = None  # authorities to trust; None: the system's
    certificate: SomePath | None = None  # of the client
    key: SomePath | None = None  # of the client's certificate


class SyslogEntry(TlsEntry):
    """Messages of RFC 5424 to a syslog receiver."""

    type: Literal["syslog"]
    host: Text
    transport: Literal["udp", "tcp", "tls"] = "tcp"
    port: Port | None = None  # None: 514, with TLS 6514
    facility: Literal[
        "user", "daemon", "auth", "authpriv",
        "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
    ] = "local0"  # fmt: skip

    @property
    def target_port(self) -> int:
        """The port that is set, else the one assigned to the transport."""
        return self.port or (6514 if self.transport == "tls" else 514)

    @property
    def name(self) -> str:
        """Name of the output in messages and labels."""
        return f"syslog {self.transport} {self.host}:{self.target_port}"


class KafkaEntry(TlsEntry):
    """Records of a Kafka topic; with a ca the connections use TLS."""

    type: Literal["kafka"]
    servers: Text  # host:port of brokers, separated by commas
    topic: Text

    @property
    def name(self) -> str:
        """Name of the output in messages and labels."""
        return f"kafka {self.topic} {self.servers}"


class BatchEntry(TlsEntry):
    """Settings of outputs that send alerts together, from time to time; their secret stands in no settings."""

    secret_file: SomePath | None = None  # read at the start, before the privileges go
    secret_environment: Variable | None = None
    template: SomePath | None = None  # text with ${names}
    min_severity: Annotated[int, Field(ge=0, le=100)] = 0  # event.severity; what is muted has 1
    updates: bool = False  # also lines of alerts that go on or close
    batch_s: Annotated[float, Field(ge=0, le=3600)] = 10.0  # for others to join the first alert
    batch_alerts: Annotated[int, Field(ge=1, le=1000)] = 100  # told in one message
    per_hour: Annotated[int, Field(ge=1, le=3600)] = 60  # messages at most, evenly spaced


class WebhookEntry(BatchEntry):
    """Bodies of JSON by HTTP POST."""

    type: Literal["webhook"]
    url: Annotated[str, Field(min_length=1, max_length=2048, pattern=r"^https?://[\x21-\x7e]+$")]

    @property
    def host(self) -> str:
        """Whom it is sent to; "" where the url has none, a port that is none, or a user in it."""
        try:
            parts = urlsplit(self.url)
            _ = parts.port  # raises for one that is none
            return (parts.hostname or "") if "@" not in parts.netloc else ""
        except ValueError:
            return ""

    @property
    def name(self) -> str:
        """Name of the output in messages and labels."""
        return f"webhook {self.url.partition('?')[0]}"


class MailEntry(BatchEntry):
    """Messages to people by SMTP."""

    type: Literal["mail"]
    host: Text
    port: Port | None = None  # None: 587, with security tls 465, with none 25
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: Text | None = None  # whose password is the secret
    sender: Annotated[str, Field(max_length=254, pattern=f"^{_ADDRESS}$")]
    recipients: Annotated[str, Field(max_length=2048, pattern=f"^{_ADDRESS}( *, *{_ADDRESS})*$")]  # commas between
    min_severity: Annotated[int, Field(ge=0, le=100)] = 40
    per_hour: Annotated[int, Field(ge=1, le=3600)] = 12

    @property
    def target_port(self) -> int:
        """The port that is set, else the one assigned to the way of its security."""
        return self.port or {"starttls": 587, "tls": 465, "none": 25}[self.security]

    @property
    def addresses(self) -> tuple[str, ...]:
        """The recipients one by one."""
        return tuple(address.strip() for address in self.recipients.split(","))

    @property
    def name(self) -> str:
        """Name of the output in messages and labels."""
        return f"mail {self.host}:{self.target_port} {self.addresses[0]}"


OutputEntry = FileEntry | StdoutEntry | UnixEntry | SyslogEntry | KafkaEntry | WebhookEntry | MailEntry

_MODELS: Final[dict[str, type[OutputEntry]]] = {
    "file": FileEntry,
    "stdout": StdoutEntry,
    "unix": UnixEntry,
    "syslog": SyslogEntry,
    "kafka": KafkaEntry,
    "webhook": WebhookEntry,
    "mail": MailEntry,
}
_OWN_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})  # whose traffic leaves no machine
_TLS: Final = ("ca", "certificate", "key")
# Names of settings in other programs, too far from ours to be found by similarity.
_SYNONYMS: Final = {
    "protocol": ("transport",), "proto": ("transport",), "address": ("host", "servers", "path"), "server": ("host",),
    "target": ("host", "servers", "path"), "brokers": ("servers",), "filename": ("path",), "cert": ("certificate",),
    "to": ("recipients",), "from": ("sender",), "password": ("secret_file",), "token": ("secret_file",),
    "secret": ("secret_file",), "username": ("user",), "tls": ("security", "transport"),
}  # fmt: skip


def all_outputs(
    own_file: Path | None, listed: Sequence[OutputEntry], *, lines_on_stdout: bool
) -> tuple[OutputEntry, ...]:
    """All outputs of a run: stdout and `output.file` where they are used, then those of the list.

    lines_on_stdout: whether stdout gets lines by default; an entry of the list for stdout replaces that one. Raises
    ConfigError for a file that is both output.file and in the list.
    """
    for entry in listed:
        if own_file is not None and isinstance(entry, FileEntry) and entry.path.absolute() == own_file.absolute():
            raise ConfigError(
                f"outputs has {entry.name}, which is output.file too: expected it once, or each line is twice"
            )
    stdout = lines_on_stdout and not any(isinstance(entry, StdoutEntry) for entry in listed)
    own = (*((OwnStdout(),) if stdout else ()), *((OwnFile(path=own_file),) if own_file is not None else ()))
    return (*own, *listed)


def read_outputs(entries: Sequence[tuple[str, Sequence[Setting]]]) -> tuple[tuple[OutputEntry, ...], list[str]]:
    """Parse the list of outputs: (those that are valid, a line for each fault).

    entries: the place of each and its settings by their bare names.
    """
    outputs: list[OutputEntry] = []
    faults: list[str] = []
    for number, (place, settings) in enumerate(entries):
        if number >= MAX_OUTPUTS:
            faults.append(f"{place}: output {number + 1}, expected at most {MAX_OUTPUTS}")
            break
        found, wrong = _parse_entry(place, settings)
        faults += wrong
        if found is not None:
            faults += _clashes(found, outputs, place)
            outputs.append(found)
    return tuple(outputs), faults


def _parse_entry(place: str, settings: Sequence[Setting]) -> tuple[OutputEntry | None, list[str]]:
    values: dict[str, Any] = {setting.name: setting.value for setting in settings}
    types = ", ".join(_MODELS)
    kind = next((setting for setting in settings if setting.name == "type"), None)
    if kind is None:
        return None, [f"{place}: an output without a type, expected one of {types}"]
    model = _MODELS.get(str(kind.value))
    if model is None:
        near = difflib.get_close_matches(str(kind.value), list(_MODELS), 1)
        hint = f'did you mean "{near[0]}"?' if near else f"expected one of {types}"
        return None, [f"{kind.place}: outputs.type is {kind.value!r}, {hint}"]
    try:
        entry = model.model_validate(values)
    except ValidationError as error:
        return None, list(_bad_values(error, model, settings, place))
    return entry, [*_tls_faults(entry, settings), *_batch_faults(entry, settings)]


def _bad_values(
    error: ValidationError, model: type[OutputEntry], settings: Sequence[Setting], place: str
) -> Iterator[str]:
    by_name = {setting.name: setting for setting in settings}
    reported: set[str] = set()
    for fault in error.errors(include_url=False):
        name = str(fault["loc"][0])
        if name in reported:
            continue
        reported.add(name)
        kind = by_name["type"].value
        if name not in by_name:
            yield f"{place}: an output of type {kind} without {name}, which it needs"
            continue
        found = by_name[name]
        if fault["type"] == "extra_forbidden":
            near = [known for known in _SYNONYMS.get(name, ()) if known in model.model_fields]
            near = near or difflib.get_close_matches(name, list(model.model_fields), 1)
            hint = f'did you mean "{near[0]}"?' if near else f"expected one of {', '.join(model.model_fields)}"
            yield f'{found.name_place or found.place}: unknown setting "{name}" of an output of type {kind}, {hint}'
            continue
        yield f"{found.place}: outputs.{name} is {found.value!r}: {expected_of(fault)}"


def _tls_faults(entry: OutputEntry, settings: Sequence[Setting]) -> Iterator[str]:
    """TLS settings that lack their pair or belong to another transport."""
    if not isinstance(entry, TlsEntry):
        return
    given = {setting.name: setting for setting in settings}
    if plain := _without_tls(entry):
        for name in _TLS:
            if getattr(entry, name) is not None:
                yield f"{given[name].place}: outputs.{name} with {plain}"
        return
    if (entry.certificate is None) != (entry.key is None):
        there = "certificate" if entry.key is None else "key"
        yield f"{given[there].place}: outputs.{there} alone, expected both certificate and key"


def _without_tls(entry: TlsEntry) -> str:
    """What an entry that uses no TLS says, and what was expected; "" for one that uses it."""
    if isinstance(entry, SyslogEntry) and entry.transport != "tls":
        return f"transport {entry.transport}, expected transport tls"
    if isinstance(entry, WebhookEntry) and not entry.url.startswith("https://"):
        return "a url of http, expected one of https"
    if isinstance(entry, MailEntry) and entry.security == "none":
        return "security none, expected security starttls or tls"
    return ""


def _batch_faults(entry: OutputEntry, settings: Sequence[Setting]) -> Iterator[str]:
    """Settings of messages that contradict each other, and secrets that everybody on the way could read."""
    if not isinstance(entry, BatchEntry):
        return
    places = {setting.name: setting.place for setting in settings}
    if isinstance(entry, WebhookEntry) and not entry.host:
        yield f"{places['url']}: outputs.url has no host, or more than host and port: expected https://host/path"
        return
    secrets = [name for name in ("secret_file", "secret_environment") if getattr(entry, name) is not None]
    if len(secrets) > 1:
        yield f"{places[secrets[1]]}: outputs.{secrets[1]} beside {secrets[0]}, expected one of them"
    if secrets and (plain := _without_tls(entry)) and entry.host not in _OWN_HOSTS:
        yield f"{places[secrets[0]]}: outputs.{secrets[0]} with {plain}: it would travel in the clear"
    if isinstance(entry, MailEntry) and (entry.user is None) == bool(secrets):
        given, missing = ("user", "secret_file or secret_environment") if entry.user else (secrets[0], "user")
        yield f"{places[given]}: outputs.{given} alone, expected {missing} too"
    for_people = isinstance(entry, MailEntry) or entry.template is not None
    if entry.format == "cef" or (for_people and entry.format != "native"):
        expected = "native" if for_people else "native, eve or ocsf"
        yield f"{places['format']}: outputs.format is {entry.format!r} of messages by {entry.type}, expected {expected}"


def _clashes(entry: OutputEntry, others: Sequence[OutputEntry], place: str) -> Iterator[str]:
    for other in others:
        if entry.name == other.name and entry.format == other.format:
            yield f"{place}: {entry.name} a second time with the same format, expected each output once"
        if entry.spool is not None and entry.spool == other.spool:
            yield f"{place}: {entry.name} and {other.name} share the spool {entry.spool}, expected one for each"

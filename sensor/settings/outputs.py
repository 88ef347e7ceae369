"""The outputs of a run, one typed entry for each place that its lines go to: those of the list `outputs:` in the
settings, and before them the sensor's own, which are stdout and `output.file`.

Every entry has a type, which says what else it may have. A wrong one is told with file, line and column. It opens
nothing: whether a receiver is there is known at the start, and to `flowvigil check`.
"""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sensor.settings.setting import Setting

OWN_QUEUE_BYTES: Final = 32 << 20  # some 20 000 alerts
MOST: Final = 8  # outputs, so that the account of all of them stays within a line
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


class _Entry(BaseModel):
    """What every output has."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    # Whether it stands in the list of the settings, whose outputs are accounted for one by one.
    listed: ClassVar[bool] = True

    format: Format = "native"
    # Bytes of lines that wait in memory.
    queue_bytes: Annotated[int, Field(ge=65536, le=1 << 30)] = 16 << 20
    # A directory for lines that wait on disk, and how many bytes of them.
    spool: SomePath | None = None
    spool_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 40)] = 256 << 20


class FileEntry(_Entry):
    """Lines appended to a file."""

    type: Literal["file"]
    path: SomePath

    @property
    def name(self) -> str:
        """For messages and labels."""
        return f"file {self.path}"


class StdoutEntry(_Entry):
    """Lines on stdout, in place of the ones that stand there when it is no terminal."""

    type: Literal["stdout"]

    @property
    def name(self) -> str:
        """For messages and labels."""
        return "stdout"


class OwnFile(FileEntry):
    """`output.file`, which -o names."""

    listed: ClassVar[bool] = False

    type: Literal["file"] = "file"
    queue_bytes: int = OWN_QUEUE_BYTES

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.path)


class OwnStdout(StdoutEntry):
    """The lines that stand on stdout when it is no terminal."""

    listed: ClassVar[bool] = False

    type: Literal["stdout"] = "stdout"
    queue_bytes: int = OWN_QUEUE_BYTES


class UnixEntry(_Entry):
    """Lines to a Unix socket that somebody listens on."""

    type: Literal["unix"]
    path: SomePath
    socket: Literal["stream", "datagram"] = "stream"

    @property
    def name(self) -> str:
        """For messages and labels."""
        return f"unix {self.socket} {self.path}"


class _Secured(_Entry):
    """An output whose connections may use TLS."""

    # Whom to trust, in PEM; the system's where it is not given.
    ca: SomePath | None = None
    # Who we are, in PEM.
    certificate: SomePath | None = None
    key: SomePath | None = None


class SyslogEntry(_Secured):
    """RFC 5424 messages."""

    type: Literal["syslog"]
    host: Text
    transport: Literal["udp", "tcp", "tls"] = "tcp"
    # None: 514, with TLS 6514.
    port: Port | None = None
    facility: Literal[
        "user", "daemon", "auth", "authpriv",
        "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
    ] = "local0"  # fmt: skip

    @property
    def target_port(self) -> int:
        """The port, or the one that the transport is assigned."""
        return self.port or (6514 if self.transport == "tls" else 514)

    @property
    def name(self) -> str:
        """For messages and labels."""
        return f"syslog {self.transport} {self.host}:{self.target_port}"


class KafkaEntry(_Secured):
    """Records of a topic; with a ca the connections use TLS."""

    type: Literal["kafka"]
    # host:port, more by commas.
    servers: Text
    topic: Text

    @property
    def name(self) -> str:
        """For messages and labels."""
        return f"kafka {self.topic} {self.servers}"


OutputEntry = FileEntry | StdoutEntry | UnixEntry | SyslogEntry | KafkaEntry

_MODELS: Final[dict[str, type[OutputEntry]]] = {
    "file": FileEntry,
    "stdout": StdoutEntry,
    "unix": UnixEntry,
    "syslog": SyslogEntry,
    "kafka": KafkaEntry,
}
_TLS: Final = ("ca", "certificate", "key")
# What other programs call a setting, too far from our name to be found by its letters.
_ELSEWHERE: Final = {
    "protocol": ("transport",), "proto": ("transport",), "address": ("host", "servers", "path"), "server": ("host",),
    "target": ("host", "servers", "path"), "brokers": ("servers",), "filename": ("path",), "cert": ("certificate",),
}  # fmt: skip


def all_outputs(
    own_file: Path | None, listed: Sequence[OutputEntry], *, lines_on_stdout: bool
) -> tuple[OutputEntry, ...]:
    """All outputs of a run: stdout and the sensor's own file where it has them, then those of the list.

    lines_on_stdout: whether lines are to stand there, in the format of the list where that has stdout.
    """
    stdout = lines_on_stdout and not any(isinstance(entry, StdoutEntry) for entry in listed)
    own = (*((OwnStdout(),) if stdout else ()), *((OwnFile(path=own_file),) if own_file is not None else ()))
    return (*own, *listed)


def read_outputs(entries: Sequence[tuple[str, Sequence[Setting]]]) -> tuple[tuple[OutputEntry, ...], list[str]]:
    """Outputs, and a line for each fault. entries: the place of each and its settings by their bare names."""
    outputs: list[OutputEntry] = []
    faults: list[str] = []
    for number, (place, settings) in enumerate(entries):
        if number >= MOST:
            faults.append(f"{place}: output {number + 1}, expected at most {MOST}")
            break
        found, wrong = _entry(place, settings)
        faults += wrong
        if found is not None:
            faults += _clashes(found, outputs, place)
            outputs.append(found)
    return tuple(outputs), faults


def _entry(place: str, settings: Sequence[Setting]) -> tuple[OutputEntry | None, list[str]]:
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
    return entry, list(_missing_pairs(entry, settings))


def _bad_values(
    error: ValidationError, model: type[OutputEntry], settings: Sequence[Setting], place: str
) -> Iterator[str]:
    by_name = {setting.name: setting for setting in settings}
    told: set[str] = set()
    for fault in error.errors(include_url=False):
        name = str(fault["loc"][0])
        if name in told:
            continue
        told.add(name)
        kind = by_name["type"].value
        if name not in by_name:
            yield f"{place}: an output of type {kind} without {name}, which it needs"
            continue
        found = by_name[name]
        if fault["type"] == "extra_forbidden":
            near = [known for known in _ELSEWHERE.get(name, ()) if known in model.model_fields]
            near = near or difflib.get_close_matches(name, list(model.model_fields), 1)
            hint = f'did you mean "{near[0]}"?' if near else f"expected one of {', '.join(model.model_fields)}"
            yield f'{found.name_place or found.place}: unknown setting "{name}" of an output of type {kind}, {hint}'
            continue
        yield f"{found.place}: outputs.{name} is {found.value!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}"


def _missing_pairs(entry: OutputEntry, settings: Sequence[Setting]) -> Iterator[str]:
    """What belongs together or to another transport."""
    if not isinstance(entry, SyslogEntry | KafkaEntry):
        return
    given = {setting.name: setting for setting in settings}
    if isinstance(entry, SyslogEntry) and entry.transport != "tls":
        for name in _TLS:
            if getattr(entry, name) is not None:
                yield f"{given[name].place}: outputs.{name} with transport {entry.transport}, expected transport tls"
        return
    if (entry.certificate is None) != (entry.key is None):
        there = "certificate" if entry.key is None else "key"
        yield f"{given[there].place}: outputs.{there} alone, expected both certificate and key"


def _clashes(entry: OutputEntry, others: Sequence[OutputEntry], place: str) -> Iterator[str]:
    for other in others:
        if entry.name == other.name and entry.format == other.format:
            yield f"{place}: {entry.name} a second time with the same format, expected each output once"
        if entry.spool is not None and entry.spool == other.spool:
            yield f"{place}: {entry.name} and {other.name} share the spool {entry.spool}, expected one for each"

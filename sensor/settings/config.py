"""The settings: their defaults, bounds and units, and the sources that a value may come from.

Defaults < file < environment (`FLOWVIGIL__METER__IDLE_TIMEOUT_S=60`) < `--set meter.idle_timeout_s=60`. An unknown or
invalid setting raises an error of one line that states its place. It opens no bundle and no interface.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError
from pydantic_core import PydanticCustomError

from configs.faults import expected_of
from sensor.errors import ConfigError
from sensor.settings.outputs import OutputEntry, read_outputs
from sensor.settings.setting import Setting, parse_scalar

PREFIX = "FLOWVIGIL__"
MAX_KEYS = 16  # of those who may sign bundles
NAME_LETTERS = 64  # of a sensor's name, as records have it
MAX_FAULTS = 20  # that one error lists


class _Section(BaseModel):
    """A section of the settings: a mapping in the file, the first part of a dotted name elsewhere."""

    # strict: "12" is not 12 and 1 is not true; what looks like a number in YAML has become one by then
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CaptureSection(_Section):
    """Packet capture. Rings and workers belong to `watch`; the filter holds for capture files too."""

    filter: str | None = None  # pcap-filter(7)
    promiscuous: bool = False
    timestamps: Literal["kernel", "hardware"] = "kernel"
    workers: Annotated[int, Field(ge=1, le=64)] = 1  # processes, each with a ring of its own
    ring_block_bytes: Annotated[int, Field(ge=65536, le=1 << 26, multiple_of=65536)] = 1 << 20
    ring_blocks: Annotated[int, Field(ge=2, le=4096)] = 32  # of each ring


class MeterSection(_Section):
    """Flow metering: packets into flow records."""

    capacity_flows: Annotated[int, Field(ge=1024, le=1 << 24)] = 131072  # active at the same time
    idle_timeout_s: Annotated[float, Field(ge=0.001, le=3000)] = 120.0
    # Sums of squared gaps are 64 bits of µs², which hold for 50 minutes.
    active_timeout_s: Annotated[float, Field(ge=0.001, le=3000)] = 120.0
    closed_linger_s: Annotated[float, Field(ge=0, le=60)] = 2.0  # after FIN or RST, for late packets
    first_snapshot_s: Annotated[float, Field(ge=0.001, le=3000)] = 10.0  # age at which an active flow is first judged
    snapshot_interval_s: Annotated[float, Field(ge=0.001, le=3000)] = 60.0  # between further judgements of it
    decapsulate: bool = False  # meter what tunnels carry
    vlan_in_key: bool = True  # what has other VLAN tags is another flow
    seen_names: bool = True  # DNS answers and TLS hellos are read for the names that alerts show


def _one_of_the_rates(rate: float) -> float:
    """Refuse a rate for which bundles have no threshold."""
    if rate not in (0.001, 0.01, 0.05):
        raise PydanticCustomError("rate", "expected 0.001, 0.01 or 0.05")
    return rate


def _public_keys(text: str) -> str:
    """Refuse what are no public keys of minisign."""
    from models.signature import public_key

    words = text.split()
    if not 0 < len(words) <= MAX_KEYS:
        raise PydanticCustomError("keys", f"expected 1 to {MAX_KEYS} public keys of minisign between spaces")
    for word in words:
        try:
            public_key(word)
        except ValueError as error:
            raise PydanticCustomError("keys", "{reason}", {"reason": str(error)}) from error
    return text


class DetectionSection(_Section):
    """Detection: flow records into judgements."""

    bundle: Path | None = Field(default=None, strict=False)  # None: the one shipped
    # Public keys of minisign, between spaces, one of which must have signed the bundle; None: signatures do not matter.
    bundle_keys: Annotated[str, AfterValidator(_public_keys)] | None = None
    false_positive_rate: Annotated[float, AfterValidator(_one_of_the_rates)] = 0.01  # of benign flows


class EpisodesSection(_Section):
    """Episodes: judgements into alerts."""

    # Of unusual traffic without a shape; None: what the bundle's site needs, 1e5 of a bundle that is no one's.
    flows_between_false_openings: Annotated[float, Field(ge=10, le=1e12)] | None = None
    quiet_s: Annotated[float, Field(gt=0, le=86400)] = (
        300.0  # without a flow of its kind, after which an episode closes
    )
    capacity_hosts: Annotated[int, Field(ge=16, le=1 << 20)] = 16384  # followed at the same time
    alerts_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = 120  # None: no limit
    flows_per_alert: Annotated[int, Field(ge=0, le=1_000_000)] = 0  # flow records written with an alert


def _sensor_name(name: str) -> str:
    """Refuse a name that a record, the head of a syslog message or a row could not bear as it is."""
    if not 0 < len(name) <= NAME_LETTERS or not name.isprintable() or name != name.strip() or not name.isascii():
        raise PydanticCustomError("name", "expected 1 to {most} letters of ASCII", {"most": NAME_LETTERS})
    return name


class SensorSection(_Section):
    """Which sensor this is."""

    name: Annotated[str, AfterValidator(_sensor_name)] | None = None  # None: the host's


class SiteSection(_Section):
    """What the operator notes of the site: networks, assets, and rules for what is meant to be (sensor.site)."""

    file: Path | None = Field(default=None, strict=False)  # None: nothing is noted


class GeoipSection(_Section):
    """Where addresses belong, by files of the operator's in the MaxMind DB format (sensor.geoip)."""

    location: Path | None = Field(default=None, strict=False)  # cities or countries; None: not shown
    asn: Path | None = Field(default=None, strict=False)  # autonomous systems; None: not shown


class OutputSection(_Section):
    """The file of alerts, beside the terminal and the list `outputs`."""

    file: Path | None = Field(default=None, strict=False)


class KeepPacketsSection(_Section):
    """Captures of the packets that alerts rest on."""

    directory: Path | None = Field(default=None, strict=False)  # None: packets are not stored
    memory_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 36)] = 64 << 20  # of the ring of latest packets
    alert_packets: Annotated[int, Field(ge=1, le=1_000_000)] = 1000  # of one alert at most
    alert_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 1 << 20  # captured bytes of one alert at most
    directory_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 44)] = 1 << 30  # all files together at most


class FlowLogSection(_Section):
    """The log of all flows, with what was said of each."""

    directory: Path | None = Field(default=None, strict=False)  # None: no log
    directory_bytes: Annotated[int, Field(ge=1 << 24, le=1 << 46)] = 2_000_000_000  # all files together at most
    file_s: Annotated[float, Field(ge=1, le=86400)] = 900.0  # after which the next file begins
    file_records: Annotated[int, Field(ge=1000, le=100_000_000)] = 1_000_000  # of one file, about


class StatsSection(_Section):
    """Statistics of the sensor itself while it watches."""

    interval_s: Annotated[float, Field(ge=1, le=3600)] = 10.0  # between two statistics records
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None  # of the Prometheus exporter


class DriftSection(_Section):
    """Drift: whether traffic, scores and the rate of alerts are still what the bundle knows."""

    runs: Literal["none", "watch", "all"] = "watch"  # in which it is looked for
    alerts_per_day: Annotated[float, Field(ge=1e-6, le=1e6)] | None = None  # asked for; None: what the bundle says


class AttachSection(_Section):
    """The socket on which a running sensor serves `attach`."""

    socket: Path | None = Field(default=None, strict=False)
    group: str | int | None = None  # a number is a gid


class ApiSection(_Section):
    """What the JSON API spends on requests."""

    body_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 36)] = 256 << 20  # of all bodies and answers in memory
    request_s: Annotated[float, Field(ge=0.1, le=3600)] = 60.0  # CPU time of one request at most


class ProcessSection(_Section):
    """Privileges of the process once its sockets are open."""

    user: str | int | None = None  # a number is a uid


class JobsSection(_Section):
    """Captures that are read each for itself, in a process of its own (`read --independent`)."""

    patience_s: Annotated[float, Field(ge=1, le=86400)] = 120.0  # for which reading one may stand still
    memory_bytes: Annotated[int, Field(ge=1 << 28, le=1 << 44)] | None = None  # of one such process; None: no limit
    reconnect_s: Annotated[float, Field(ge=1, le=86400)] = 60.0  # for a scheduler that is gone, or without workers
    plain_scheduler: bool = False  # whether another host's scheduler may be spoken to without TLS
    tls_ca: Path | None = Field(default=None, strict=False)  # PEM, of a tls:// scheduler; None: as Dask is configured
    tls_cert: Path | None = Field(default=None, strict=False)
    tls_key: Path | None = Field(default=None, strict=False)


class Config(_Section):
    """All settings; every section may be left out."""

    sensor: SensorSection = SensorSection()
    capture: CaptureSection = CaptureSection()
    meter: MeterSection = MeterSection()
    detection: DetectionSection = DetectionSection()
    episodes: EpisodesSection = EpisodesSection()
    site: SiteSection = SiteSection()
    geoip: GeoipSection = GeoipSection()
    output: OutputSection = OutputSection()
    keep_packets: KeepPacketsSection = KeepPacketsSection()
    flow_log: FlowLogSection = FlowLogSection()
    stats: StatsSection = StatsSection()
    drift: DriftSection = DriftSection()
    attach: AttachSection = AttachSection()
    api: ApiSection = ApiSection()
    process: ProcessSection = ProcessSection()
    jobs: JobsSection = JobsSection()
    # The list `outputs:` of a file; not a section, so that no other source can set parts of it.
    _outputs: tuple[OutputEntry, ...] = PrivateAttr(default=())

    @property
    def outputs(self) -> tuple[OutputEntry, ...]:
        """Outputs of alerts beside output.file, in the order of the settings file."""
        return self._outputs


@dataclass(frozen=True, slots=True)
class EffectiveConfig:
    """The settings in effect after all sources, with the place of each."""

    config: Config
    # By `section.name`, where each setting that was given stands; of outputs by `outputs.number.name`, counted from 0.
    places: Mapping[str, str]


def effective_config(
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Iterable[str] = (),
    flags: Iterable[Setting] = (),
) -> EffectiveConfig:
    """Settings from a file, the environment, `a.b=c` overrides and flags; the later source wins.

    flags: their values are used as they are, since the text of a flag is no YAML.

    Raises ConfigError, one line: the place, what was found, what was expected and the nearest valid name; its detail
    has such a line for each further fault.
    """
    settings: dict[str, Setting] = {}
    faults: list[str] = []
    outputs: tuple[OutputEntry, ...] = ()
    places: dict[str, str] = {}
    known = setting_names()
    if path is not None:
        from sensor.settings.file import read_settings

        found = read_settings(path)
        settings.update({setting.name: setting for setting in found.settings})
        outputs, wrong = read_outputs(found.outputs)
        for number, (_, entry) in enumerate(found.outputs):
            places |= {f"outputs.{number}.{setting.name}": setting.place for setting in entry}
        faults += wrong
        faults += _unknown_empty_sections(found.sections, found.settings, known)
    for setting in (*_from_environment(environment or {}), *_from_overrides(overrides), *flags):
        settings[setting.name] = setting
    sections: dict[str, dict[str, Any]] = {}
    for setting in settings.values():
        if setting.name not in known:
            place = setting.name_place or setting.place
            faults.append(f'{place}: unknown setting "{setting.name}"{_nearest(setting.name, known)}')
            continue
        section, _, name = setting.name.partition(".")
        text = setting.text if setting.value is not None and _is_text(section, name) else None
        sections.setdefault(section, {})[name] = setting.value if text is None else text
    try:
        config = Config.model_validate(sections)
    except ValidationError as error:
        faults += _bad_values(error, settings)
    if faults:
        raise error_of(faults)
    config._outputs = outputs
    return EffectiveConfig(config, {setting.name: setting.place for setting in settings.values()} | places)


def setting_names() -> list[str]:
    """Names of all settings, each `section.name`."""
    sections = {name: field.annotation for name, field in Config.model_fields.items()}
    return [f"{section}.{name}" for section, model in sections.items() if model for name in model.model_fields]


def _is_text(section: str, name: str) -> bool:
    """Whether a setting is text or a path and nothing else: then 42 is no number."""
    model = Config.model_fields[section].annotation
    assert model is not None  # noqa: S101  # each section has one
    kinds = {getattr(kind, "__origin__", kind) for kind in get_args(model.model_fields[name].annotation)}
    return bool(kinds & {str, Path}) and not kinds & {int, float, bool}


def _from_environment(environment: Mapping[str, str]) -> Iterable[Setting]:
    for variable in sorted(environment):
        if variable.startswith(PREFIX):
            name = variable.removeprefix(PREFIX).lower().replace("__", ".")
            text = environment[variable]
            yield Setting(name, parse_scalar(text), f"environment variable {variable}", text=text.strip())


def _from_overrides(overrides: Iterable[str]) -> Iterable[Setting]:
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f'--set {override}: expected "section.name=value"')
        yield Setting(name.strip(), parse_scalar(text), f"--set {override}", text=text.strip())


def _unknown_empty_sections(
    sections: Mapping[str, str], settings: Iterable[Setting], known: list[str]
) -> Iterable[str]:
    """Faults for unknown sections without settings: no unknown setting reports them."""
    filled = {setting.name.partition(".")[0] for setting in settings}
    valid = sorted({name.partition(".")[0] for name in known})
    for name, place in sections.items():
        if name not in filled and name not in valid:
            near = difflib.get_close_matches(name, valid, 1)
            hint = f'did you mean "{near[0]}"?' if near else f"expected one of {', '.join(valid)}"
            yield f'{place}: unknown section "{name}", {hint}'


def _nearest(name: str, known: list[str]) -> str:
    """Hint for an unknown setting: the most similar valid one, else all of its section, else the sections."""
    section, _, last = name.rpartition(".")
    below = [valid for valid in known if valid.startswith(name + ".")]
    if below:
        return f", which is a section: expected settings below it, such as {below[0]}"
    near = difflib.get_close_matches(name, known, 1, 0.7)
    if not near:  # the right name in a wrong section or in none
        near = [valid for valid in known if valid.partition(".")[2] == last] or difflib.get_close_matches(
            name, known, 1
        )
    if near:
        return f', did you mean "{near[0]}"?'
    same = [valid for valid in known if valid.startswith(section + ".")] if section else []
    return f", expected one of {', '.join(same or sorted({valid.partition('.')[0] for valid in known}))}"


def _bad_values(error: ValidationError, settings: Mapping[str, Setting]) -> Iterable[str]:
    """A line for each setting whose value is invalid."""
    reported: set[str] = set()
    for fault in error.errors(include_url=False):
        name = ".".join(str(part) for part in fault["loc"][:2])
        if name in reported:  # each type of a union reports a fault of its own
            continue
        reported.add(name)
        yield f"{settings[name].place}: {name} is {settings[name].value!r}: {expected_of(fault)}"


def error_of(faults: Sequence[str]) -> ConfigError:
    """One error for all faults of a file: the first, with a line for each further one as its detail."""
    error = ConfigError(faults[0])
    left = len(faults) - MAX_FAULTS
    error.detail = (*faults[1:MAX_FAULTS], *([f"and {left:,} more"] if left > 0 else ()))
    return error

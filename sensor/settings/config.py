"""Settings: their defaults, bounds and units, and where a value may come from.

Defaults < file < environment (`FLOWVIGIL__METER__IDLE_TIMEOUT_S=60`) < `--set meter.idle_timeout_s=60`. An unknown or
bad setting stops with one line that says where it stands. It opens no bundle and no interface.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError
from pydantic_core import PydanticCustomError

from sensor.errors import ConfigError
from sensor.settings.outputs import OutputEntry, read_outputs
from sensor.settings.setting import Setting, parse_scalar

PREFIX = "FLOWVIGIL__"
FAULTS_TOLD = 20


class _Section(BaseModel):
    # strict: "12" is not 12 and 1 is not true; what looks like a number in YAML has become one by then
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Capture(_Section):
    """Which packets are taken and how. The rings and the workers are those of `watch`."""

    filter: str | None = None
    promiscuous: bool = False
    timestamps: Literal["kernel", "hardware"] = "kernel"
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    ring_block_bytes: Annotated[int, Field(ge=65536, le=1 << 26, multiple_of=65536)] = 1 << 20
    ring_blocks: Annotated[int, Field(ge=2, le=4096)] = 32


class Meter(_Section):
    """Packets into flows."""

    capacity_flows: Annotated[int, Field(ge=1024, le=1 << 24)] = 131072
    idle_timeout_s: Annotated[float, Field(ge=0.001, le=3000)] = 120.0
    # Sums of squared gaps are kept in 64 bits of µs²; they hold for 50 minutes.
    active_timeout_s: Annotated[float, Field(ge=0.001, le=3000)] = 120.0
    closed_linger_s: Annotated[float, Field(ge=0, le=60)] = 2.0
    first_snapshot_s: Annotated[float, Field(ge=0.001, le=3000)] = 10.0
    snapshot_interval_s: Annotated[float, Field(ge=0.001, le=3000)] = 60.0
    decapsulate: bool = False


def _one_of_the_rates(rate: float) -> float:
    """Bundles hold cuts for these alone."""
    if rate not in (0.001, 0.01, 0.05):
        raise PydanticCustomError("rate", "expected 0.001, 0.01 or 0.05")
    return rate


class Detection(_Section):
    """Flows into verdicts."""

    bundle: Path | None = Field(default=None, strict=False)
    false_positive_rate: Annotated[float, AfterValidator(_one_of_the_rates)] = 0.01


class EpisodesSection(_Section):
    """Verdicts into alerts."""

    flows_between_false_openings: Annotated[float, Field(ge=10, le=1e9)] = 1e5
    quiet_s: Annotated[float, Field(gt=0, le=86400)] = 300.0
    capacity_hosts: Annotated[int, Field(ge=16, le=1 << 20)] = 16384
    alerts_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = 120
    flows_per_alert: Annotated[int, Field(ge=0, le=1_000_000)] = 0


class Output(_Section):
    """Where alerts go, beside the terminal."""

    file: Path | None = Field(default=None, strict=False)


class KeepPackets(_Section):
    """Packets of alerts."""

    directory: Path | None = Field(default=None, strict=False)
    memory_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 36)] = 64 << 20
    alert_packets: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    alert_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 1 << 20
    directory_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 44)] = 1 << 30


class Stats(_Section):
    """What the sensor tells of itself while it watches."""

    interval_s: Annotated[float, Field(ge=1, le=3600)] = 10.0
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None


class Attach(_Section):
    """Who may look at the sensor while it watches (`watch --attach`)."""

    socket: Path | None = Field(default=None, strict=False)
    group: str | int | None = None  # a number is a gid


class Process(_Section):
    """What the process may do once its sockets are open."""

    user: str | int | None = None  # a number is a uid


class Config(_Section):
    """All settings; every section may be left out."""

    capture: Capture = Capture()
    meter: Meter = Meter()
    detection: Detection = Detection()
    episodes: EpisodesSection = EpisodesSection()
    output: Output = Output()
    keep_packets: KeepPackets = KeepPackets()
    stats: Stats = Stats()
    attach: Attach = Attach()
    process: Process = Process()
    # The list `outputs:` of a file; not a section, so that no other source can name parts of it.
    _outputs: tuple[OutputEntry, ...] = PrivateAttr(default=())

    @property
    def outputs(self) -> tuple[OutputEntry, ...]:
        """Where alerts go beside output.file, in the order of the file."""
        return self._outputs


@dataclass(frozen=True, slots=True)
class Effective:
    """The settings that hold.

    places: by `section.name`, where each that does not have its default from here stands; of the outputs by
    `outputs.number.name`, the first one being 0.
    """

    config: Config
    places: Mapping[str, str]


def effective_config(
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Iterable[str] = (),
    flags: Iterable[Setting] = (),
) -> Effective:
    """Settings from a file, the environment, `a.b=c` overrides and flags, the later winning.

    flags: taken as they are: the text of a flag is no YAML.

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
        sections.setdefault(section, {})[name] = setting.value
    try:
        config = Config.model_validate(sections)
    except ValidationError as error:
        faults += _bad_values(error, settings)
    if faults:
        raise _error_of(faults)
    config._outputs = outputs
    return Effective(config, {setting.name: setting.place for setting in settings.values()} | places)


def setting_names() -> list[str]:
    """Every valid setting as `section.name`."""
    sections = {name: field.annotation for name, field in Config.model_fields.items()}
    return [f"{section}.{name}" for section, model in sections.items() if model for name in model.model_fields]


def _from_environment(environment: Mapping[str, str]) -> Iterable[Setting]:
    for variable in sorted(environment):
        if variable.startswith(PREFIX):
            name = variable.removeprefix(PREFIX).lower().replace("__", ".")
            yield Setting(name, parse_scalar(environment[variable]), f"environment variable {variable}")


def _from_overrides(overrides: Iterable[str]) -> Iterable[Setting]:
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f'--set {override}: expected "section.name=value"')
        yield Setting(name.strip(), parse_scalar(text), f"--set {override}")


def _unknown_empty_sections(
    sections: Mapping[str, str], settings: Iterable[Setting], known: list[str]
) -> Iterable[str]:
    """Sections without a setting that would tell of them."""
    filled = {setting.name.partition(".")[0] for setting in settings}
    valid = sorted({name.partition(".")[0] for name in known})
    for name, place in sections.items():
        if name not in filled and name not in valid:
            near = difflib.get_close_matches(name, valid, 1)
            hint = f'did you mean "{near[0]}"?' if near else f"expected one of {', '.join(valid)}"
            yield f'{place}: unknown section "{name}", {hint}'


def _nearest(name: str, known: list[str]) -> str:
    """The most similar valid setting, or all of its section, or the sections."""
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
    """A line for each setting whose value is wrong."""
    told: set[str] = set()
    for fault in error.errors(include_url=False):
        name = ".".join(str(part) for part in fault["loc"][:2])
        if name in told:  # each type that the setting may have finds its own fault
            continue
        told.add(name)
        expected = fault["msg"][0].lower() + fault["msg"][1:]
        yield f"{settings[name].place}: {name} is {settings[name].value!r}: {expected}"


def _error_of(faults: list[str]) -> ConfigError:
    error = ConfigError(faults[0])
    left = len(faults) - FAULTS_TOLD
    error.detail = (*faults[1:FAULTS_TOLD], *([f"and {left:,} more"] if left > 0 else ()))
    return error

"""Settings: their defaults, bounds and units, and where a value may come from.

Defaults < file < environment (`FLOWVIGIL__METER__IDLE_TIMEOUT_S=60`) < `--set meter.idle_timeout_s=60`. An unknown or
bad setting stops with one line that says where it stands. It opens no bundle and no interface.
"""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from sensor.errors import ConfigError
from sensor.setting import Scalar, Setting, parse_scalar

PREFIX = "FLOWVIGIL__"


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


class Output(_Section):
    """Where alerts go, beside the terminal."""

    file: Path | None = Field(default=None, strict=False)


class Stats(_Section):
    """What the sensor tells of itself while it watches."""

    interval_s: Annotated[float, Field(ge=1, le=3600)] = 10.0
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None


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
    stats: Stats = Stats()
    process: Process = Process()


def load_config(
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    overrides: Iterable[str] = (),
    flags: Mapping[str, Scalar] | None = None,
) -> Config:
    """Settings from a file, the environment, `a.b=c` overrides and flags, the later winning.

    flags: values by name of the setting, taken as they are: the text of a flag is no YAML.

    Raises ConfigError, one line: the place, what was found, what was expected and the nearest valid name.
    """
    settings: dict[str, Setting] = {}
    if path is not None:
        from sensor.settings_file import read_settings

        settings.update({setting.name: setting for setting in read_settings(path)})
    for setting in (*_from_environment(environment or {}), *_from_overrides(overrides)):
        settings[setting.name] = setting
    for name, value in (flags or {}).items():
        settings[name] = Setting(name, value, "the command line")
    known = _names()
    sections: dict[str, dict[str, Any]] = {}
    for setting in settings.values():
        if setting.name not in known:
            place = setting.name_place or setting.place
            raise ConfigError(f'{place}: unknown setting "{setting.name}"{_nearest(setting.name, known)}')
        section, _, name = setting.name.partition(".")
        sections.setdefault(section, {})[name] = setting.value
    try:
        return Config.model_validate(sections)
    except ValidationError as error:
        raise ConfigError(_one_line(error, settings)) from error


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


def _names() -> list[str]:
    """Every valid setting as `section.name`."""
    sections = {name: field.annotation for name, field in Config.model_fields.items()}
    return [f"{section}.{name}" for section, model in sections.items() if model for name in model.model_fields]


def _nearest(name: str, known: list[str]) -> str:
    """The most similar valid setting, or all of its section, or the sections."""
    section, _, last = name.rpartition(".")
    near = difflib.get_close_matches(name, known, 1, 0.7)
    if not near:  # the right name in a wrong section or in none
        near = [valid for valid in known if valid.partition(".")[2] == last] or difflib.get_close_matches(
            name, known, 1
        )
    if near:
        return f', did you mean "{near[0]}"?'
    same = [valid for valid in known if valid.startswith(section + ".")] if section else []
    return f", expected one of {', '.join(same or sorted({valid.partition('.')[0] for valid in known}))}"


def _one_line(error: ValidationError, settings: Mapping[str, Setting]) -> str:
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"][:2])
    setting = settings.get(name)
    if setting is None:  # a section that is not a mapping never gets here: the reader names settings by their leaves
        return f"{name}: {first['msg']}"
    expected = first["msg"][0].lower() + first["msg"][1:]
    return f"{setting.place}: {name} is {setting.value!r}: {expected}"

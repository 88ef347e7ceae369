"""What a page is about: its inputs, the model and the settings that judged, and the line that makes it again."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from models.fusion import Hybrid
from sensor.printable import printable
from sensor.settings.config import Config

# Sections of the settings that bear on what is found in a capture.
_BEARING = ("meter", "detection", "episodes")
_WORDS_KEPT = 2000


@dataclass(frozen=True, slots=True)
class Judging:
    """The model: its name and weights, the attacks it has learnt, and what its makers warn of."""

    model_id: str
    sha256: str
    attacks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """What was read and how.

    inputs: names as given. judging: bundles, those that the alerts name where alerts were read. settings: name, value
    and whether it is another than the default; empty where unknown. command: makes the page again. problems: one line
    for each input that could not be read to its end.
    """

    kind: Literal["captures", "alerts"]
    inputs: tuple[str, ...]
    judging: tuple[Judging, ...]
    command: str
    settings: tuple[tuple[str, str, bool], ...] = ()
    expression: str | None = None
    decapsulated: bool = False
    problems: tuple[str, ...] = ()


def judging_of(hybrid: Hybrid) -> Judging:
    """The model as it was loaded; its warnings are those of `about`, whatever else may stand there."""
    found = hybrid.about.get("warnings")
    warnings = found if isinstance(found, list | tuple) else ()
    return Judging(
        hybrid.model_id,
        hybrid.sha256,
        tuple(printable(label, 64) for label in hybrid.labels[1:]),
        tuple(printable(text, _WORDS_KEPT) for text in warnings if isinstance(text, str)),
    )


def settings_of(config: Config) -> tuple[tuple[str, str, bool], ...]:
    """Settings that bear on a capture's page: name, value, whether it is not the default."""
    default = Config()
    return tuple(
        (f"{section}.{name}", _text(value), value != getattr(getattr(default, section), name))
        for section in _BEARING
        for name, value in getattr(config, section)
    )


def command_of(inputs: Sequence[str], config: Config | None) -> str:
    """The line that makes the page of these inputs again, wherever the settings came from."""
    words = ["flowvigil", "report", *inputs, "-o", "report.html"]
    if config is None:
        return shlex.join(words)
    if config.detection.bundle is not None:
        words += ["-m", str(config.detection.bundle)]
    if config.capture.filter is not None:
        words += ["--filter", config.capture.filter]
    if config.meter.decapsulate:
        words.append("--decap")
    for name, value, changed in settings_of(config):
        if changed and name not in ("detection.bundle", "meter.decapsulate"):
            words += ["--set", f"{name}={value}"]
    return shlex.join(words)


def _text(value: object) -> str:
    """As YAML has it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)

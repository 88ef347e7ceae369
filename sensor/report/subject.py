"""What a page is about: its inputs, the model and the settings that judged, and the line that makes it again."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from models.fusion import Hybrid
from sensor.printable import printable
from sensor.settings.bearing import bearing_settings
from sensor.settings.config import Config

_WORDS_KEPT = 2000


@dataclass(frozen=True, slots=True)
class Judging:
    """A bundle that judged."""

    model_id: str  # its name
    sha256: str  # of its weights
    attacks: tuple[str, ...] = ()  # that it has learnt, empty where that is not known
    warnings: tuple[str, ...] = ()  # what its makers warn of


@dataclass(frozen=True, slots=True)
class ReportSubject:
    """What was read and how."""

    kind: Literal["captures", "alerts"]  # of the inputs
    inputs: tuple[str, ...]  # names as given
    judging: tuple[Judging, ...]  # bundles, those that the alerts name where alerts were read
    command: str  # makes the page again
    # Name, value and whether it is another than the default; empty where unknown.
    settings: tuple[tuple[str, str, bool], ...] = ()
    expression: str | None = None  # the capture filter, None without one
    decapsulated: bool = False  # whether tunnels were looked into
    site: str | None = None  # file of the site's notes, None without any
    since: str = ""  # how far back the page goes, as it was asked for; "" for everything
    until_ns: int = 0  # the moment from which it goes back so far; 0 without that
    problems: tuple[str, ...] = ()  # one line for each capture that could not be read to its end


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


def command_of(
    inputs: Sequence[str],
    config: Config | None,
    site: str | None,
    since: str = "",
    fleet: str | None = None,
    *,
    independent: bool = False,
) -> str:
    """The line that makes the page of these inputs again, wherever the settings came from. config: None for alerts."""
    words = ["flowvigil", "report", *inputs, *(["--independent"] * independent), "-o", "report.html"]
    words += ["--site", site] if site else []
    words += ["--since", since] if since else []
    words += ["--fleet", fleet] if fleet else []
    if config is None:
        return shlex.join(words)
    if config.detection.bundle is not None:
        words += ["-m", str(config.detection.bundle)]
    if config.capture.filter is not None:
        words += ["--filter", config.capture.filter]
    if config.meter.decapsulate:
        words.append("--decap")
    for name, value, changed in bearing_settings(config):
        if changed and name not in ("detection.bundle", "meter.decapsulate"):
            words += ["--set", f"{name}={value}"]
    return shlex.join(words)

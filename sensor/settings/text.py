"""Writer of a settings file: text that reads back as the same values, with the source of each on request.

It reads no file. Every character that a terminal interprets is written as an escape of YAML.
"""

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final

import yaml

from sensor.printable import printable
from sensor.settings.config import EffectiveConfig

DEFAULT: Final = "default"
LONGEST_PLACE: Final = 300
# Letters and the signs of a path; at least three, because some readers take y and n for a truth value.
_PLAIN: Final = re.compile(r"[A-Za-z/][A-Za-z0-9_/.-]{2,}\Z")


def settings_text(effective: EffectiveConfig, *, places: bool) -> str:
    """All settings as YAML, in the order of the sections.

    places: each with a comment that names its source: default, `file:line:column`, an environment variable or option.
    """
    found = effective.places if places else None
    lines: list[str] = []
    for section, settings in effective.config.model_dump().items():
        lines += [f"{section}:", *_lines(section, settings, found)]
    entries = [entry.model_dump() for entry in effective.config.outputs]
    lines.append("outputs:" if entries else "outputs: []" + _comment("outputs", found))
    for number, entry in enumerate(entries):
        first, *more = _lines(f"outputs.{number}", {"type": entry.pop("type"), **entry}, found)
        lines += [f"  - {first.lstrip()}", *(f"  {line}" for line in more)]
    return "\n".join(lines) + "\n"


def _lines(within: str, settings: Mapping[str, Any], places: Mapping[str, str] | None) -> list[str]:
    return [f"  {name}: {value_text(value)}{_comment(f'{within}.{name}', places)}" for name, value in settings.items()]


def _comment(name: str, places: Mapping[str, str] | None) -> str:
    return "" if places is None else f"  # {printable(places.get(name, DEFAULT), LONGEST_PLACE)}"


def value_text(value: object) -> str:
    """One value as YAML that every reader resolves to the same type."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str | PurePath):
        return _text(str(value))
    return repr(value)


def _text(text: str) -> str:
    resolved = yaml.SafeLoader("").resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    if _PLAIN.match(text) and resolved == "tag:yaml.org,2002:str":
        return text
    return str(yaml.dump(text, default_style='"', width=float("inf"))).strip()

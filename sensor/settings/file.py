"""Reader of a settings file: a safe subset of YAML, with the place of every setting.

Two levels of mappings with plain values, and one list of such mappings (`outputs`). Duplicate and merge keys, anchors,
aliases, tags, other lists and several documents are refused; so is a value that one reader of YAML takes for something
else than another (`no`, `012`, `1_000`, `12:30:00`, `.inf`, `~`) unless quotes make it text. A file of pairs of text is
read by the same rules. It knows no setting by name.
Source: YAML 1.1 (yaml.org/type) and YAML 1.2.2, section 10.3.2.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from configs.formats import Format
from configs.yaml_nodes import VERSION, check_version, entries, is_null, kind_of, place_of, read_nodes
from sensor.errors import ConfigError
from sensor.settings.setting import Scalar, Setting, parse_scalar
from sensor.settings.yaml_errors import config_errors

FORMAT: Final = Format("settings", instead="write it anew by flowvigil config")
OUTPUTS: Final = "outputs"
SHOWN: Final = 80  # characters of a value in a message
_TYPES: Final = {"bool": bool, "int": int, "float": float, "null": type(None), "str": str}
_MISREADINGS: Final = {
    "bool": ("a truth value", "true or false"),
    "int": ("a number", "plain decimal digits"),
    "float": ("a number", "plain decimal digits"),
    "null": ("null", "null"),
    "timestamp": ("a date", "one of the kind of this setting"),
}
# Implicit types that PyYAML does not resolve but others do: single letters (YAML 1.1), octal digits (YAML 1.2).
_TYPES_ELSEWHERE: Final = {"bool": re.compile(r"[yYnN]\Z"), "int": re.compile(r"[-+]?0o[0-7]+\Z")}


@dataclass(frozen=True, slots=True)
class PairsFile:
    """The contents of a file of pairs of text, such as `"their-scan": PortScan`, a line each."""

    pairs: tuple[Setting, ...]  # in the order of the file; the value is text
    sha256: str  # of the file


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """The contents of a settings file, not yet checked against the settings that exist."""

    settings: tuple[Setting, ...]  # in the order of the file
    sections: dict[str, str]  # place of the name of each section, the empty ones too
    # The list of outputs, by entry: its place, and its settings by their bare names.
    outputs: tuple[tuple[str, tuple[Setting, ...]], ...] = ()


@config_errors()
def read_settings(path: Path) -> SettingsFile:
    """Read a settings file. Raises ConfigError with file, line and column."""
    _, root = read_nodes(path, "a settings file")
    sections: dict[str, str] = {}
    return SettingsFile(tuple(_settings(root, str(path), sections)), sections, tuple(_output_entries(root, str(path))))


@config_errors()
def read_pairs(path: Path, expected: str) -> PairsFile:
    """Read a file of pairs, by the same rules. Raises ConfigError with file, line and column.

    Both sides are text as it is written: what a reader of YAML takes for a truth value, null or a date (`no: benign`)
    is refused without quotes; numbers stay, where all readers agree on them. expected: what the file is, for messages.
    """
    content, root = read_nodes(path, expected)
    pairs = tuple(
        Setting(_text(key, str(path)), _text(value, str(path)), place_of(value, str(path)), place_of(key, str(path)))
        for key, value in entries(root, str(path), "the file", "pairs")
    )
    if not pairs:
        raise ConfigError(f"{path}: is empty, expected {expected}")
    return PairsFile(pairs, hashlib.sha256(content).hexdigest())


def _text(node: yaml.Node, path: str) -> str:
    """Text of a scalar as it is written. Raises ConfigError for anything but text and numbers."""
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError(f"{place_of(node, path)}: a {kind_of(node)}, expected plain text")
    if node.style or _implicit_type(node) == "str":
        return str(node.value)
    kind = _implicit_type(node)
    if kind in ("int", "float") and _TYPES[kind] is type(parse_scalar(node.value)):
        return str(node.value)
    taken_for = _MISREADINGS.get(kind, ("something else",))[0]
    raise ConfigError(
        f"{place_of(node, path)}: {node.value[:SHOWN] or 'nothing'}, which readers of YAML take for {taken_for}: "
        f'expected text, or "{node.value[:SHOWN]}" in quotes where that is the text'
    )


def _settings(root: yaml.Node | None, path: str, sections: dict[str, str]) -> Iterator[Setting]:
    """Settings of the sections; adds the place of each section to `sections`."""
    for section, node in entries(root, path, "the file"):
        name = section.value
        if name == OUTPUTS:
            continue
        if name == VERSION:
            check_version(node, path, FORMAT)
            continue
        if isinstance(node, yaml.ScalarNode) and not is_null(node):
            if "." in name:
                raise ConfigError(
                    f'{place_of(section, path)}: "{name}" in one, expected a section with settings below it'
                )
            yield Setting(name, _value(node, name, path), place_of(node, path), place_of(section, path))
            continue
        sections[name] = place_of(section, path)
        for key, value in entries(node, path, f'section "{name}"'):
            full = f"{name}.{key.value}"
            if not isinstance(value, yaml.ScalarNode):
                raise ConfigError(f'{place_of(value, path)}: "{full}" is a {kind_of(value)}, expected one value')
            yield Setting(full, _value(value, full, path), place_of(value, path), place_of(key, path))


def _output_entries(root: yaml.Node | None, path: str) -> Iterator[tuple[str, tuple[Setting, ...]]]:
    """Entries of the list of outputs, each its place and its settings."""
    for name, node in entries(root, path, "the file"):
        if name.value != OUTPUTS or is_null(node):
            continue
        if not isinstance(node, yaml.SequenceNode):
            raise ConfigError(f"{place_of(node, path)}: {OUTPUTS} is a {kind_of(node)}, expected a list: - type: file")
        for entry in node.value:
            settings = []
            for key, value in entries(entry, path, f"an entry of {OUTPUTS}"):
                if not isinstance(value, yaml.ScalarNode):
                    raise ConfigError(
                        f'{place_of(value, path)}: "{key.value}" is a {kind_of(value)}, expected one value'
                    )
                plain = _value(value, f"{OUTPUTS}.{key.value}", path)
                settings.append(Setting(key.value, plain, place_of(value, path), place_of(key, path)))
            yield place_of(entry, path), tuple(settings)


def _value(node: yaml.ScalarNode, name: str, path: str) -> Scalar:
    """Value of a scalar node. Raises ConfigError where readers of YAML disagree about its type."""
    if node.style:
        return str(node.value)
    value, implied = parse_scalar(node.value), _implicit_type(node)
    agreed = implied == "str" or _TYPES.get(implied) is type(value)
    if agreed and node.value != "~":
        return value
    taken_for, instead = _MISREADINGS.get(implied, ("something else", "a plain value"))
    raise ConfigError(
        f"{place_of(node, path)}: {name} is {node.value[:SHOWN]}, which some readers of YAML take for {taken_for}: "
        f'expected {instead}, or "{node.value[:SHOWN]}" in quotes where that is the text'
    )


def _implicit_type(node: yaml.ScalarNode) -> str:
    """The type that some reader of YAML resolves an unquoted scalar to."""
    others = (kind for kind, form in _TYPES_ELSEWHERE.items() if form.match(node.value))
    return next(others, node.tag.rpartition(":")[2])

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
from typing import Any, Final

import yaml

from sensor.errors import ConfigError
from sensor.settings.setting import Scalar, Setting, parse_scalar

LIMIT_BYTES: Final = 1 << 16  # twenty times a file that states every setting; hostile ones take about a second
LIMIT_DEPTH: Final = 8
MERGE_KEY: Final = "<<"
OUTPUTS: Final = "outputs"
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


def read_settings(path: Path) -> SettingsFile:
    """Read a settings file. Raises ConfigError with file, line and column."""
    _, root = _root(path, "a settings file")
    sections: dict[str, str] = {}
    return SettingsFile(tuple(_settings(root, str(path), sections)), sections, tuple(_output_entries(root, str(path))))


def read_pairs(path: Path, expected: str) -> PairsFile:
    """Read a file of pairs, by the same rules. Raises ConfigError with file, line and column.

    Both sides are text as it is written: what a reader of YAML takes for a truth value, null or a date (`no: benign`)
    is refused without quotes; numbers stay, where all readers agree on them. expected: what the file is, for messages.
    """
    content, root = _root(path, expected)
    pairs = tuple(
        Setting(_text(key, str(path)), _text(value, str(path)), _place(value, str(path)), _place(key, str(path)))
        for key, value in _entries(root, str(path), "the file", "pairs")
    )
    if not pairs:
        raise ConfigError(f"{path}: is empty, expected {expected}")
    return PairsFile(pairs, hashlib.sha256(content).hexdigest())


def _text(node: yaml.Node, path: str) -> str:
    """Text of a scalar as it is written. Raises ConfigError for anything but text and numbers."""
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError(f"{_place(node, path)}: a {_kind(node)}, expected plain text")
    if node.style or _implicit_type(node) == "str":
        return str(node.value)
    kind = _implicit_type(node)
    if kind in ("int", "float") and _TYPES[kind] is type(parse_scalar(node.value)):
        return str(node.value)
    taken_for = _MISREADINGS.get(kind, ("something else",))[0]
    raise ConfigError(
        f"{_place(node, path)}: {node.value or 'nothing'}, which readers of YAML take for {taken_for}: "
        f'expected text, or "{node.value}" in quotes where that is the text'
    )


def _root(path: Path, expected: str) -> tuple[bytes, yaml.Node | None]:
    """The bytes of a file and its node graph. Raises ConfigError; expected: what the file should be."""
    try:
        with path.open("rb") as stream:
            content = stream.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or str(error)).lower()}, expected {expected}") from error
    if len(content) > LIMIT_BYTES:
        raise ConfigError(f"{path}: longer than {LIMIT_BYTES:,} bytes, expected {expected}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}:{line}: byte {content[error.start]:#04x} is not UTF-8, expected {expected}"
        ) from None
    return content, _compose(text, str(path))


def _compose(text: str, path: str) -> yaml.Node | None:
    """The node graph of the YAML composer, which has the places; the implicit type of a scalar is only its tag."""
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=_PlainLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else path
        raise ConfigError(f"{place}: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = f"{path}:{before.count(chr(10)) + 1}:{error.position - before.rfind(chr(10))}"
        raise ConfigError(f"{place}: character {ord(text[error.position]):#04x}, expected text") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
    return root


def _settings(root: yaml.Node | None, path: str, sections: dict[str, str]) -> Iterator[Setting]:
    """Settings of the sections; adds the place of each section to `sections`."""
    for section, node in _entries(root, path, "the file"):
        name = section.value
        if name == OUTPUTS:
            continue
        if isinstance(node, yaml.ScalarNode) and not _is_null(node):
            if "." in name:
                raise ConfigError(
                    f'{_place(section, path)}: "{name}" in one, expected a section with settings below it'
                )
            yield Setting(name, _value(node, name, path), _place(node, path), _place(section, path))
            continue
        sections[name] = _place(section, path)
        for key, value in _entries(node, path, f'section "{name}"'):
            full = f"{name}.{key.value}"
            if not isinstance(value, yaml.ScalarNode):
                raise ConfigError(f'{_place(value, path)}: "{full}" is a {_kind(value)}, expected one value')
            yield Setting(full, _value(value, full, path), _place(value, path), _place(key, path))


def _output_entries(root: yaml.Node | None, path: str) -> Iterator[tuple[str, tuple[Setting, ...]]]:
    """Entries of the list of outputs, each its place and its settings."""
    for name, node in _entries(root, path, "the file"):
        if name.value != OUTPUTS or _is_null(node):
            continue
        if not isinstance(node, yaml.SequenceNode):
            raise ConfigError(f"{_place(node, path)}: {OUTPUTS} is a {_kind(node)}, expected a list: - type: file")
        for entry in node.value:
            settings = []
            for key, value in _entries(entry, path, f"an entry of {OUTPUTS}"):
                if not isinstance(value, yaml.ScalarNode):
                    raise ConfigError(f'{_place(value, path)}: "{key.value}" is a {_kind(value)}, expected one value')
                plain = _value(value, f"{OUTPUTS}.{key.value}", path)
                settings.append(Setting(key.value, plain, _place(value, path), _place(key, path)))
            yield _place(entry, path), tuple(settings)


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
        f"{_place(node, path)}: {name} is {node.value}, which some readers of YAML take for {taken_for}: "
        f'expected {instead}, or "{node.value}" in quotes where that is the text'
    )


def _implicit_type(node: yaml.ScalarNode) -> str:
    """The type that some reader of YAML resolves an unquoted scalar to."""
    others = (kind for kind, form in _TYPES_ELSEWHERE.items() if form.match(node.value))
    return next(others, node.tag.rpartition(":")[2])


def _entries(
    node: yaml.Node | None, path: str, name: str, content: str = "settings"
) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """Keys and values of a mapping; null counts as an empty one."""
    if node is None or _is_null(node):
        return
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{_place(node, path)}: {name} is a {_kind(node)}, expected {content} as `name: value`")
    seen: set[str] = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{_place(key, path)}: a {_kind(key)} as a name, expected plain text")
        if key.value == MERGE_KEY and not key.style:
            raise ConfigError(f"{_place(key, path)}: a merge key ({MERGE_KEY}), expected each setting by its name")
        if key.value in seen:
            raise ConfigError(f'{_place(key, path)}: "{key.value}" a second time in {name}')
        seen.add(key.value)
        yield key, value


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and not node.style and parse_scalar(node.value) is None


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return "plain value"
    return "mapping" if isinstance(node, yaml.MappingNode) else "list"


def _place(node: yaml.Node, path: str) -> str:
    return f"{path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


class _PlainLoader(yaml.SafeLoader):
    """YAML loader that refuses anchors, aliases, tags and deep nesting. Raises MarkedYAMLError."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        for what in ("anchor", "tag"):
            found = getattr(event, what, None)
            if found is not None and not (what == "tag" and found == "!"):
                sign = "&" if what == "anchor" else ""
                name = "an alias" if isinstance(event, yaml.AliasEvent) else f"the {what} {sign}{found}"
                raise yaml.MarkedYAMLError(problem=f"{name}, expected a plain value", problem_mark=event.start_mark)
        self.depth += 1
        if self.depth > LIMIT_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

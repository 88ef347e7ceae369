"""YAML as nodes, each with its place: the safe subset that every file of the operator's is read by.

Duplicate and merge keys, anchors, aliases, tags, deep nesting and several documents are refused, as is a file that is
too long or no UTF-8. Every error is a ConfigError that begins with file, line and column. It knows no file's contents.
Source: YAML 1.1 (yaml.org/type) and YAML 1.2.2, section 10.3.2.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from models.formats import Format, OtherVersionError
from sensor.errors import ConfigError
from sensor.settings.setting import parse_scalar

LIMIT_BYTES: Final = 1 << 16  # twenty times a file that states every setting; hostile ones take about a second
LIMIT_DEPTH: Final = 8
MERGE_KEY: Final = "<<"
VERSION: Final = "version"  # name of the version that a file may state; without, it is of version 1


def read_nodes(path: Path, expected: str) -> tuple[bytes, yaml.Node | None]:
    """The bytes of a file and its root node, None for an empty one. Raises ConfigError with file, line and column.

    expected: what the file should be, for messages.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, expected, error) from error
    _refuse_long(content, path, expected, LIMIT_BYTES)
    return content, nodes_of(content, path, expected)


def read_regular(path: Path, expected: str, limit_bytes: int) -> bytes:
    """The bytes of a regular file: what is a pipe or a device could keep a sensor that runs waiting, and is refused.

    expected: what the file should be, for messages. limit_bytes: a longer file is refused. Raises ConfigError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigError(f"{path}: is a pipe or a device, expected a file with {expected}")
            content = stream.read(limit_bytes + 1)
    except OSError as error:
        raise _unreadable(path, expected, error) from error
    _refuse_long(content, path, expected, limit_bytes)
    return content


def _unreadable(path: Path, expected: str, error: OSError) -> ConfigError:
    return ConfigError(f"{path}: {(error.strerror or str(error)).lower()}, expected {expected}")


def _refuse_long(content: bytes, path: Path, expected: str, limit_bytes: int) -> None:
    if len(content) > limit_bytes:
        raise ConfigError(f"{path}: longer than {limit_bytes:,} bytes, expected {expected}")


def nodes_of(content: bytes, path: Path, expected: str) -> yaml.Node | None:
    """The root node of a file's bytes, None for an empty one. Raises ConfigError with file, line and column."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}:{line}: byte {content[error.start]:#04x} is not UTF-8, expected {expected}"
        ) from None
    return compose(text, str(path))


def compose(text: str, path: str) -> yaml.Node | None:
    """The root node of a text, None for an empty one; the implicit type of a scalar is only its tag.

    path: in whose name errors speak. Raises ConfigError with file, line and column.
    """
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


def entries(
    node: yaml.Node | None, path: str, name: str, content: str = "settings"
) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """Keys and values of a mapping; null counts as an empty one."""
    if node is None or is_null(node):
        return
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{place_of(node, path)}: {name} is a {kind_of(node)}, expected {content} as `name: value`")
    seen: set[str] = set()
    for key, value in node.value:
        yield key_of(key, seen, path, name), value


def check_version(node: yaml.Node, path: str, written: Format) -> None:
    """Raise ConfigError where the value of a file's `version` is none that is read."""
    try:
        version = parse_scalar(node.value) if isinstance(node, yaml.ScalarNode) and not node.style else None
        if not isinstance(version, int) or isinstance(version, bool):
            raise OtherVersionError(f"found {node.value!r:.40}, expected {written.version}")
        written.checked(version)
    except OtherVersionError as error:
        raise ConfigError(f"{place_of(node, path)}: {VERSION}: {error}") from None


def key_of(key: yaml.Node, seen: set[str], path: str, name: str) -> yaml.ScalarNode:
    """A key of the mapping `name`, added to those seen. Raises ConfigError for a second one, and for no plain text."""
    if not isinstance(key, yaml.ScalarNode):
        raise ConfigError(f"{place_of(key, path)}: a {kind_of(key)} as a name, expected plain text")
    if key.value == MERGE_KEY and not key.style:
        raise ConfigError(f"{place_of(key, path)}: a merge key ({MERGE_KEY}), expected each setting by its name")
    if key.value in seen:
        raise ConfigError(f'{place_of(key, path)}: "{key.value}" a second time in {name}')
    seen.add(key.value)
    return key


def is_null(node: yaml.Node) -> bool:
    """Whether a node is null or nothing, without quotes."""
    return isinstance(node, yaml.ScalarNode) and not node.style and parse_scalar(node.value) is None


def kind_of(node: yaml.Node) -> str:
    """What a node is, for messages: plain value, mapping or list."""
    if isinstance(node, yaml.ScalarNode):
        return "plain value"
    return "mapping" if isinstance(node, yaml.MappingNode) else "list"


def place_of(node: yaml.Node, path: str) -> str:
    """Where a node begins: `path:line:column`."""
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

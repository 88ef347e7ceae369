"""YAML as nodes, each with its place: the safe subset that every file of the operator's is read by, of whichever room.

Duplicate and merge keys, anchors, aliases, tags, deep nesting and several documents are refused, as is a file that is
too long or no UTF-8, and an escape that stands for no character of a text. Every error is a YamlFaultError with file,
line and column, which the rooms above turn into their own. It knows no file's contents and no room.
Source: YAML 1.1 (yaml.org/type) and YAML 1.2.2, section 10.3.2.
"""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from configs.yaml_words import in_words

LIMIT_BYTES: Final = 1 << 16  # twenty times a file that states every setting; hostile ones take about a second
LIMIT_DEPTH: Final = 8
LIMIT_NUMBER: Final = 40  # characters
MERGE_KEY: Final = "<<"
_NULLS: Final = ("", "~", "null")
_ONLY_TEXT: Final = (":value", ":merge")  # `=` and `<<`, which YAML 1.1 has types for and nobody means
_NO_TEXT: Final = re.compile("[\0\ud800-\udfff]")  # which paths, UTF-8 and records cannot hold
_VERSION: Final = re.compile("[-+]?(0|[1-9][0-9]{0,18})")
VERSION: Final = "version"  # name of the version that a file may state; without, it is of version 1


class YamlFaultError(Exception):
    """What is wrong with a file, as one line of printable text that begins with its place.

    line, column: from 1; None where the fault has no place in the file.
    """

    def __init__(self, path: Path | str, problem: str, line: int | None = None, column: int | None = None) -> None:
        self.path = path
        self.problem = problem = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in problem)
        self.line = line
        self.column = column
        super().__init__(":".join(str(part) for part in (path, line, column) if part is not None) + f": {problem}")


def read_nodes(path: Path, expected: str, limit_bytes: int = LIMIT_BYTES) -> tuple[bytes, yaml.Node | None]:
    """The bytes of a file and its root node, None for an empty one. Raises YamlFaultError with file, line and column.

    expected: what the file should be, for messages. limit_bytes: a longer file is refused.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(limit_bytes + 1)
    except OSError as error:
        raise _unreadable(path, expected, error) from error
    _refuse_long(content, path, expected, limit_bytes)
    return content, nodes_of(content, path, expected)


def read_regular(path: Path, expected: str, limit_bytes: int) -> bytes:
    """The bytes of a regular file: what is a pipe or a device could keep a sensor that runs waiting, and is refused.

    expected: what the file should be, for messages. limit_bytes: a longer file is refused. Raises YamlFaultError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise YamlFaultError(path, f"is a pipe or a device, expected a file with {expected}")
            content = stream.read(limit_bytes + 1)
    except OSError as error:
        raise _unreadable(path, expected, error) from error
    _refuse_long(content, path, expected, limit_bytes)
    return content


def _unreadable(path: Path, expected: str, error: OSError) -> YamlFaultError:
    return YamlFaultError(path, f"{(error.strerror or str(error)).lower()}, expected {expected}")


def _refuse_long(content: bytes, path: Path, expected: str, limit_bytes: int) -> None:
    if len(content) > limit_bytes:
        raise YamlFaultError(path, f"longer than {limit_bytes:,} bytes, expected {expected}")


def nodes_of(content: bytes, path: Path, expected: str) -> yaml.Node | None:
    """The root node of a file's bytes, None for an empty one. Raises YamlFaultError with file, line and column."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"byte {content[error.start]:#04x} is not UTF-8, expected {expected}"
        raise YamlFaultError(path, problem, line) from None
    return compose(text, str(path))


def compose(text: str, path: str) -> yaml.Node | None:
    """The root node of a text, None for an empty one; the implicit type of a scalar is only its tag.

    path: in whose name errors speak. Raises YamlFaultError with file, line and column.
    """
    try:
        loader = _PlainLoader(text)
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        problem = f"character {ord(text[error.position]):#04x}, expected text"
        raise YamlFaultError(path, problem, before.count("\n") + 1, error.position - before.rfind("\n")) from None
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (None, None) if mark is None else (mark.line + 1, mark.column + 1)
        problem = str(error.problem or error.context)
        told = problem if isinstance(error, _RefusedError) else in_words(problem)
        raise YamlFaultError(path, told, line, column) from None
    except (ValueError, OverflowError):  # an escape beyond Unicode, a version of thousands of digits
        problem = "an escape or a number that stands for nothing, expected text"
        raise YamlFaultError(path, problem, loader.line + 1, loader.column + 1) from None
    except yaml.YAMLError as error:
        raise YamlFaultError(path, " ".join(str(error).split())) from None
    finally:
        loader.dispose()


def entries(
    node: yaml.Node | None, path: str, name: str, content: str = "settings"
) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """Keys and values of a mapping; null counts as an empty one."""
    if node is None or is_null(node):
        return
    if not isinstance(node, yaml.MappingNode):
        raise fault_at(node, path, f"{name} is a {kind_of(node)}, expected {content} as `name: value`")
    seen: set[str] = set()
    for key, value in node.value:
        yield key_of(key, seen, path, name), value


class Written(Protocol):
    """What a file is written as: its version, and which of them are read (configs.formats.Format)."""

    @property
    def version(self) -> int:
        """The version that is written."""

    def checked(self, version: int) -> int:
        """The same version. Raises ValueError where it is not read."""


def check_version(node: yaml.Node, path: str, written: Written) -> None:
    """Raise YamlFaultError where the value of a file's `version` is none that is read."""
    digits = node.value if isinstance(node, yaml.ScalarNode) and not node.style else ""
    if not _VERSION.fullmatch(digits):
        raise fault_at(node, path, f"{VERSION}: found {node.value!r:.40}, expected {written.version}")
    try:
        written.checked(int(digits))
    except ValueError as error:
        raise fault_at(node, path, f"{VERSION}: {error}") from None


def key_of(key: yaml.Node, seen: set[str], path: str, name: str) -> yaml.ScalarNode:
    """A key of the mapping `name`, added to those seen.

    Raises YamlFaultError for a second one, and for anything but plain text.
    """
    if not isinstance(key, yaml.ScalarNode):
        raise fault_at(key, path, f"a {kind_of(key)} as a name, expected plain text")
    if key.value == MERGE_KEY and not key.style:
        raise fault_at(key, path, f"a merge key ({MERGE_KEY}), expected each setting by its name")
    if key.value.splitlines() not in ([], [key.value]):
        raise fault_at(key, path, f"{key.value!r:.80} as a name, expected one line")
    if key.value in seen:
        raise fault_at(key, path, f'"{key.value}" a second time in {name}, expected each name once')
    seen.add(key.value)
    return key


def is_null(node: yaml.Node) -> bool:
    """Whether a node is null or nothing, without quotes."""
    return isinstance(node, yaml.ScalarNode) and not node.style and node.value.strip() in _NULLS


def kind_of(node: yaml.Node) -> str:
    """What a node is, for messages: plain value, mapping or list."""
    if isinstance(node, yaml.ScalarNode):
        return "plain value"
    return "mapping" if isinstance(node, yaml.MappingNode) else "list"


def place_of(node: yaml.Node, path: str) -> str:
    """Where a node begins: `path:line:column`."""
    return f"{path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def fault_at(node: yaml.Node, path: Path | str, problem: str) -> YamlFaultError:
    """The fault of a node."""
    return YamlFaultError(path, problem, node.start_mark.line + 1, node.start_mark.column + 1)


def plain_values(root: yaml.Node | None, path: Path | str) -> Any:
    """What a file says, as YAML 1.1 understands it: numbers, truth values, dates, text, lists and mappings.

    Raises YamlFaultError for a second key of one name, for long numbers and for dates that are none.
    """
    return None if root is None else _plain_value(root, str(path), "the file", yaml.SafeLoader(""))


def _plain_value(node: yaml.Node, path: str, name: str, loader: yaml.SafeLoader) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_plain_value(item, path, name, loader) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return _plain_mapping(node, path, name, loader)
    return _plain_scalar(node, path, loader)


def _plain_mapping(node: yaml.MappingNode, path: str, name: str, loader: yaml.SafeLoader) -> dict[Any, Any]:
    seen: set[str] = set()
    found: dict[Any, Any] = {}
    for key, value in node.value:
        plain = _plain_scalar(key_of(key, seen, path, name), path, loader)
        if plain in found:  # written in another way, such as 1, 01 and true
            raise fault_at(key, path, f'"{key.value}" is the same as a name before it in {name}, expected another')
        found[plain] = _plain_value(value, path, key.value, loader)
    return found


def _plain_scalar(node: yaml.Node, path: str, loader: yaml.SafeLoader) -> Any:
    if node.tag.endswith((":int", ":float")) and len(node.value) > LIMIT_NUMBER:
        raise fault_at(node, path, f"a number of {len(node.value):,} characters, expected at most {LIMIT_NUMBER}")
    if node.tag.endswith(_ONLY_TEXT):
        return node.value
    try:
        return loader.construct_object(node)
    except (ValueError, OverflowError):
        raise fault_at(node, path, "holds a date or a number that cannot be, expected another value") from None


class _RefusedError(yaml.MarkedYAMLError):
    """What the loader below refuses, in words of its own."""


class _PlainLoader(yaml.SafeLoader):
    """YAML loader that refuses anchors, aliases, tags, deep nesting and what is no text. Raises MarkedYAMLError."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        for what in ("anchor", "tag"):
            found = getattr(event, what, None)
            if found is not None and not (what == "tag" and found == "!"):
                sign = "&" if what == "anchor" else ""
                name = "an alias" if isinstance(event, yaml.AliasEvent) else f"the {what} {sign}{found}"
                raise _RefusedError(problem=f"{name}, expected a plain value", problem_mark=event.start_mark)
        value = getattr(event, "value", None)
        if isinstance(value, str) and (found := _NO_TEXT.search(value)):
            problem = f"the character {ord(found[0]):#06x}, expected text"
            raise _RefusedError(problem=problem, problem_mark=event.start_mark)
        self.depth += 1
        if self.depth > LIMIT_DEPTH:
            raise _RefusedError(problem="nested too deeply", problem_mark=event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

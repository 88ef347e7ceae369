"""A settings file: the part of YAML that cannot surprise, with the place of every setting.

Two levels of mappings with plain values. Duplicate keys, anchors, aliases, tags, lists and several documents
are refused; so are YAML 1.1's guesses: `no` and `12:30` are text here, and `012` is no number. It knows no setting by
name.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from sensor.errors import ConfigError
from sensor.setting import Setting, parse_scalar

LIMIT_BYTES = 1 << 20


def read_settings(path: Path) -> list[Setting]:
    """The settings of a file in its order. Raises ConfigError with file, line and column."""
    try:
        with path.open("rb") as stream:
            content = stream.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or str(error)).lower()}, expected a settings file") from error
    if len(content) > LIMIT_BYTES:
        raise ConfigError(f"{path}: longer than {LIMIT_BYTES:,} bytes, expected a settings file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}:{line}: byte {content[error.start]:#04x} is not UTF-8, expected a settings file"
        ) from None
    return list(_settings(text, str(path)))


def _settings(text: str, path: str) -> Iterator[Setting]:
    """Walk the node tree that the YAML composer makes: it knows the places and has guessed no types yet."""
    try:
        root = yaml.compose(text, Loader=_PlainLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else path
        raise ConfigError(f"{place}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
    for section, node in _entries(root, path, "the file"):
        for key, value in _entries(node, path, f'section "{section.value}"'):
            full = f"{section.value}.{key.value}"
            if not isinstance(value, yaml.ScalarNode):
                raise ConfigError(f'{_place(value, path)}: "{full}" is a {_kind(value)}, expected one value')
            plain = value.value if value.style else parse_scalar(value.value)
            yield Setting(full, plain, _place(value, path), _place(key, path))


def _entries(node: yaml.Node | None, path: str, name: str) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """Keys and values of a mapping; nothing at all counts as an empty one."""
    if node is None or (isinstance(node, yaml.ScalarNode) and not node.style and parse_scalar(node.value) is None):
        return
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{_place(node, path)}: {name} is a {_kind(node)}, expected settings as `name: value`")
    seen: set[str] = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{_place(key, path)}: a {_kind(key)} as a name, expected plain text")
        if key.value in seen:
            raise ConfigError(f'{_place(key, path)}: "{key.value}" a second time in {name}')
        seen.add(key.value)
        yield key, value


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return "plain value"
    return "mapping" if isinstance(node, yaml.MappingNode) else "list"


def _place(node: yaml.Node, path: str) -> str:
    return f"{path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


class _PlainLoader(yaml.SafeLoader):
    """Composes nodes, but no anchors, aliases, tags or deep nesting."""

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
        if self.depth > 8:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

"""A YAML file as a pydantic model; faults are named by file, line and column.

It knows no model. Keys that are given twice are refused, which YAML's own readers let pass.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from models.formats import Format, OtherVersionError
from training.errors import TrainingError

Model = TypeVar("Model", bound=BaseModel)

VERSION: Final = "version"  # name of the version that a file may state
MOST_NODES: Final = 100_000  # of a file: the longest scenario of the lab has some two thousand


def read_model(
    path: Path, model_of: Callable[[Any], type[Model]], stop: type[TrainingError], written: Format
) -> tuple[Model, str]:
    """The model of a file, and the file's text.

    model_of: chooses the model by the file's content. written: what the file should be, and the versions that it may
    state; without one it is of version 1. Raises stop with line and column.
    """
    expected = f"a YAML {written.kind}"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise stop(path, f"cannot be read ({error.strerror}); expected {expected}") from error
    except UnicodeDecodeError as error:
        raise stop(path, f"is not UTF-8 text (byte {error.start}); expected {expected}") from error
    root, content = _composed(path, text, stop)
    _check_version(path, root, content.pop(VERSION, 1), stop, written)
    try:
        return model_of(content).model_validate(content), text
    except ValidationError as error:
        raise _located(path, root, error, stop) from error


def _check_version(
    path: Path, root: yaml.MappingNode, version: object, stop: type[TrainingError], written: Format
) -> None:
    """Raise stop where the version that a file states is none that is read."""
    try:
        if not isinstance(version, int) or isinstance(version, bool):
            raise OtherVersionError(f"found {version!r:.40}, expected {written.version}")
        written.checked(version)
    except OtherVersionError as error:
        mark = _mark(root, (VERSION,), key=False)
        raise stop(path, f"{VERSION}: {error}", line=mark.line + 1, column=mark.column + 1) from None


def _composed(path: Path, text: str, stop: type[TrainingError]) -> tuple[yaml.MappingNode, Any]:
    """The nodes of a file, which have places, and its content. Raises stop for what is no mapping of settings."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(root, yaml.MappingNode):
            raise stop(path, "expected a mapping of settings", line=1, column=1)
        _refuse_repeated_keys(path, root, stop, _Budget(MOST_NODES))
        return root, yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not YAML"
        raise stop(path, problem, line=mark and mark.line + 1, column=mark and mark.column + 1) from error
    except RecursionError as error:
        raise stop(path, "is nested too deeply, or in itself; expected settings") from error
    except ValueError as error:  # of a value whose form is a date's or a number's, and that is none
        raise stop(path, f"holds a date or number that is none ({error!s:.80})") from error


@dataclass(slots=True)
class _Budget:
    """How many nodes may still be looked at: aliases make few lines as many as anyone likes."""

    left: int


def place_of(text: str, where: tuple[int | str, ...]) -> tuple[int, int]:
    """Line and column, from 1, of a setting in a file that was read; those of its parent where it is not there."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        return 1, 1
    mark = _mark(root, where, key=False)
    return mark.line + 1, mark.column + 1


def _refuse_repeated_keys(path: Path, node: yaml.Node, stop: type[TrainingError], budget: _Budget) -> None:
    budget.left -= 1
    if budget.left < 0:
        mark = node.start_mark
        problem = f"holds more than {MOST_NODES:,} values; expected settings"
        raise stop(path, problem, line=mark.line + 1, column=mark.column + 1)
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(path, item, stop, budget)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        mark = key.start_mark
        if not isinstance(key, yaml.ScalarNode):
            raise stop(path, "found a key that is no word", line=mark.line + 1, column=mark.column + 1)
        if key.value in seen:
            raise stop(path, f'key "{key.value}" is given twice', line=mark.line + 1, column=mark.column + 1)
        seen.add(key.value)
        _refuse_repeated_keys(path, value, stop, budget)


def _located(path: Path, root: yaml.Node, error: ValidationError, stop: type[TrainingError]) -> TrainingError:
    fault = error.errors()[0]
    where = _without_tags(root, fault["loc"])
    unknown = fault["type"] == "extra_forbidden"
    mark = _mark(root, where, key=unknown)
    name = ".".join(str(part) for part in where)
    if unknown:
        problem = f'unknown key "{name}"'
    else:
        problem = f"{name}: {fault['msg'].removeprefix('Value error, ')}"
        if fault["type"] not in {"missing", "value_error"}:
            problem += f", found {fault['input']!r:.200}"
    return stop(path, problem, line=mark.line + 1, column=mark.column + 1)


def _without_tags(root: yaml.Node, where: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The way to a setting without the names that pydantic puts where one of several models was chosen by a key."""
    kept: list[int | str] = []
    node: yaml.Node | None = root
    for place, part in enumerate(where):
        last = place == len(where) - 1
        found = None if node is None else _child(node, part)
        if found is None and not last and isinstance(node, yaml.MappingNode):
            continue
        kept.append(part)
        node = None if found is None else found[1]
    return tuple(kept)


def _child(node: yaml.Node, part: int | str) -> tuple[yaml.Node, yaml.Node] | None:
    """Key and value of a setting in a mapping or list, the value for both in a list; None where it is not there."""
    if isinstance(node, yaml.MappingNode):
        return next((pair for pair in node.value if pair[0].value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def _mark(node: yaml.Node, where: tuple[int | str, ...], *, key: bool) -> Any:
    """Place of a setting: its value, or its key; the nearest parent where the setting is missing."""
    mark = node.start_mark
    for part in where:
        found = _child(node, part)
        if found is None:
            return mark
        node = found[1]
        mark = found[0].start_mark if key else node.start_mark
    return mark

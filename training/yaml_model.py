"""A YAML file as a pydantic model; faults are named by file, line and column.

It knows no model. What it refuses beside, such as aliases and keys given twice, is configs.yaml_nodes' to say.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from configs.faults import expected_of
from configs.formats import Format
from configs.yaml_nodes import VERSION, YamlFaultError, check_version, compose, plain_values, read_nodes
from training.errors import TrainingError

Model = TypeVar("Model", bound=BaseModel)

LIMIT_BYTES: Final = 1 << 17  # ten times the longest scenario of the lab; hostile ones take about two seconds


def read_model(
    path: Path, model_of: Callable[[Any], type[Model]], stop: type[TrainingError], written: Format
) -> tuple[Model, str]:
    """The model of a file, and the file's text.

    model_of: chooses the model by the file's content. written: what the file should be, and the versions that it may
    state; without one it is of version 1. Raises stop with line and column.
    """
    try:
        content, root = read_nodes(path, f"a YAML {written.kind}", LIMIT_BYTES)
        if not isinstance(root, yaml.MappingNode):
            raise stop(path, f"expected a YAML {written.kind} of lines such as `name: value`", line=1, column=1)
        if stated := _child(root, VERSION):
            check_version(stated[1], str(path), written)
        values = plain_values(root, path)
        values.pop(VERSION, None)
    except YamlFaultError as fault:
        raise stop(path, fault.problem, line=fault.line, column=fault.column) from fault
    try:
        return model_of(values).model_validate(values), content.decode("utf-8-sig")
    except ValidationError as error:
        raise _located(path, root, error, stop) from error


def place_of(text: str, where: tuple[int | str, ...]) -> tuple[int, int]:
    """Line and column, from 1, of a setting in a file that was read; those of its parent where it is not there."""
    root = compose(text, "")
    if root is None:
        return 1, 1
    mark = _mark(root, where, key=False)
    return mark.line + 1, mark.column + 1


def _located(path: Path, root: yaml.Node, error: ValidationError, stop: type[TrainingError]) -> TrainingError:
    fault = error.errors()[0]
    where = _without_tags(root, fault["loc"])
    unknown = fault["type"] == "extra_forbidden"
    mark = _mark(root, where, key=unknown)
    name = ".".join(str(part) for part in where)
    if unknown:
        problem = f'unknown key "{name}"'
    else:
        problem = f"{name}: {expected_of(fault)}"
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

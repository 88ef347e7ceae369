"""Reader of `fleet.yaml`: the sensors of a fleet, the site and the group of each; faults with their line and column."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from configs.formats import Format
from configs.yaml_nodes import (
    VERSION,
    YamlFaultError,
    check_version,
    entries,
    fault_at,
    kind_of,
    nodes_of,
    read_regular,
)
from sensor.fleet.hosts import Sites
from sensor.settings.config import NAME_LETTERS
from sensor.settings.yaml_errors import config_errors

LIMIT_BYTES: Final = 1 << 20
MOST_SENSORS: Final = 10_000
EXPECTED: Final = "the sensors of a fleet"
FORMAT: Final = Format("fleet", instead="write its list anew")
_FIELDS: Final = ("name", "site", "group")


@dataclass(frozen=True, slots=True)
class FleetSensor:
    """A sensor of the list."""

    name: str  # that its records bear (observer.name)
    site: str  # in which private addresses are one and the same; by default its name
    group: str = ""  # such as canary, "" for none


@dataclass(frozen=True, slots=True)
class Fleet:
    """The list, in its order."""

    sensors: tuple[FleetSensor, ...] = ()

    @property
    def sites(self) -> Sites:
        """Which sensors see the same private addresses."""
        return Sites({sensor.name: sensor.site for sensor in self.sensors})

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of all groups."""
        return tuple(dict.fromkeys(sensor.group for sensor in self.sensors if sensor.group))

    def of_group(self, group: str) -> "Fleet":
        """Those of one group alone."""
        return Fleet(tuple(sensor for sensor in self.sensors if sensor.group == group))


NO_FLEET: Final = Fleet()


@config_errors()
def read_fleet(path: Path) -> Fleet:
    """The list of a file. Raises ConfigError, one line with its place."""
    root = nodes_of(read_regular(path, EXPECTED, LIMIT_BYTES), path, EXPECTED)
    found: tuple[FleetSensor, ...] | None = None
    for key, value in entries(root, str(path), "the file", "sensors"):
        if key.value == VERSION:
            check_version(value, str(path), FORMAT)
        elif key.value == "sensors":
            found = tuple(_sensors(value, str(path)))
        else:
            raise fault_at(key, path, f'unknown name "{key.value:.64}", expected sensors')
    if not found:
        raise YamlFaultError(path, "found no sensors, expected a list of them")
    return Fleet(found)


def _sensors(node: yaml.Node, path: str) -> Iterator[FleetSensor]:
    if not isinstance(node, yaml.SequenceNode):
        raise fault_at(node, path, f"sensors is a {kind_of(node)}, expected a list, each entry behind a dash")
    if len(node.value) > MOST_SENSORS:
        raise fault_at(node, path, f"found {len(node.value):,} sensors, expected at most {MOST_SENSORS:,}")
    lines: dict[str, int] = {}
    for item in node.value:
        sensor = _sensor(item, path)
        if sensor.name in lines:
            raise fault_at(item, path, f'a second sensor "{sensor.name}", the first is in line {lines[sensor.name]}')
        lines[sensor.name] = item.start_mark.line + 1
        yield sensor


def _sensor(node: yaml.Node, path: str) -> FleetSensor:
    """An entry: a name alone, or name, site and group."""
    if isinstance(node, yaml.ScalarNode):
        name = _word(node, path, "name")
        return FleetSensor(name, name)
    values: dict[str, str] = {}
    for key, value in entries(node, path, "a sensor", "name, site and group"):
        if key.value not in _FIELDS:
            raise fault_at(key, path, f'unknown name "{key.value:.64}", expected one of {", ".join(_FIELDS)}')
        values[key.value] = _word(value, path, key.value)
    if "name" not in values:
        raise fault_at(node, path, "name is missing")
    return FleetSensor(values["name"], values.get("site", values["name"]), values.get("group", ""))


def _word(node: yaml.Node, path: str, what: str) -> str:
    text = node.value if isinstance(node, yaml.ScalarNode) else ""
    if not 0 < len(text) <= NAME_LETTERS or not text.isprintable() or text != text.strip():
        raise fault_at(node, path, f"{what}: expected 1 to {NAME_LETTERS} printable letters")
    return text

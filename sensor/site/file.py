"""Reader of `site.yaml`: the notes of a site, or all that is wrong with the file, each with its line and column."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError

from configs.faults import expected_of
from configs.formats import Format
from configs.yaml_nodes import (
    VERSION,
    YamlFaultError,
    check_version,
    compose,
    is_null,
    key_of,
    nodes_of,
    place_of,
    read_regular,
)
from sensor.errors import ConfigError
from sensor.settings.config import error_of
from sensor.settings.yaml_errors import config_errors
from sensor.site.declared import AssetEntry, MarkEntry, RuleEntry, SiteEntries
from sensor.site.networks import DEFAULT_HOME, Network
from sensor.site.notes import Asset, Mark, Party, Rule, SiteNotes

LIMIT_BYTES: Final = 1 << 18  # a thousand rules; a hostile file of this size takes some seconds
EXPECTED: Final = "notes of a site"
FORMAT: Final = Format("site", instead="write its notes anew")
_PLACE: Final = re.compile(r":(\d+):(\d+): ")
_At = tuple[str | int, ...]  # the way to a value: rules, 3, source


@config_errors()
def read_notes(path: Path) -> SiteNotes:
    """The notes of a file. Raises ConfigError: one fault with file, line and column, all others as its detail."""
    content = read_regular(path, EXPECTED, LIMIT_BYTES)
    return _notes(nodes_of(content, path, EXPECTED), str(path))


@config_errors()
def notes_of_text(text: str, path: str) -> SiteNotes:
    """The notes of a text. path: in whose name errors speak. Raises ConfigError as read_notes."""
    return _notes(compose(text, path), path)


@config_errors()
def values_of_text(text: str, path: str) -> dict[str, Any]:
    """What a text says, as text, lists and mappings by name, whatever it means. Raises ConfigError."""
    return _values(compose(text, path), _Tree(path, {}, {}, []))


def _values(root: yaml.Node | None, tree: "_Tree") -> dict[str, Any]:
    values = {} if root is None or is_null(root) else tree.value(root, ())
    if not isinstance(values, dict):
        found = "list" if isinstance(values, list) else "plain value"
        raise ConfigError(f"{tree.places[()]}: the file is a {found}, expected home, assets, rules or marks")
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            if isinstance(key, yaml.ScalarNode) and key.value == VERSION:
                check_version(value, tree.path, FORMAT)
    return {name: value for name, value in values.items() if name != VERSION}


def _notes(root: yaml.Node | None, path: str) -> SiteNotes:
    tree = _Tree(path, {}, {}, [])
    values, notes = _values(root, tree), SiteNotes()
    try:
        notes = _resolved(SiteEntries.model_validate(values), tree)
    except ValidationError as error:
        tree.faults += _faults(error, tree)
    if tree.faults:
        raise error_of(sorted(tree.faults, key=_line_and_column))
    return notes


def _line_and_column(fault: str) -> tuple[int, int]:
    """Of a fault that begins with them; a path may hold colons too."""
    found = _PLACE.search(fault)
    return (int(found[1]), int(found[2])) if found else (0, 0)


_EXPECTED: Final = {
    "model_type": "expected names with their values, each as `name: value`",
    "list_type": "expected a list, each entry behind a dash",
}


@dataclass(slots=True)
class _Tree:
    """A file as plain values: text, nothing, lists and mappings, with the place of each."""

    path: str
    places: dict[_At, str]  # of a value
    key_places: dict[_At, str]  # of the name of a value
    faults: list[str]  # of the structure

    def value(self, node: yaml.Node, at: _At) -> Any:
        """What a node says."""
        self.places[at] = place_of(node, self.path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*at, place)) for place, item in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            return None if is_null(node) else str(node.value)
        values: dict[str, Any] = {}
        seen: set[str] = set()
        for key, value in node.value:
            try:
                name = key_of(key, seen, self.path, ".".join(map(str, at)) or "the file").value
            except YamlFaultError as error:
                self.faults.append(str(error))
                continue
            self.key_places[(*at, name)] = place_of(key, self.path)
            values[name] = self.value(value, (*at, name))
        return values

    def line(self, at: _At) -> int:
        """Line of a value."""
        return int(self.places[at].rsplit(":", 2)[1])

    def known(self, at: _At) -> _At:
        """The longest way to something that stands in the file."""
        while at not in self.places:
            at = at[:-1]
        return at


def _faults(error: ValidationError, tree: _Tree) -> Iterable[str]:
    """A line for each fault, in the order of the file's fields."""
    for fault in error.errors(include_url=False):
        at = tuple(fault["loc"])
        name = ".".join(map(str, at))
        if fault["type"] == "extra_forbidden":
            yield f'{tree.key_places[at]}: unknown name "{at[-1]}"{_nearest(str(at[-1]), at)}'
            continue
        known = tree.known(at)
        if fault["type"] == "missing":
            yield f"{tree.places[known]}: {name} is missing"
            continue
        expected = _too_many(fault) or _EXPECTED.get(fault["type"]) or expected_of(fault)
        found = fault["input"]
        told = f" is {found!r}" if isinstance(found, str) else " is nothing" if found is None else ""
        yield f"{tree.places[known]}: {name}{told[:80]}: {expected}"


def _too_many(fault: Mapping[str, Any]) -> str:
    """What is expected instead of a list that is too long; nothing for any other fault."""
    if fault["type"] != "too_long":
        return ""
    return f"expected at most {fault['ctx']['max_length']:,} entries, found {len(fault['input']):,}"


def _nearest(name: str, at: _At) -> str:
    models: dict[str, type[BaseModel]] = {"assets": AssetEntry, "rules": RuleEntry, "marks": MarkEntry}
    model = models[str(at[0])] if len(at) > 1 else SiteEntries
    known = list(model.model_fields)
    near = difflib.get_close_matches(name, known, 1)
    return f', did you mean "{near[0]}"?' if near else f", expected one of {', '.join(known)}"


def _resolved(entries: SiteEntries, tree: _Tree) -> SiteNotes:
    """Notes with the names of assets looked up; faults are added to the tree's."""
    assets = [
        Asset(entry.name, tuple(entry.address), entry.role, entry.why or "", tree.line(("assets", place)))
        for place, entry in enumerate(entries.assets)
    ]
    by_name = _by_name(assets, tree)
    rules = [_rule(entry, place, by_name, tree) for place, entry in enumerate(entries.rules)]
    # Of one alert the last one counts: who looks again may find otherwise.
    marks = {mark.alert: Mark(mark.alert, mark.finding, mark.why) for mark in entries.marks}
    return SiteNotes(tuple(entries.home or DEFAULT_HOME), tuple(assets), tuple(rules), marks)


def _by_name(assets: Sequence[Asset], tree: _Tree) -> dict[str, Asset]:
    by_name: dict[str, Asset] = {}
    by_network: dict[Network, Asset] = {}
    for place, asset in enumerate(assets):
        if asset.name in by_name:
            at = tree.places[("assets", place, "name")]
            tree.faults.append(f'{at}: a second asset "{asset.name}", the first is in line {by_name[asset.name].line}')
        by_name.setdefault(asset.name, asset)
        for network in asset.networks:
            other = by_network.setdefault(network, asset)
            if other is not asset:
                at = tree.places[("assets", place, "address")]
                tree.faults.append(f'{at}: {_text(network)} is "{other.name}" already, in line {other.line}')
    return by_name


def _rule(entry: RuleEntry, place: int, by_name: dict[str, Asset], tree: _Tree) -> Rule:
    at: _At = ("rules", place)
    return Rule(
        why=entry.why,
        source=_party(entry.source, (*at, "source"), by_name, tree),
        destination=_party(entry.destination, (*at, "destination"), by_name, tree),
        service=entry.service,
        claim=entry.technique,
        until_ns=entry.until,
        name=entry.name or "",
        line=tree.line(at),
    )


def _party(parties: Sequence[Network | str] | None, at: _At, by_name: dict[str, Asset], tree: _Tree) -> Party | None:
    if parties is None:
        return None
    networks: list[Network] = []
    for place, party in enumerate(parties):
        if not isinstance(party, str):
            networks.append(party)
        elif party in by_name:
            networks += by_name[party].networks
        else:
            near = difflib.get_close_matches(party, by_name, 1)
            hint = f'did you mean "{near[0]}"?' if near else "expected an address, a network or the name of an asset"
            where = tree.places[tree.known((*at, place))]
            tree.faults.append(f'{where}: no asset "{party}", {hint}')
    shown = [party if isinstance(party, str) else _text(party) for party in parties]
    return Party(f"{shown[0]}{f' and {len(shown) - 1} more' if len(shown) > 1 else ''}", tuple(networks))


def _text(network: Network) -> str:
    """A network as people write it: a host without its length."""
    return str(network.network_address) if network.num_addresses == 1 else str(network)

"""The sources of a recipe for several networks as flows: captures in one table, tables of flows beside it.

Nothing of a source is opened before all of them are there: one that is missing is told in a line with its place in the
recipe.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.arrays import Strings
from training.datasets.captures.generated import TrafficGenerator, generated
from training.datasets.captures.index import CaptureIndex, LabelledCapture, read_index
from training.datasets.captures.kept import kept_metering
from training.datasets.captures.lab_runs import lab_runs
from training.datasets.captures.metered import CaptureTable, Metering, read_captures
from training.datasets.captures.splitting import NetworkSplit, network_split
from training.datasets.captures.whole import with_labels
from training.datasets.collection import read_dataset
from training.datasets.joining import as_network, joined
from training.datasets.packed import unpacked_sha256
from training.datasets.table import UNLABELLED, FlowTable
from training.datasets.texts import counted_texts
from training.errors import DatasetError, RecipeError
from training.kept_fits import own_directory
from training.label_map import LabelMap
from training.labels import BENIGN
from training.networks_recipe import GeneratorSource, IndexSource, LabSource, NetworksRecipe, Source, TableSource
from training.reporting import Report
from training.versions import versions
from training.yaml_model import place_of


@dataclass(frozen=True, slots=True)
class CaptureTools:
    """What reads and makes captures, handed in by the command line: this room knows no packets."""

    meter: Metering
    generator: TrafficGenerator
    lab: Path  # directory that runs of the lab lie below


@dataclass(frozen=True, slots=True)
class Places:
    """Where the sources of a recipe are found, and what reads them."""

    recipe: Path  # for errors
    text: str  # of the recipe
    data: Path  # directory that indices and tables lie below
    work: Path  # directory for what is made and metered, which the caller keeps until the run is over
    tools: CaptureTools

    def fault(self, number: int, key: str, problem: str) -> DatasetError:
        """A fault of a source with its place in the recipe."""
        line, column = place_of(self.text, ("captures", number, key))
        return DatasetError(self.recipe, problem, line=line, column=column)


@dataclass(frozen=True, slots=True, eq=False)
class NetworkSources:
    """All flows of a recipe."""

    captures: CaptureTable  # flows of whole captures labelled as the recipe's rule says
    tables: tuple[tuple[str, FlowTable], ...]  # name of the network, and its flows with a context that nobody knows
    described: tuple[dict[str, Any], ...]  # each source, for a manifest
    sha256: str  # of all that was read

    def key(self, labels: LabelMap | None) -> str:
        """What tells these flows, with the labels of tables read by this map, from others."""
        return repr((self.sha256, None if labels is None else labels.record()))

    def split(self, *, holds_back: bool = True) -> NetworkSplit:
        """All of it in two parts. holds_back: as of network_split."""
        own = self.captures
        everything = np.ones(len(own), dtype=np.bool_)
        split = network_split(own.flows, own.network, everything, holds_back=holds_back)
        return self.with_tables(split, holds_back=holds_back)

    def with_tables(self, split: NetworkSplit, without: Sequence[str] = (), *, holds_back: bool = True) -> NetworkSplit:
        """A split of captures and beside it the flows of the tables.

        without: families that are left out. holds_back: as of network_split.
        """
        parts = [split]
        for name, flows in self.tables:
            usable = ~np.isin(flows.family, np.array(without, dtype=np.str_))
            parts.append(network_split(flows, np.full(len(flows), name), usable, holds_back=holds_back))
        return NetworkSplit(
            train=joined([part.train for part in parts]),
            held_back=joined([part.held_back for part in parts]),
            train_network=np.concatenate([part.train_network for part in parts]),
            held_back_network=np.concatenate([part.held_back_network for part in parts]),
        )


def read_sources(
    recipe: NetworksRecipe, places: Places, report: Report, labels: LabelMap | None = None
) -> NetworkSources:
    """Read and meter all sources of a recipe. labels: how labels of its tables are read.

    Raises DatasetError for a source that is missing or not what the recipe says, RecipeError for scenarios that the
    generator does not have.
    """
    _require_all(recipe, places)
    own_directory(places.work)
    captures: list[LabelledCapture] = []
    of_source: list[tuple[int, str]] = []  # how many captures each source has, and its digest
    tables: list[tuple[str, FlowTable]] = []
    for number, source in enumerate(recipe.captures):
        report(f"{source.name}: reading what it has")
        if isinstance(source, TableSource):
            flows = read_dataset(places.data / source.path, report, labels)
            unfit = sorted(set(recipe.columns) & set(flows.missing))
            if unfit:
                raise places.fault(number, "path", f"source {source.name} lacks columns: {', '.join(unfit):.200}")
            tables.append((source.name, as_network(flows, number, sequences=source.sequences)))
            count, digest = 0, flows.sha256
        else:
            own = _without_left_out(number, source, _captures_of(source, places), places)
            count, digest = len(own), _digest(own)
            captures += [replace(capture, name=f"{source.name}/{capture.name}") for capture in own]
        if source.sha256 not in (None, digest):
            problem = f"source {source.name} is {digest}, another than was meant; expected {source.sha256}"
            raise places.fault(number, "sha256", problem)
        of_source.append((count, digest))
    sha256 = hashlib.sha256("".join(digest for _, digest in of_source).encode()).hexdigest()
    index = CaptureIndex(places.recipe, tuple(captures), sha256)
    report(f"metering {len(captures):,} captures of {len(index.networks):,} networks")
    digests = {capture.path: capture.sha256 for capture in captures}
    meter = kept_metering(places.work / "metered", places.tools.meter, digests, repr(versions()))
    table = with_labels(read_captures(index, meter, report), recipe.whole)
    return NetworkSources(table, tuple(tables), tuple(_described(recipe, of_source, table, dict(tables))), sha256)


def _require_all(recipe: NetworksRecipe, places: Places) -> None:
    for number, source in enumerate(recipe.captures):
        if isinstance(source, GeneratorSource):
            unknown = [name for name in source.scenarios if name not in places.tools.generator.scenarios]
            if unknown:
                line, column = place_of(places.text, ("captures", number, "scenarios"))
                problem = f"the generator has no scenario {unknown[0]!r:.80}; python -m sensor.synth --list names all"
                raise RecipeError(places.recipe, problem, line=line, column=column)
            continue
        below, option = (places.tools.lab, "--lab") if isinstance(source, LabSource) else (places.data, "--data")
        if not os.path.exists(below / source.path):
            problem = f"source {source.name} is not at {below / source.path}; {option} says what it lies below"
            raise places.fault(number, "path", problem)


def _captures_of(source: Source, places: Places) -> Sequence[LabelledCapture]:
    if isinstance(source, IndexSource):
        return read_index(places.data / source.path).captures
    if isinstance(source, LabSource):
        return lab_runs(places.tools.lab / source.path, source.name)
    assert isinstance(source, GeneratorSource)  # noqa: S101  # tables are no captures
    return generated(
        places.tools.generator,
        source.network or source.name,
        source.scenarios,
        source.seeds,
        source.minutes,
        places.work / "generated" / source.name,
    )


def _without_left_out(
    number: int, source: Source, captures: Sequence[LabelledCapture], places: Places
) -> Sequence[LabelledCapture]:
    """The captures of a source but for those of networks that the recipe keeps from the fit."""
    if not isinstance(source, IndexSource | LabSource) or not source.leave_out:
        return captures
    networks = {capture.network for capture in captures}
    unknown = [name for name in source.leave_out if name not in networks]
    if unknown or networks <= set(source.leave_out):
        found = f"no network {unknown[0]!r:.80}" if unknown else "no network beside those left out"
        problem = f"source {source.name} has {found}; it has {', '.join(sorted(networks)):.400}"
        raise places.fault(number, "leave_out", problem)
    return [capture for capture in captures if capture.network not in source.leave_out]


def _digest(captures: Sequence[LabelledCapture]) -> str:
    """Of all captures of a source, of their truths, and of what else is said of them."""
    told = [
        (
            capture.sha256,
            capture.kind,
            capture.network,
            sorted(capture.expect),
            capture.family,
            "" if capture.truth is None else unpacked_sha256(capture.truth),
        )
        for capture in captures
    ]
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _described(
    recipe: NetworksRecipe, of_source: Sequence[tuple[int, str]], table: CaptureTable, tables: dict[str, FlowTable]
) -> Iterator[dict[str, Any]]:
    first = 0
    for source, (captures, sha256) in zip(recipe.captures, of_source, strict=True):
        own = (table.capture >= first) & (table.capture < first + captures)
        family = tables[source.name].family if isinstance(source, TableSource) else table.flows.family[own]
        names: Strings = np.unique([capture.network for capture in table.index.captures[first : first + captures]])
        first += captures
        yield {
            "name": source.name,
            "kind": source.kind,
            "citation": source.citation,
            "sha256": sha256,
            "captures": captures,
            "networks": names.tolist() or [source.name],
            "flows": len(family),
            **counts(family),
        }


def counts(family: Strings) -> dict[str, Any]:
    """How many flows are normal, of an attack and of neither, and of each family."""
    by_family = Counter(dict(zip(*(found.tolist() for found in counted_texts(family)), strict=True)))
    unlabelled, benign = by_family.pop(UNLABELLED, 0), by_family.pop(BENIGN, 0)
    return {
        "normal": benign,
        "attack": by_family.total(),
        "without_label": unlabelled,
        "families": dict(sorted(by_family.items())),
    }

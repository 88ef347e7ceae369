"""The protocol networks: a bundle as it is, or a fit for each network and family left out, by captures of an index."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.columns import feature_contract
from flows.context.columns import context_contract
from models.baselines import load_baselines
from models.bundle import load_bundle
from models.fusion import Hybrid
from models.signature import PublicKey
from training.datasets.captures.index import read_index
from training.datasets.captures.metered import CaptureTable, read_captures
from training.datasets.names import file_name
from training.evaluation.networks.figures import attack_figures, network_figures
from training.evaluation.networks.folds import PLAIN, Fit, Folding, by_families, by_networks
from training.evaluation.networks.judged import judged_captures
from training.evaluation.networks.sensor import Sensor
from training.evaluation.outcome import Model
from training.reporting import Report

PROTOCOL = "networks"
WHOLE = (
    "a capture labelled as a whole is one episode, found by any alert in it; its flows are not judged one by one, as "
    "ordinary traffic is among them"
)


@dataclass(frozen=True, slots=True)
class NetworksQuestion:
    """What is to be evaluated by captures of several networks."""

    bundle: Path
    index: Path  # its file, or the directory that holds index.csv
    seed: int  # of the intervals
    beside: Path | None = None  # another bundle to judge by the same captures
    keys: tuple[PublicKey, ...] = ()  # one of which must have signed each bundle, () for bundles of anybody


def evaluate_networks(question: NetworksQuestion, sensor: Sensor, report: Report) -> dict[str, Any]:
    """Judge a bundle as it is by every capture of an index; the figures as JSON. Raises BundleError, DatasetError."""
    models = [_model(path, question.keys) for path in (question.bundle, question.beside) if path is not None]
    table = metered(question.index, sensor, report)
    told = [_figures_of(model, table, sensor, question.seed, report) for model in models]
    beside = {"bundle": _bundle(models[1][0]), "networks": told[1]} if len(models) > 1 else None
    return {**_head(table, question.seed), "bundle": _bundle(models[0][0]), "networks": told[0], "beside": beside}


def evaluate_folds(
    table: CaptureTable,
    fit: Fit,
    sensor: Sensor,
    seed: int,
    report: Report,
    folding: Folding = PLAIN,
) -> dict[str, Any]:
    """Judge a way of fitting: each network by the fit without it, and each family by the fit without it.

    The figures as JSON. Raises DatasetError where a fold leaves nothing to fit on.
    """
    networks = network_figures(by_networks(table, fit, sensor, report, folding), seed)
    judged = by_families(table, fit, sensor, report, folding) if folding.families else {}
    of_family = {family: attack_figures(own, seed) for family, own in judged.items()}
    return {**_head(table, seed), "bundle": None, "networks": networks, "families": of_family, "beside": None}


def metered(index: Path, sensor: Sensor, report: Report) -> CaptureTable:
    """The captures of an index through the sensor's meter. Raises DatasetError."""
    report(f"reading {index} and the digests of its captures")
    read = read_index(index)
    report(f"metering {len(read.captures):,} captures of {len(read.networks):,} networks")
    return read_captures(read, sensor.metered, report)


def _model(bundle: Path, keys: Sequence[PublicKey]) -> Model:
    hybrid = load_bundle(bundle, feature_contract(), context_contract(), keys=keys)
    return hybrid, load_baselines(bundle, hybrid, keys=keys)


def _figures_of(model: Model, table: CaptureTable, sensor: Sensor, seed: int, report: Report) -> dict[str, Any]:
    everything = range(len(table.index.captures))
    return network_figures(judged_captures(model, table, everything, sensor, report), seed)


def _bundle(hybrid: Hybrid) -> dict[str, Any]:
    warnings = hybrid.about.get("warnings", [])
    return {
        "model_id": hybrid.model_id,
        "sha256": hybrid.sha256,
        "default_rate": hybrid.default_rate,
        "warnings": [str(warning) for warning in warnings] if isinstance(warnings, list) else [],
    }


def _head(table: CaptureTable, seed: int) -> dict[str, Any]:
    captures = table.index.captures
    return {
        "protocol": PROTOCOL,
        "inflated": False,
        "n": len(table),
        "seed": seed,
        "dataset": {
            "file": file_name(table.index.path),
            "sha256": table.index.sha256,
            "captures": len(captures),
            "networks": list(table.index.networks),
            "repairs": dict(table.flows.repairs),
        },
        "notes": _notes([capture.kind for capture in captures], table),
        "families": {},
    }


def _notes(kinds: Sequence[str], table: CaptureTable) -> list[str]:
    notes = [WHOLE] if "attack" in kinds else []
    notes += [f"{count:,} {reason}" for reason, count in table.flows.repairs.items() if count]
    if table.problems:
        notes.append(
            f"{len(table.problems):,} captures could not be read to their end and were judged by what was read"
        )
    return notes

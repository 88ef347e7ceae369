"""Baselines: the plain models that the hybrid is compared with, kept beside a bundle and judged flow by flow.

They lie in a bundle's directory as baselines.json and baselines.safetensors, which the sensor never opens, and look at
what the bundle's detectors may look at. Loading them is as wary as loading the bundle: whatever the files hold, it
gives models that fit together or a BundleError.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from configs.formats import Format
from models.calibration import Calibration
from models.codec import SCALING_FORMS, described, described_arrays, name_of, read_scaling, restored, stored
from models.detector import ANY_ATTACK, Vector
from models.fusion import Hybrid
from models.manifest import (
    Arrays,
    BundleError,
    Files,
    check_all_named,
    checked_sum,
    exactly,
    objects,
    one_line,
    own_arrays,
    read_arrays,
    refuse,
    value_of,
    write_files,
)
from models.rules import PortTable
from models.scaling import Matrix, Scaling
from models.signature import MAX_SIGNATURE, SUFFIX, PublicKey, check_signature

MANIFEST, WEIGHTS = "baselines.json", "baselines.safetensors"
SIGNATURE = MANIFEST + SUFFIX
FILES = Files(
    "these baselines",
    Format("flowvigil-baselines", version=2, instead="fit them again with flowvigil train"),
    MANIFEST,
    WEIGHTS,
    f"both {MANIFEST} and {WEIGHTS} or neither",
    most_manifest=1 << 20,
    most_weights=64 << 20,
)
BLOCK = 65536  # rows scaled at a time


@runtime_checkable
class RowScorer(Protocol):
    """A detector that scores a row by itself."""

    scaling: Scaling

    def score_rows(self, x: Matrix) -> Vector:
        """Scores of rows that are already scaled, (n,) float64, higher is more anomalous. x: (n, d) float32."""


PlainModel = RowScorer | PortTable


@dataclass(frozen=True, eq=False)
class Baseline:
    """A plain model and what its scores mean on normal traffic."""

    name: str
    detector: PlainModel
    calibration: Calibration


@dataclass(frozen=True, eq=False)
class Baselines:
    """All plain models of a bundle. Raises ValueError where they do not fit together."""

    scaling: Scaling  # of what the bundle's detectors may look at
    members: tuple[Baseline, ...]  # of different names, all over this scaling

    def __post_init__(self) -> None:
        names = [member.name for member in self.members]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"baselines are {names}, expected at least one and different names")
        for member in self.members:
            if not isinstance(member.detector, PortTable) and member.detector.scaling is not self.scaling:
                raise ValueError(f"{member.name} has a scaling of its own")

    def scores(self, values: NDArray[np.float64], dst_port: NDArray[np.int64]) -> dict[str, Vector]:
        """Scores of flows by the baselines' names, each (n,) float64 in [0, 1], higher is more anomalous.

        values: (n, c) finite float64, what the bundle's detectors see of each row; may be a memory map. dst_port: (n,)
        int64, -1 where it is not known. Raises ValueError where there are fewer columns than the baselines use.
        """
        out = {member.name: np.empty(len(values)) for member in self.members}
        for start in range(0, len(values), BLOCK):
            rows = slice(start, start + BLOCK)
            x = self.scaling.transform(values[rows])
            for member in self.members:
                out[member.name][rows] = row_scores(member.detector, x, dst_port[rows])
        return out

    def p_values(self, scores: Mapping[str, Vector]) -> dict[str, Vector]:
        """Chance that normal traffic scores as high, (n,) float64 in (0, 1]. scores: as `scores` gives them."""
        return {member.name: member.calibration.p_value(scores[member.name]) for member in self.members}


def row_scores(detector: PlainModel, x: Matrix, dst_port: NDArray[np.int64]) -> Vector:
    """Scores of rows by what this detector looks at, (n,) float64. x: (n, d) float32 scaled. dst_port: (n,) int64."""
    return detector.score_ports(dst_port) if isinstance(detector, PortTable) else detector.score_rows(x)


# ---------------------------------------------------------------- saving


def save_baselines(directory: str | Path, baselines: Baselines, hybrid: Hybrid) -> None:
    """Write the baselines of a hybrid into its bundle's directory: the same content gives the same bytes.

    Raises ValueError for what loading would refuse, OSError where the directory cannot be written.
    """
    arrays: Arrays = {}
    scaling = baselines.scaling
    own = {role: getattr(scaling, role) for role in SCALING_FORMS}
    sections = {
        "scaling": {"columns": list(scaling.columns), "arrays": described_arrays("scaling", own, arrays)},
        "baselines": [_described(member, arrays) for member in baselines.members],
    }
    identity = {"feature_contract": hybrid.feature_contract}
    FILES.write(
        Path(directory), identity, sections, arrays, lambda manifest, weights: _baselines(manifest, weights, hybrid)
    )


def _described(member: Baseline, arrays: Arrays) -> dict[str, Any]:
    """A baseline's entry; arrays gains its weights."""
    kind, detector = stored(member.detector)
    return {"name": member.name, "kind": kind, **described(member.name, detector, member.calibration, arrays)}


# ---------------------------------------------------------------- loading


def load_baselines(directory: str | Path, hybrid: Hybrid, *, keys: Sequence[PublicKey] = ()) -> Baselines | None:
    """Baselines of a bundle, None where it has none.

    hybrid: the bundle's. keys: one of which must have signed their manifest; none: signatures are not looked at.
    Raises BundleError, whose text is one line, for whatever cannot be used.
    """
    if not _has_baselines(directory):
        return None
    return _loaded(directory, hybrid, keys, signed=bool(keys))[0]


def copy_baselines(source: str | Path, target: str | Path, hybrid: Hybrid, *, keys: Sequence[PublicKey] = ()) -> None:
    """Write the baselines of a bundle into another directory as they are, with their signature, where there are any.

    hybrid, keys, BundleError: as of load_baselines, by which the other directory could use them. Raises OSError where
    that cannot be written.
    """
    if _has_baselines(source):
        signed = os.path.lexists(Path(source) / SIGNATURE)
        _, manifest, weights, signature = _loaded(source, hybrid, keys, signed=bool(keys) or signed)
        signatures = {SIGNATURE: signature} if signed else {}
        write_files(Path(target), {WEIGHTS: weights, **signatures, MANIFEST: manifest})


def _has_baselines(directory: str | Path) -> bool:
    return any(os.path.lexists(Path(directory) / name) for name in (MANIFEST, WEIGHTS))


def _loaded(
    directory: str | Path, hybrid: Hybrid, keys: Sequence[PublicKey], *, signed: bool
) -> tuple[Baselines, bytes, bytes, bytes]:
    """Baselines, their manifest, weights and signature as they are stored. signed: whether a signature is read."""
    try:
        manifest, weights, signature = FILES.read_bytes(Path(directory), SIGNATURE if signed else "", MAX_SIGNATURE)
        if keys:
            check_signature(manifest, signature, keys, MANIFEST)
        return _baselines(FILES.parsed(manifest), weights, hybrid), manifest, weights, signature
    except BundleError as error:
        raise one_line(directory, error) from None


def _baselines(manifest: dict[str, Any], weights: bytes, hybrid: Hybrid) -> Baselines:
    former = FILES.check_format(manifest)
    exactly(manifest, "manifest", "format feature_contract weights scaling baselines")
    fitted = value_of(manifest, "feature_contract", str, "manifest")
    expected = hybrid.contract.former if former else hybrid.feature_contract
    if fitted != expected:
        refuse(f"{MANIFEST} was fitted on feature contract {fitted!r:.80}, its bundle's is {expected!r}")
    checked_sum(manifest, weights, WEIGHTS)
    arrays = read_arrays(weights, WEIGHTS)
    section = value_of(manifest, "scaling", dict, "manifest")
    exactly(section, "scaling", "columns arrays" + " positions" * former)
    entries = objects(manifest, "baselines", "name kind settings calibration arrays")
    inputs = hybrid.inputs
    scaling = _scaling(section, arrays, inputs)
    members = tuple(_baseline(entry, arrays, scaling, inputs) for entry in entries)
    check_all_named(arrays, (section, *entries), WEIGHTS)
    try:
        return Baselines(scaling, members)
    except ValueError as error:
        refuse(str(error))


def _scaling(section: dict[str, Any], arrays: Arrays, inputs: Mapping[str, int]) -> Scaling:
    own = own_arrays({**section, "name": "scaling"}, SCALING_FORMS, arrays, WEIGHTS)
    try:
        return read_scaling(value_of(section, "columns", list, "scaling"), inputs, own, "scaling")
    except ValueError as error:
        refuse(str(error))


def _baseline(entry: dict[str, Any], arrays: Arrays, scaling: Scaling, inputs: Mapping[str, int]) -> Baseline:
    name = name_of(entry, "baseline")
    detector, calibration = restored(entry, arrays, WEIGHTS, ANY_ATTACK, scaling, inputs)
    if not isinstance(detector, RowScorer | PortTable):
        refuse(f"{name} is of kind {entry['kind']!r}, which does not score a row by itself")
    return Baseline(name, detector, calibration)

"""Baselines: the plain models that the hybrid is compared with, kept beside a bundle and judged flow by flow.

They lie in a bundle's directory as baselines.json and baselines.safetensors, which the sensor never opens. Loading them
is as wary as loading the bundle: whatever the files hold, it gives models that fit together or a BundleError.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from models.boosting import BoostedTrees
from models.bundle import FOREST_ARRAYS, FORMS, NAME, TAIL
from models.calibration import Calibration
from models.detector import Matrix, Vector
from models.forest import Forest, RandomForest
from models.fusion import ANY_ATTACK
from models.logistic import LogisticRegression
from models.manifest import (
    Arrays,
    BundleError,
    Form,
    check_identity,
    checked_sum,
    exactly,
    form,
    objects,
    one_line,
    own_arrays,
    parsed,
    read_arrays,
    read_file,
    readable,
    refuse,
    typed_section,
    value_of,
    write_files,
)
from models.rules import ColumnThreshold, PortTable
from models.scaling import Scaling

FORMAT = "flowvigil-baselines/1"
MANIFEST, WEIGHTS = "baselines.json", "baselines.safetensors"
MAX_MANIFEST, MAX_WEIGHTS = 1 << 20, 64 << 20  # bytes
MAX_POSITION = 4096  # columns of any feature contract
BLOCK = 65536  # rows scaled at a time

Judge = LogisticRegression | RandomForest | BoostedTrees | ColumnThreshold | PortTable
KINDS: dict[str, type[Judge]] = {
    "logistic_regression": LogisticRegression,
    "random_forest": RandomForest,
    "boosted_trees": BoostedTrees,
    "column_threshold": ColumnThreshold,
    "port_table": PortTable,
}
SETTINGS: dict[str, dict[str, type]] = {
    "logistic_regression": {"bias": float},
    "random_forest": {"trees": int},
    "boosted_trees": {"trees": int, "baseline": float},
    "column_threshold": {"column": str, "rises": bool, "cut": float},
    "port_table": {"prior": float},
}
SCALING_FORMS: dict[str, Form] = {role: FORMS[role] for role in ("center", "scale")}
CALIBRATION_FORMS: dict[str, Form] = {role: FORMS[role] for role in ("scores", "survival")}
FOREST_FORMS: dict[str, Form] = {role: FORMS[role] for role in FOREST_ARRAYS}
OWN_FORMS: dict[str, dict[str, Form]] = {
    "logistic_regression": {"weights": (np.float64, 1)},
    "random_forest": FOREST_FORMS,
    "boosted_trees": FOREST_FORMS,
    "column_threshold": {},
    "port_table": {"ports": (np.int32, 1), "shares": (np.float64, 1)},
}


@dataclass(frozen=True, eq=False)
class Baseline:
    """A plain model and what its scores mean on normal traffic."""

    name: str
    detector: Judge
    calibration: Calibration


@dataclass(frozen=True, eq=False)
class Baselines:
    """All plain models of a bundle. members: of different names, all over the same scaling.

    contract: hash of the feature contract that the scaling's positions are of. Raises ValueError where these do not fit
    together.
    """

    scaling: Scaling
    members: tuple[Baseline, ...]
    contract: str

    def __post_init__(self) -> None:
        names = [member.name for member in self.members]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"baselines are {names}, expected at least one and different names")
        for member in self.members:
            if not isinstance(member.detector, PortTable) and member.detector.scaling is not self.scaling:
                raise ValueError(f"{member.name} has a scaling of its own")

    def scores(self, values: NDArray[np.float64], dst_port: NDArray[np.int64]) -> dict[str, Vector]:
        """Scores of flows by the baselines' names, each (n,) float64 in [0, 1], higher is more anomalous.

        values: (n, c) finite float64, all columns of the feature contract; may be a memory map. dst_port: (n,) int64,
        -1 where it is not known. Raises BundleError where the contract has fewer columns than the baselines use.
        """
        highest = int(self.scaling.index.max())
        if values.shape[1] <= highest:
            raise BundleError(f"{MANIFEST} uses column {highest} of the feature contract, which has {values.shape[1]}")
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


def row_scores(detector: Judge, x: Matrix, dst_port: NDArray[np.int64]) -> Vector:
    """Scores of rows by what this detector looks at, (n,) float64. x: (n, d) float32 scaled. dst_port: (n,) int64."""
    return detector.score_ports(dst_port) if isinstance(detector, PortTable) else detector.score_rows(x)


# ---------------------------------------------------------------- saving


def save_baselines(directory: str | Path, baselines: Baselines) -> None:
    """Write the baselines into a bundle's directory: the same content gives the same bytes.

    Raises ValueError for what loading would refuse, OSError where the directory cannot be written.
    """
    arrays: Arrays = {}
    scaling = baselines.scaling
    manifest: dict[str, Any] = {
        "scaling": {
            "columns": list(scaling.columns),
            "positions": scaling.index.tolist(),
            "arrays": _kept("scaling", {role: getattr(scaling, role) for role in SCALING_FORMS}, arrays),
        },
        "baselines": [_described(member, arrays) for member in baselines.members],
    }
    weights = safetensors.numpy.save(arrays)
    identity = {
        "format": FORMAT,
        "feature_contract": baselines.contract,
        "weights": {"file": WEIGHTS, "sha256": hashlib.sha256(weights).hexdigest()},
    }
    content = (readable(identity | manifest) + "\n").encode("utf-8", "surrogatepass")
    try:
        _baselines(parsed(content, MANIFEST), weights, baselines.contract)
    except BundleError as error:
        raise ValueError(f"these baselines could not be loaded again: {error}") from error
    write_files(Path(directory), {WEIGHTS: weights, MANIFEST: content})


def _described(member: Baseline, arrays: Arrays) -> dict[str, Any]:
    """A baseline's part of the manifest; arrays gains its weights."""
    detector, calibration = member.detector, member.calibration
    kind = next(kind for kind, of_kind in KINDS.items() if isinstance(detector, of_kind))
    settings: dict[str, Any] = {}
    source: Any = detector
    if isinstance(detector, RandomForest | BoostedTrees):
        source = detector.forest
        settings["trees"] = len(source.roots)
    settings |= {key: getattr(detector, key) for key in SETTINGS[kind] if key != "trees"}
    own = {role: getattr(source, role) for role in OWN_FORMS[kind]}
    own |= {role: getattr(calibration, role) for role in CALIBRATION_FORMS}
    return {
        "name": member.name,
        "kind": kind,
        "settings": settings,
        "calibration": {key: kind_of(getattr(calibration, key)) for key, kind_of in TAIL.items()},
        "arrays": _kept(member.name, own, arrays),
    }


def _kept(owner: str, own: Mapping[str, NDArray[Any]], arrays: Arrays) -> dict[str, str]:
    """Forms of the owner's arrays by their names; arrays gains them."""
    named = {f"{owner}.{role}": np.ascontiguousarray(array) for role, array in own.items()}
    arrays.update(named)
    return {name: form(array) for name, array in named.items()}


# ---------------------------------------------------------------- loading


def load_baselines(directory: str | Path, contract: str) -> Baselines | None:
    """Baselines of a bundle, None where it has none.

    contract: hash of the feature contract of the flows to be judged. Raises BundleError, whose text is one line, for
    whatever cannot be used.
    """
    if not any(os.path.lexists(Path(directory) / name) for name in (MANIFEST, WEIGHTS)):
        return None
    expected = f"both {MANIFEST} and {WEIGHTS} or neither"
    try:
        manifest = parsed(read_file(Path(directory) / MANIFEST, MAX_MANIFEST, expected), MANIFEST)
        check_identity(manifest, FORMAT, contract)
        return _baselines(manifest, read_file(Path(directory) / WEIGHTS, MAX_WEIGHTS, expected), contract)
    except BundleError as error:
        raise one_line(directory, error) from None


def _baselines(manifest: dict[str, Any], weights: bytes, contract: str) -> Baselines:
    check_identity(manifest, FORMAT, contract)
    exactly(manifest, "manifest", "format feature_contract weights scaling baselines")
    checked_sum(manifest, weights, WEIGHTS)
    arrays = read_arrays(weights, WEIGHTS)
    section = value_of(manifest, "scaling", dict, "manifest")
    entries = objects(manifest, "baselines", "name kind settings calibration arrays")
    scaling = _scaling(section, arrays)
    members = tuple(_baseline(entry, scaling, arrays) for entry in entries)
    named = {name for holder in (section, *entries) for name in holder["arrays"]}
    if set(arrays) != named:
        refuse(f"{WEIGHTS} holds {sorted(set(arrays) - named)}, which nothing names")
    try:
        return Baselines(scaling, members, contract)
    except ValueError as error:
        refuse(str(error))


def _scaling(section: dict[str, Any], arrays: Arrays) -> Scaling:
    exactly(section, "scaling", "columns positions arrays")
    columns = value_of(section, "columns", list, "scaling")
    positions = value_of(section, "positions", list, "scaling")
    for column in columns:
        if not (isinstance(column, str) and column.isprintable()):
            refuse(f"scaling uses column {column!r:.80}, expected a name")
    for position in positions:
        if type(position) is not int or not 0 <= position < MAX_POSITION:
            refuse(f"scaling has position {position!r:.80}, expected 0..{MAX_POSITION - 1}")
    own = own_arrays({**section, "name": "scaling"}, SCALING_FORMS, arrays, WEIGHTS)
    try:
        return Scaling(tuple(columns), np.array(positions, dtype=np.int64), **own)
    except ValueError as error:
        refuse(str(error))


def _baseline(entry: dict[str, Any], scaling: Scaling, arrays: Arrays) -> Baseline:
    name = value_of(entry, "name", str, "baselines")
    if not NAME.fullmatch(name):
        refuse(f"baseline name is {name!r:.80}, expected a letter, then letters, digits, '_' and '-'")
    kind = value_of(entry, "kind", str, name)
    if kind not in KINDS:
        refuse(f"{name} is of kind {kind!r:.80}, expected one of {', '.join(KINDS)}")
    own = own_arrays(entry, OWN_FORMS[kind] | CALIBRATION_FORMS, arrays, WEIGHTS)
    tail = typed_section(entry, "calibration", TAIL, name)
    settings = typed_section(entry, "settings", SETTINGS[kind], name)
    try:
        calibration = Calibration(own.pop("scores"), own.pop("survival"), **tail)
        return Baseline(name, _detector(name, KINDS[kind], settings, own, scaling), calibration)
    except ValueError as error:
        refuse(f"{name}: {error}")


def _detector(name: str, kind: type[Judge], settings: dict[str, Any], own: Arrays, scaling: Scaling) -> Judge:
    """Raises ValueError where the parts do not fit together."""
    if kind is PortTable:
        return PortTable(own["ports"], own["shares"], **settings)
    if kind is LogisticRegression:
        return LogisticRegression(scaling, own["weights"], name=name, **settings)
    if kind is ColumnThreshold:
        return ColumnThreshold(scaling, name=name, **settings)
    if settings["trees"] != len(own["roots"]):
        refuse(f"{name} trees are not its {len(own['roots'])} roots")
    forest = Forest(**own, width=len(scaling.columns))
    if kind is BoostedTrees:
        return BoostedTrees(scaling, forest, settings["baseline"], name)
    return RandomForest(scaling, forest, ANY_ATTACK, name)

"""The codec of models: a detector and its calibration as an entry of a manifest and arrays of a weights file, and back.

Bundles and their baselines keep detectors by it. It knows no kind of detector but by its row in KINDS: what a detector
consists of, it says itself (models.stored). Reading is as wary as models.manifest: an entry gives a detector whose
parts fit together, or a BundleError.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.boosting import BoostedTrees
from models.calibration import Calibration
from models.forest import IsolationForest, RandomForest
from models.logistic import LogisticRegression
from models.lstm import Lstm
from models.manifest import Arrays, form, own_arrays, refuse, typed_section, value_of
from models.rules import ColumnThreshold, PortTable
from models.scaling import Scaling
from models.stored import Forms, SettingTypes, Stored, StoredParts

# A detector is its own module, its fit, and a row here: the kind that manifests name, and the class.
KINDS: tuple[tuple[str, type[Stored]], ...] = (
    ("lstm", Lstm),
    ("isolation_forest", IsolationForest),
    ("random_forest", RandomForest),
    ("logistic_regression", LogisticRegression),
    ("boosted_trees", BoostedTrees),
    ("column_threshold", ColumnThreshold),
    ("port_table", PortTable),
)
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
SCALING_FORMS: Forms = {"center": (np.float64, 1), "scale": (np.float64, 1)}
CALIBRATION_FORMS: Forms = {"scores": (np.float64, 1), "survival": (np.float64, 1)}
TAIL: SettingTypes = {
    "count": int,
    "tail_start": float,
    "tail_share": float,
    "shape": float,
    "sigma": float,
    "log_odds": bool,
}


# ---------------------------------------------------------------- writing


def described_arrays(name: str, own: Mapping[str, NDArray[Any]], arrays: Arrays) -> dict[str, str]:
    """Forms of the arrays of what has this name, as the section "arrays" of its entry; arrays gains them."""
    named = {f"{name}.{role}": np.ascontiguousarray(array) for role, array in own.items()}
    arrays.update(named)
    return {key: form(array) for key, array in named.items()}


def described_calibration(
    name: str, calibration: Calibration, arrays: Arrays, own: Mapping[str, NDArray[Any]] | None = None
) -> dict[str, Any]:
    """Sections "calibration" and "arrays" of an entry; arrays gains the calibration's beside the entry's own."""
    all_own = {**(own or {}), **{role: getattr(calibration, role) for role in CALIBRATION_FORMS}}
    return {
        "calibration": {key: kind_of(getattr(calibration, key)) for key, kind_of in TAIL.items()},
        "arrays": described_arrays(name, all_own, arrays),
    }


def described(
    name: str, detector: Stored, calibration: Calibration, arrays: Arrays, scaling: Scaling | None = None
) -> dict[str, Any]:
    """A detector's sections "settings", "calibration" and "arrays"; arrays gains its weights.

    scaling: where it is kept beside the detector and not for several of them.
    """
    own = detector.arrays()
    if scaling is not None:
        own |= {role: getattr(scaling, role) for role in SCALING_FORMS}
    return {"settings": detector.settings(), **described_calibration(name, calibration, arrays, own)}


def stored(detector: object) -> tuple[str, Stored]:
    """Kind of a detector, and the detector. Raises ValueError for one of no known kind."""
    for kind, of_kind in KINDS:
        if isinstance(detector, of_kind):
            return kind, detector
    raise ValueError(f"a bundle cannot hold a detector of type {type(detector).__name__}")


# ---------------------------------------------------------------- reading


def name_of(entry: dict[str, Any], what: str) -> str:
    """The checked name of an entry. what: the thing named, such as "detector"."""
    name: str = value_of(entry, "name", str, f"{what}s")
    if not NAME.fullmatch(name):
        refuse(f"{what} name is {name!r:.80}, expected a letter, then letters, digits, '_' and '-'")
    return name


def read_scaling(names: list[Any], inputs: Mapping[str, int], own: Arrays, where: str) -> Scaling:
    """Scaling of the inputs of these names; its two arrays are taken out of own.

    inputs: what the model looks at, and where it stands. Raises ValueError where the arrays do not fit.
    """
    for name in names:
        if not isinstance(name, str) or name not in inputs:
            refuse(f"{where} uses column {name!r:.80}, which the bundle does not describe")
    index = np.array([inputs[name] for name in names], dtype=np.int64)
    return Scaling(tuple(names), index, own.pop("center"), own.pop("scale"))


def read_calibration(entry: dict[str, Any], own: Arrays) -> Calibration:
    """Calibration of an entry; its two arrays are taken out of own. Raises ValueError where they do not fit."""
    tail = typed_section(entry, "calibration", TAIL, entry["name"])
    return Calibration(own.pop("scores"), own.pop("survival"), **tail)


def restored(
    entry: dict[str, Any],
    arrays: Arrays,
    weights: str,
    labels: tuple[str, ...],
    scaling: Scaling | None,
    inputs: Mapping[str, int],
) -> tuple[Stored, Calibration]:
    """Detector and calibration of an entry of a checked name.

    arrays: all of the file weights. scaling: one for several detectors; None where the entry has its own, over its
    columns. inputs: as read_scaling takes them. Raises BundleError.
    """
    name, kind = entry["name"], value_of(entry, "kind", str, entry["name"])
    of_kind = dict(KINDS).get(kind)
    if of_kind is None:
        refuse(f"{name} is of kind {kind!r:.80}, expected one of {', '.join(kind for kind, _ in KINDS)}")
    shared: Forms = SCALING_FORMS if scaling is None else {}
    own = own_arrays(entry, {**of_kind.FORMS, **shared, **CALIBRATION_FORMS}, arrays, weights)
    settings = typed_section(entry, "settings", of_kind.SETTINGS, name)
    try:
        calibration = read_calibration(entry, own)
        if scaling is None:
            scaling = read_scaling(value_of(entry, "columns", list, name), inputs, own, name)
        return of_kind.restored(StoredParts(name, own, settings, scaling, labels)), calibration
    except ValueError as error:
        refuse(f"{name}: {error}")

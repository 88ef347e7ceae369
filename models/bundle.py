"""Bundle: a hybrid model as a directory of manifest.json and weights.safetensors.

Whatever stands in the directory, loading gives a model that fits together or a BundleError of one line: nothing in it
can run, and every size, type, range and index is checked before a kernel sees it. It does not know how a model was
made: that is the free section "about".
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from models.calibration import Calibration
from models.encoding import Encoding, described, read_encoding
from models.forest import Forest, IsolationForest, RandomForest
from models.fusion import ANY_ATTACK, Hybrid, Member, NormalProfile
from models.lstm import Lstm
from models.manifest import (
    MAX_MANIFEST,
    MAX_WEIGHTS,
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
from models.scaling import Scaling

__all__ = ["BundleError", "load_bundle", "save_bundle"]

FORMAT = "flowvigil-bundle/1"
MANIFEST, WEIGHTS = "manifest.json", "weights.safetensors"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
TECHNIQUE = re.compile(r"T\d{4}(\.\d{3})?")

FOREST_ARRAYS = ("feature", "threshold", "left", "right", "value", "roots")
LSTM_ARRAYS = ("kernel", "recurrent", "bias", "head_kernel", "head_bias")
DTYPES = {
    **dict.fromkeys(("feature", "left", "right", "roots"), np.int32),
    **dict.fromkeys(("threshold", "value", "center", "scale", "scores", "survival"), np.float64),
    **dict.fromkeys(LSTM_ARRAYS, np.float32),
}
DIMENSIONS = {"value": 2, "kernel": 2, "recurrent": 2, "head_kernel": 2}
FORMS: dict[str, Form] = {role: (dtype, DIMENSIONS.get(role, 1)) for role, dtype in DTYPES.items()}
VOTE = "vote_"  # before a lane's name
VOTE_FORMS: dict[str, Form] = {role: FORMS[role] for role in ("scores", "survival")}
SHARED_ARRAYS = ("center", "scale", "scores", "survival")
ARRAYS: dict[str, tuple[str, ...]] = {
    "lstm": (*LSTM_ARRAYS, *SHARED_ARRAYS),
    "isolation_forest": (*FOREST_ARRAYS, *SHARED_ARRAYS),
    "random_forest": (*FOREST_ARRAYS, *SHARED_ARRAYS),
}
SETTINGS: dict[str, dict[str, type]] = {
    "lstm": {"units": int, "reset_ns": int, "dt_center": float, "dt_scale": float},
    "isolation_forest": {"trees": int, "psi": int},
    "random_forest": {"trees": int},
}
TAIL: dict[str, type] = {
    "count": int,
    "tail_start": float,
    "tail_share": float,
    "shape": float,
    "sigma": float,
    "log_odds": bool,
}


# ---------------------------------------------------------------- saving


def save_bundle(path: str | Path, hybrid: Hybrid, about: Mapping[str, Any]) -> None:
    """Write a bundle: the same content gives the same bytes.

    path: directory, made when absent. about: how the model was made, anything JSON can say but NaN.
    Raises ValueError for what loading would refuse, OSError where the directory cannot be written.
    """
    arrays: Arrays = {}
    detectors = []
    for lane, members in (("known", hybrid.known), ("novel", hybrid.novel)):
        for member in members:
            detectors.append(_described(lane, member, _inputs(hybrid.normal.columns, hybrid.encoding), arrays))
    votes = {
        lane: _described_vote(lane, vote, arrays)
        for lane, vote in (("known", hybrid.known_vote), ("novel", hybrid.novel_vote))
        if vote is not None
    }
    weights = safetensors.numpy.save(arrays)
    normal = hybrid.normal
    manifest = {
        "format": FORMAT,
        "model_id": hybrid.model_id,
        "feature_contract": hybrid.contract,
        "weights": {"file": WEIGHTS, "sha256": hashlib.sha256(weights).hexdigest()},
        "labels": [
            {"name": name, "technique": technique}
            for name, technique in zip(hybrid.labels, hybrid.techniques, strict=True)
        ],
        "fusion": hybrid.fusion,
        "default_rate": hybrid.default_rate,
        "thresholds": [
            {"rate": rate, "known": float(known), "novel": float(novel)}
            for rate, (known, novel) in sorted(hybrid.thresholds.items())
        ],
        "detectors": detectors,
        "votes": votes,
        **({} if hybrid.encoding is None else {"encoding": described(hybrid.encoding)}),
        "normal": [
            {
                "column": name,
                "p01": float(normal.p01[i]),
                "median": float(normal.median[i]),
                "p99": float(normal.p99[i]),
                "p999": float(normal.p999[i]),
            }
            for i, name in enumerate(normal.columns)
        ],
        "about": dict(about),
    }
    text = readable(manifest) + "\n"
    try:
        _hybrid(parsed(text.encode("utf-8", "surrogatepass"), MANIFEST), weights, hybrid.contract)
    except BundleError as error:
        raise ValueError(f"this model could not be loaded again: {error}") from error
    directory = Path(path)
    write_files(directory, {WEIGHTS: weights, MANIFEST: text.encode()})


def _described(lane: str, member: Member, columns: tuple[str, ...], arrays: Arrays) -> dict[str, Any]:
    """A detector's part of the manifest; arrays gains its weights."""
    detector, calibration = member.detector, member.calibration
    source: Any
    settings: dict[str, Any]
    match detector:
        case Lstm():
            kind, source = "lstm", detector
            settings = {"units": len(detector.recurrent), "reset_ns": int(detector.reset_ns)}
            settings |= {"dt_center": detector.dt_center, "dt_scale": detector.dt_scale}
        case IsolationForest():
            kind, source = "isolation_forest", detector.forest
            settings = {"trees": len(source.roots), "psi": int(detector.psi)}
        case RandomForest():
            kind, source = "random_forest", detector.forest
            settings = {"trees": len(source.roots)}
        case _:
            raise ValueError(f"a bundle cannot hold a detector of type {type(detector).__name__}")
    scaling = detector.scaling
    if tuple(columns[i] for i in scaling.index if i < len(columns)) != scaling.columns:
        raise ValueError(f"{detector.name}'s column names are not those at its index in the normal profile")
    own = {}
    for role in ARRAYS[kind]:
        holder = scaling if role in ("center", "scale") else calibration if role in ("scores", "survival") else source
        array = np.ascontiguousarray(getattr(holder, role))
        arrays[f"{detector.name}.{role}"] = array
        own[f"{detector.name}.{role}"] = form(array)
    return {
        "name": detector.name,
        "kind": kind,
        "lane": lane,
        "weight": float(member.weight),
        "columns": list(scaling.columns),
        "settings": settings,
        "calibration": {key: kind_of(getattr(calibration, key)) for key, kind_of in TAIL.items()},
        "arrays": own,
    }


def _inputs(columns: tuple[str, ...], encoding: Encoding | None) -> tuple[str, ...]:
    """Names of what detectors see: features, or the columns of the contract."""
    return columns if encoding is None else encoding.names


def _described_vote(lane: str, vote: Calibration, arrays: Arrays) -> dict[str, Any]:
    """What a lane's vote means, as its part of the manifest; arrays gains its knots."""
    own = {}
    for role in VOTE_FORMS:
        array = np.ascontiguousarray(getattr(vote, role))
        arrays[f"{VOTE}{lane}.{role}"] = array
        own[f"{VOTE}{lane}.{role}"] = form(array)
    return {
        "name": VOTE + lane,
        "calibration": {key: kind_of(getattr(vote, key)) for key, kind_of in TAIL.items()},
        "arrays": own,
    }


# ---------------------------------------------------------------- loading


def load_bundle(path: str | Path, *contracts: str) -> Hybrid:
    """Model of a bundle.

    path: the directory. contracts: hashes of the feature contracts that the caller can make rows of.
    Raises BundleError, whose text is one line, for whatever cannot be used.
    """
    expected = f"a directory with {MANIFEST} and {WEIGHTS}"
    try:
        manifest = parsed(read_file(Path(path) / MANIFEST, MAX_MANIFEST, expected), MANIFEST)
        contract = check_identity(manifest, FORMAT, *contracts)
        return _hybrid(manifest, read_file(Path(path) / WEIGHTS, MAX_WEIGHTS, expected), contract)
    except BundleError as error:
        raise one_line(path, error) from None


def _hybrid(manifest: dict[str, Any], weights: bytes, contract: str) -> Hybrid:
    check_identity(manifest, FORMAT, contract)
    encoded = " encoding" if "encoding" in manifest else ""  # a bundle whose detectors see rows as they are has none
    exactly(
        manifest,
        "manifest",
        "format model_id feature_contract weights labels fusion default_rate thresholds detectors votes normal about"
        + encoded,
    )
    if not MODEL_ID.fullmatch(value_of(manifest, "model_id", str, "manifest")):
        refuse(f"model_id is {manifest['model_id']!r:.80}, expected letters, digits, '.', '_' and '-'")
    fusion = value_of(manifest, "fusion", str, "manifest")
    sha256 = checked_sum(manifest, weights, WEIGHTS)
    labels, techniques = _labels(manifest)
    normal = _normal(manifest)
    arrays = read_arrays(weights, WEIGHTS)
    votes = _votes(manifest, arrays)
    encoding = read_encoding(manifest, len(normal.columns)) if encoded else None
    lanes = _members(manifest, arrays, _inputs(normal.columns, encoding), labels)
    try:
        return Hybrid(
            known=lanes["known"],
            novel=lanes["novel"],
            labels=labels,
            techniques=techniques,
            thresholds=_thresholds(manifest),
            normal=normal,
            contract=contract,
            model_id=manifest["model_id"],
            default_rate=value_of(manifest, "default_rate", float, "manifest"),
            about=value_of(manifest, "about", dict, "manifest"),
            sha256=sha256,
            fusion=fusion,
            known_vote=votes.get("known"),
            novel_vote=votes.get("novel"),
            encoding=encoding,
        )
    except ValueError as error:
        refuse(str(error))


def _labels(manifest: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    labels, techniques = [], []
    for entry in objects(manifest, "labels", "name technique"):
        name, technique = value_of(entry, "name", str, "labels"), entry["technique"]
        if not (0 < len(name) <= 64 and name.isprintable()):
            refuse(f"label {name!r:.80} is empty, longer than 64 or not printable")
        if technique is not None and not (isinstance(technique, str) and TECHNIQUE.fullmatch(technique)):
            refuse(f"technique of {name!r} is {technique!r:.80}, expected an ATT&CK id such as 'T1046' or null")
        labels.append(name)
        techniques.append(technique)
    return tuple(labels), tuple(techniques)


def _thresholds(manifest: dict[str, Any]) -> dict[float, tuple[float, float]]:
    thresholds = {}
    for entry in objects(manifest, "thresholds", "rate known novel"):
        rate, known, novel = (value_of(entry, key, float, "thresholds") for key in ("rate", "known", "novel"))
        if rate in thresholds:
            refuse(f"thresholds name the rate {rate} twice")
        thresholds[rate] = (known, novel)
    return thresholds


def _normal(manifest: dict[str, Any]) -> NormalProfile:
    entries = objects(manifest, "normal", "column p01 median p99 p999")
    columns = tuple(value_of(entry, "column", str, "normal") for entry in entries)
    if len(set(columns)) != len(columns):
        refuse("normal names a column twice")
    quantiles = (
        np.array([value_of(entry, key, float, "normal") for entry in entries])
        for key in ("p01", "median", "p99", "p999")
    )
    try:
        return NormalProfile(columns, *quantiles)
    except ValueError as error:
        refuse(str(error))


def _votes(manifest: dict[str, Any], arrays: Arrays) -> dict[str, Calibration]:
    """What the lanes' votes mean; their arrays are taken out."""
    section = value_of(manifest, "votes", dict, "manifest")
    if unknown := sorted(set(section) - {"known", "novel"}):
        refuse(f"votes names {', '.join(map(repr, unknown)):.80}, expected lanes")
    votes = {}
    for lane in section:
        entry = value_of(section, lane, dict, "votes")
        exactly(entry, f"votes {lane}", "name calibration arrays")
        if entry["name"] != VOTE + lane:
            refuse(f"votes {lane} is named {entry['name']!r:.80}, expected {VOTE + lane!r}")
        own = own_arrays(entry, VOTE_FORMS, arrays, WEIGHTS)
        tail = typed_section(entry, "calibration", TAIL, entry["name"])
        try:
            votes[lane] = Calibration(own["scores"], own["survival"], **tail)
        except ValueError as error:
            refuse(f"{entry['name']}: {error}")
        for key in entry["arrays"]:
            arrays.pop(key)
    return votes


def _members(
    manifest: dict[str, Any], arrays: Arrays, columns: tuple[str, ...], labels: tuple[str, ...]
) -> dict[str, tuple[Member, ...]]:
    lanes: dict[str, list[Member]] = {"known": [], "novel": []}
    taken: set[str] = set()
    for entry in objects(manifest, "detectors", "name kind lane weight columns settings calibration arrays"):
        name = value_of(entry, "name", str, "detectors")
        if not NAME.fullmatch(name):
            refuse(f"detector name is {name!r:.80}, expected a letter, then letters, digits, '_' and '-'")
        kind, lane = value_of(entry, "kind", str, name), value_of(entry, "lane", str, name)
        if kind not in ARRAYS:
            refuse(f"{name} is of kind {kind!r:.80}, expected one of {', '.join(ARRAYS)}")
        if lane not in lanes:
            refuse(f"{name} is in lane {lane!r:.80}, expected one of {', '.join(lanes)}")
        own = own_arrays(entry, {role: FORMS[role] for role in ARRAYS[kind]}, arrays, WEIGHTS)
        taken.update(value_of(entry, "arrays", dict, name))
        try:
            lanes[lane].append(_member(entry, own, columns, labels))
        except ValueError as error:
            refuse(f"{name}: {error}")
    if set(arrays) != taken:
        refuse(f"{WEIGHTS} holds {sorted(set(arrays) - taken)}, which no detector names")
    return {lane: tuple(members) for lane, members in lanes.items()}


def _member(entry: dict[str, Any], own: Arrays, columns: tuple[str, ...], labels: tuple[str, ...]) -> Member:
    """Raises ValueError where the parts do not fit together."""
    name, kind = entry["name"], entry["kind"]
    settings = typed_section(entry, "settings", SETTINGS[kind], name)
    tail = typed_section(entry, "calibration", TAIL, name)
    weight = value_of(entry, "weight", float, name)
    calibration = Calibration(own["scores"], own["survival"], **tail)
    scaling = _scaling(entry, own, columns)
    if kind == "lstm":
        weights: dict[str, Any] = {role: own[role] for role in LSTM_ARRAYS}
        if settings.pop("units") != len(own["recurrent"]):
            refuse(f"{name} units are not the {len(own['recurrent'])} rows of its recurrent array")
        return Member(Lstm(scaling, **weights, labels=labels, **settings, name=name), calibration, weight)
    if settings["trees"] != len(own["roots"]):
        refuse(f"{name} trees are not its {len(own['roots'])} roots")
    forest = Forest(**{role: own[role] for role in FOREST_ARRAYS}, width=len(scaling.columns))
    if kind == "isolation_forest":
        return Member(IsolationForest(scaling, forest, settings["psi"], name), calibration, weight)
    named = labels if forest.value.shape[1] == len(labels) else ANY_ATTACK
    return Member(RandomForest(scaling, forest, named, name), calibration, weight)


def _scaling(entry: dict[str, Any], own: Arrays, columns: tuple[str, ...]) -> Scaling:
    names = value_of(entry, "columns", list, entry["name"])
    position = {column: i for i, column in enumerate(columns)}
    for column in names:
        if not isinstance(column, str) or column not in position:
            refuse(f"{entry['name']} uses column {column!r:.80}, which the bundle does not describe")
    index = np.array([position[column] for column in names], dtype=np.int64)
    return Scaling(tuple(names), index, own["center"], own["scale"])

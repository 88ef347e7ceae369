"""Bundle: a hybrid model as a directory of manifest.json and weights.safetensors.

Whatever stands in the directory, loading gives a model that fits together or a BundleError of one line: nothing in it
can run, and every size, type, range and index is checked before a kernel sees it. It does not know how a model was
made: that is the free section "about". Weights: github.com/huggingface/safetensors.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from models.calibration import Calibration
from models.forest import Forest, IsolationForest, RandomForest
from models.fusion import Hybrid, Member, NormalProfile
from models.lstm import Lstm
from models.scaling import Scaling

FORMAT = "flowvigil-bundle/1"
MANIFEST, WEIGHTS = "manifest.json", "weights.safetensors"
MAX_MANIFEST, MAX_WEIGHTS = 4 << 20, 512 << 20  # bytes
LINE = 118  # what fits is kept on one line of the manifest
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
TECHNIQUE = re.compile(r"T\d{4}(\.\d{3})?")

Arrays = dict[str, NDArray[Any]]
FOREST_ARRAYS = ("feature", "threshold", "left", "right", "value", "roots")
LSTM_ARRAYS = ("kernel", "recurrent", "bias", "head_kernel", "head_bias")
DTYPES = {
    **dict.fromkeys(("feature", "left", "right", "roots"), np.int32),
    **dict.fromkeys(("threshold", "value", "center", "scale", "scores", "survival"), np.float64),
    **dict.fromkeys(LSTM_ARRAYS, np.float32),
}
DIMENSIONS = {"value": 2, "kernel": 2, "recurrent": 2, "head_kernel": 2}
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


class BundleError(Exception):
    """A bundle that cannot be used: one line of what was found and what was expected."""


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
            detectors.append(_described(lane, member, hybrid.normal.columns, arrays))
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
        "fusion": "lanes",
        "default_rate": hybrid.default_rate,
        "thresholds": [
            {"rate": rate, "known": float(known), "novel": float(novel)}
            for rate, (known, novel) in sorted(hybrid.thresholds.items())
        ],
        "detectors": detectors,
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
    text = _readable(manifest) + "\n"
    try:
        _hybrid(_parsed(text.encode("utf-8", "surrogatepass")), weights, hybrid.contract)
    except BundleError as error:
        raise ValueError(f"this model could not be loaded again: {error}") from error
    directory = Path(path)
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in ((WEIGHTS, weights), (MANIFEST, text.encode())):
        # Renamed into place: a sensor that reloads meanwhile sees the old file or the new one.
        fresh = directory / f".{name}.new"
        fresh.write_bytes(content)
        fresh.replace(directory / name)


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
        own[f"{detector.name}.{role}"] = _form(array)
    return {
        "name": detector.name,
        "kind": kind,
        "lane": lane,
        "columns": list(scaling.columns),
        "settings": settings,
        "calibration": {key: kind_of(getattr(calibration, key)) for key, kind_of in TAIL.items()},
        "arrays": own,
    }


def _form(array: NDArray[Any]) -> str:
    return f"{array.dtype} [{', '.join(map(str, array.shape))}]"


def _readable(value: Any, indent: int = 0, taken: int = 0) -> str:
    """Indented JSON that keeps on one line what fits there; taken: characters before it on its line."""
    flat = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if taken + len(flat) <= LINE or not isinstance(value, dict | list) or not value:
        return flat
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        keys = {key: f"{pad}{json.dumps(key, ensure_ascii=False)}: " for key in value}
        lines = [start + _readable(value[key], indent + 2, len(start)) for key, start in keys.items()]
        return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"
    lines = []
    for element in value:
        text = _readable(element, indent + 2, len(pad))
        if lines and not isinstance(element, dict | list) and len(lines[-1]) + len(text) + 2 <= LINE:
            lines[-1] += f", {text}"
        else:
            lines.append(pad + text)
    return "[\n" + ",\n".join(lines) + "\n" + " " * indent + "]"


# ---------------------------------------------------------------- loading


def load_bundle(path: str | Path, contract: str) -> Hybrid:
    """Model of a bundle.

    path: the directory. contract: hash of the feature contract of the flows to be judged.
    Raises BundleError, whose text is one line, for whatever cannot be used.
    """
    try:
        manifest = _parsed(_content(Path(path) / MANIFEST, MAX_MANIFEST))
        _check_identity(manifest, contract)
        return _hybrid(manifest, _content(Path(path) / WEIGHTS, MAX_WEIGHTS), contract)
    except BundleError as error:
        text = f"bundle {path}: {error}"
        # One line and only printable characters, whatever the files or the path hold.
        raise BundleError("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)) from None


def _bad(text: str) -> NoReturn:
    raise BundleError(text if len(text) <= 400 else text[:400] + "…")


def _content(file: Path, limit: int) -> bytes:
    """Bytes of a regular file; a link or a pipe is refused, so that a bundle cannot point elsewhere or block."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        _bad(f"{file.name} cannot be read ({reason}), expected a directory with {MANIFEST} and {WEIGHTS}")
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            _bad(f"{file.name} is not a regular file")
        if status.st_size > limit:
            _bad(f"{file.name} has {status.st_size} bytes, expected at most {limit}")
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read(limit)
    except OSError as error:
        _bad(f"{file.name} cannot be read ({error.strerror})")
    finally:
        os.close(descriptor)


def _parsed(content: bytes) -> dict[str, Any]:
    """The manifest as JSON, without NaN, repeated keys or text that UTF-8 cannot hold."""
    try:
        manifest = json.loads(content.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_no_repeats)
        json.dumps(manifest, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        _bad(f"{MANIFEST} is not JSON ({error})")
    if not isinstance(manifest, dict):
        _bad(f"{MANIFEST} holds {_kind(manifest)}, expected an object")
    return manifest


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("an object repeats a key")
    return keys


def _check_identity(manifest: dict[str, Any], contract: str) -> None:
    """Whether the bundle is for this program at all, before anything else is looked at."""
    found = manifest.get("format")
    if found != FORMAT:
        _bad(f"format is {found!r:.80}, expected {FORMAT!r}")
    fitted = manifest.get("feature_contract")
    if fitted != contract:
        _bad(f"fitted on feature contract {fitted!r:.80}, expected {contract!r}")


def _hybrid(manifest: dict[str, Any], weights: bytes, contract: str) -> Hybrid:
    _check_identity(manifest, contract)
    _exactly(
        manifest,
        "manifest",
        "format model_id feature_contract weights labels fusion default_rate thresholds detectors normal about",
    )
    if not MODEL_ID.fullmatch(_of(manifest, "model_id", str, "manifest")):
        _bad(f"model_id is {manifest['model_id']!r:.80}, expected letters, digits, '.', '_' and '-'")
    if manifest["fusion"] != "lanes":
        _bad(f"fusion is {manifest['fusion']!r:.80}, expected 'lanes'")
    sha256 = _checked_sum(manifest, weights)
    labels, techniques = _labels(manifest)
    normal = _normal(manifest)
    lanes = _members(manifest, _arrays(weights), normal.columns, labels)
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
            default_rate=_of(manifest, "default_rate", float, "manifest"),
            about=_of(manifest, "about", dict, "manifest"),
            sha256=sha256,
        )
    except ValueError as error:
        _bad(str(error))


def _checked_sum(manifest: dict[str, Any], weights: bytes) -> str:
    entry = _of(manifest, "weights", dict, "manifest")
    _exactly(entry, "weights", "file sha256")
    if entry["file"] != WEIGHTS:
        _bad(f"weights file is {entry['file']!r:.80}, expected {WEIGHTS!r}")
    expected = _of(entry, "sha256", str, "weights")
    found = hashlib.sha256(weights).hexdigest()
    if found != expected:
        _bad(f"{WEIGHTS} has sha256 {found}, expected {expected:.64}")
    return found


def _labels(manifest: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    labels, techniques = [], []
    for entry in _objects(manifest, "labels", "name technique"):
        name, technique = _of(entry, "name", str, "labels"), entry["technique"]
        if not (0 < len(name) <= 64 and name.isprintable()):
            _bad(f"label {name!r:.80} is empty, longer than 64 or not printable")
        if technique is not None and not (isinstance(technique, str) and TECHNIQUE.fullmatch(technique)):
            _bad(f"technique of {name!r} is {technique!r:.80}, expected an ATT&CK id such as 'T1046' or null")
        labels.append(name)
        techniques.append(technique)
    return tuple(labels), tuple(techniques)


def _thresholds(manifest: dict[str, Any]) -> dict[float, tuple[float, float]]:
    thresholds = {}
    for entry in _objects(manifest, "thresholds", "rate known novel"):
        rate, known, novel = (_of(entry, key, float, "thresholds") for key in ("rate", "known", "novel"))
        if rate in thresholds:
            _bad(f"thresholds name the rate {rate} twice")
        thresholds[rate] = (known, novel)
    return thresholds


def _normal(manifest: dict[str, Any]) -> NormalProfile:
    entries = _objects(manifest, "normal", "column p01 median p99 p999")
    columns = tuple(_of(entry, "column", str, "normal") for entry in entries)
    if len(set(columns)) != len(columns):
        _bad("normal names a column twice")
    quantiles = (
        np.array([_of(entry, key, float, "normal") for entry in entries]) for key in ("p01", "median", "p99", "p999")
    )
    try:
        return NormalProfile(columns, *quantiles)
    except ValueError as error:
        _bad(str(error))


def _arrays(weights: bytes) -> Arrays:
    try:
        return safetensors.numpy.load(weights)
    except (SafetensorError, ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
        _bad(f"{WEIGHTS} is not a safetensors file ({error})")


def _members(
    manifest: dict[str, Any], arrays: Arrays, columns: tuple[str, ...], labels: tuple[str, ...]
) -> dict[str, tuple[Member, ...]]:
    lanes: dict[str, list[Member]] = {"known": [], "novel": []}
    taken: set[str] = set()
    for entry in _objects(manifest, "detectors", "name kind lane columns settings calibration arrays"):
        name = _of(entry, "name", str, "detectors")
        if not NAME.fullmatch(name):
            _bad(f"detector name is {name!r:.80}, expected a letter, then letters, digits, '_' and '-'")
        kind, lane = _of(entry, "kind", str, name), _of(entry, "lane", str, name)
        if kind not in ARRAYS:
            _bad(f"{name} is of kind {kind!r:.80}, expected one of {', '.join(ARRAYS)}")
        if lane not in lanes:
            _bad(f"{name} is in lane {lane!r:.80}, expected one of {', '.join(lanes)}")
        own = _own_arrays(entry, arrays)
        taken.update(_of(entry, "arrays", dict, name))
        try:
            lanes[lane].append(_member(entry, own, columns, labels))
        except ValueError as error:
            _bad(f"{name}: {error}")
    if set(arrays) != taken:
        _bad(f"{WEIGHTS} holds {sorted(set(arrays) - taken)}, which no detector names")
    return {lane: tuple(members) for lane, members in lanes.items()}


def _own_arrays(entry: dict[str, Any], arrays: Arrays) -> Arrays:
    """The arrays of one detector by role, each of the dtype, dimensions and shape that kind and manifest say."""
    name, roles = entry["name"], ARRAYS[entry["kind"]]
    named = _of(entry, "arrays", dict, name)
    _exactly(named, f"{name} arrays", " ".join(f"{name}.{role}" for role in roles))
    own = {}
    for role in roles:
        key = f"{name}.{role}"
        if key not in arrays:
            _bad(f"{WEIGHTS} lacks {key}")
        array = arrays[key]
        if _form(array) != named[key]:
            _bad(f"{key} is {_form(array)}, expected {named[key]!r:.80}")
        if array.dtype != DTYPES[role] or array.ndim != DIMENSIONS.get(role, 1) or array.size == 0:
            dimensions = DIMENSIONS.get(role, 1)
            _bad(f"{key} is {_form(array)}, expected {np.dtype(DTYPES[role])} of {dimensions} dimensions, not empty")
        own[role] = array
    return own


def _member(entry: dict[str, Any], own: Arrays, columns: tuple[str, ...], labels: tuple[str, ...]) -> Member:
    """Raises ValueError where the parts do not fit together."""
    name, kind = entry["name"], entry["kind"]
    settings = _typed(entry, "settings", SETTINGS[kind], name)
    tail = _typed(entry, "calibration", TAIL, name)
    calibration = Calibration(own["scores"], own["survival"], **tail)
    scaling = _scaling(entry, own, columns)
    if kind == "lstm":
        weights: dict[str, Any] = {role: own[role] for role in LSTM_ARRAYS}
        if settings.pop("units") != len(own["recurrent"]):
            _bad(f"{name} units are not the {len(own['recurrent'])} rows of its recurrent array")
        return Member(Lstm(scaling, **weights, labels=labels, **settings, name=name), calibration)
    if settings["trees"] != len(own["roots"]):
        _bad(f"{name} trees are not its {len(own['roots'])} roots")
    forest = Forest(**{role: own[role] for role in FOREST_ARRAYS}, width=len(scaling.columns))
    if kind == "isolation_forest":
        return Member(IsolationForest(scaling, forest, settings["psi"], name), calibration)
    return Member(RandomForest(scaling, forest, labels, name), calibration)


def _scaling(entry: dict[str, Any], own: Arrays, columns: tuple[str, ...]) -> Scaling:
    names = _of(entry, "columns", list, entry["name"])
    position = {column: i for i, column in enumerate(columns)}
    for column in names:
        if not isinstance(column, str) or column not in position:
            _bad(f"{entry['name']} uses column {column!r:.80}, which the section normal does not list")
    index = np.array([position[column] for column in names], dtype=np.int64)
    return Scaling(tuple(names), index, own["center"], own["scale"])


# ---------------------------------------------------------------- reading JSON values


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")


def _exactly(entry: dict[str, Any], where: str, keys: str) -> None:
    expected = set(keys.split())
    if missing := sorted(expected - set(entry)):
        _bad(f"{where} lacks {', '.join(missing)}")
    if extra := sorted(set(entry) - expected):
        _bad(f"{where} has unknown {', '.join(map(repr, extra))}")


def _of(entry: dict[str, Any], key: str, kind: type, where: str) -> Any:
    """A value of one JSON type; an integer will do for a float. Raises BundleError for another type."""
    value = entry[key]
    if kind is float and type(value) in (int, float):
        if abs(value) < 1e300:  # 1e999 is infinite to JSON's reader
            return float(value)
    elif type(value) is kind:
        return value
    wanted = {dict: "an object", list: "a list", str: "text", int: "an integer", bool: "true or false"}.get(
        kind, "a finite number"
    )
    _bad(f"{where}: {key} is {_kind(value)} ({value!r:.40}), expected {wanted}")


def _typed(entry: dict[str, Any], key: str, kinds: dict[str, type], where: str) -> dict[str, Any]:
    section = _of(entry, key, dict, where)
    _exactly(section, f"{where} {key}", " ".join(kinds))
    return {name: _of(section, name, kind, f"{where} {key}") for name, kind in kinds.items()}


def _objects(manifest: dict[str, Any], key: str, keys: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = _of(manifest, key, list, "manifest")
    if not entries:
        _bad(f"{key} is empty")
    for entry in entries:
        if not isinstance(entry, dict):
            _bad(f"{key} holds {_kind(entry)}, expected objects")
        _exactly(entry, key, keys)
    return entries

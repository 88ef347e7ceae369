"""Bundle: a hybrid model as a directory of manifest.json and weights.safetensors.

Whatever stands in the directory, loading gives a model that fits together or a BundleError of one line: nothing in it
can run, and every size, type, range and index is checked before a kernel sees it. The section
"feature_contract" lists the columns that the model uses, each with a digest of what it means (models.contract); format
1 had one hash of all columns there were. "encoding", "classes", "masked", "support" and "site" may be left
out. It does not know how a model was made: that is the free section "about".
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from configs.formats import Format
from models.calibration import Calibration
from models.codec import (
    CALIBRATION_FORMS,
    described,
    described_calibration,
    name_of,
    read_calibration,
    restored,
    stored,
)
from models.contract import Contract, fitting, of_former
from models.detector import ColumnDetector
from models.encoding import described_encoding, read_encoding
from models.fusion import MAX_LABELS, MAX_MEMBERS, MAX_RATES, Hybrid, Member
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
    readable,
    refuse,
    value_of,
    write_files,
)
from models.masking import described_masking, read_masking
from models.normal import NormalProfile, inputs_of
from models.signature import MAX_SIGNATURE, SUFFIX, PublicKey, check_signature
from models.site import described_site, read_site
from models.support import described_support, read_support

__all__ = ["BundleError", "copy_bundle", "copy_signed", "is_signed", "load_bundle", "save_bundle"]

MANIFEST, WEIGHTS = "manifest.json", "weights.safetensors"
SIGNATURE = MANIFEST + SUFFIX  # beside them where somebody has signed the manifest
FILES = Files(
    "this model",
    Format("flowvigil-bundle", version=2, instead="fit it again with flowvigil train"),
    MANIFEST,
    WEIGHTS,
    f"a directory with {MANIFEST} and {WEIGHTS}",
)
MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
TECHNIQUE = re.compile(r"T\d{4}(\.\d{3})?")
VOTE = "vote_"  # before a lane's name
CLASS = "class_"  # before a label's number
QUANTILES = ("p01", "median", "p99", "p999")


# ---------------------------------------------------------------- saving


def save_bundle(path: str | Path, hybrid: Hybrid, about: Mapping[str, Any]) -> None:
    """Write a bundle: the same content gives the same bytes.

    path: directory, made when absent. about: how the model was made, anything JSON can say but NaN.
    Raises ValueError for what loading would refuse, OSError where the directory cannot be written.
    """
    arrays: Arrays = {}
    lanes = (("known", hybrid.known, hybrid.known_vote), ("novel", hybrid.novel, hybrid.novel_vote))
    detectors = [_described(lane, member, hybrid, arrays) for lane, members, _ in lanes for member in members]
    votes = {
        lane: {"name": VOTE + lane, **described_calibration(VOTE + lane, vote, arrays)}
        for lane, _, vote in lanes
        if vote is not None
    }
    used = np.flatnonzero(hybrid.normal.used).tolist()
    normal_flows = None if hybrid.support is None else hybrid.support.normal_flows
    sections = {
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
        **({} if hybrid.classes is None else {"classes": _described_classes(hybrid.classes, arrays)}),
        **({} if hybrid.encoding is None else {"encoding": described_encoding(hybrid.encoding, used)}),
        "normal": _described_normal(hybrid.normal),
        **({} if hybrid.masking is None else {"masked": described_masking(hybrid.masking)}),
        **({} if normal_flows is None else {"support": described_support(normal_flows)}),
        **({} if hybrid.site is None else {"site": described_site(hybrid.site)}),
        "about": dict(about),
    }
    identity = {"model_id": hybrid.model_id, "feature_contract": hybrid.used}
    FILES.write(
        Path(path), identity, sections, arrays, lambda manifest, weights: _hybrid(manifest, weights, [hybrid.contract])
    )


def copy_bundle(source: str | Path, target: str | Path, manifest_sha256: str, about: Mapping[str, Any]) -> None:
    """Write a bundle once more, with more in its section "about"; whatever else it holds stays as it is.

    target: directory, made when absent. manifest_sha256: of the manifest that is meant (Hybrid.manifest_sha256). about:
    what is added, in place of what stands there under the same names. Raises BundleError for a bundle that cannot be
    read or has another manifest, OSError where the directory cannot be written.
    """
    content, weights, _ = FILES.read_bytes(Path(source))
    if hashlib.sha256(content).hexdigest() != manifest_sha256:
        raise one_line(source, BundleError(f"{MANIFEST} has changed meanwhile, expected sha256 {manifest_sha256}"))
    manifest = FILES.parsed(content)
    manifest["about"] = {**value_of(manifest, "about", dict, "manifest"), **about}
    write_files(
        Path(target), {WEIGHTS: weights, MANIFEST: (readable(manifest) + "\n").encode("utf-8", "surrogatepass")}
    )


def is_signed(path: str | Path) -> bool:
    """Whether there is a signature, of whomever, beside a bundle's manifest."""
    return os.path.lexists(Path(path) / SIGNATURE)


def copy_signed(source: str | Path, target: str | Path, manifest_sha256: str) -> None:
    """Write a bundle once more with its signature, by which not a byte of it may change.

    target: directory, made when absent. manifest_sha256, errors: as of copy_bundle.
    """
    manifest, weights, signature = FILES.read_bytes(Path(source), SIGNATURE, MAX_SIGNATURE)
    if hashlib.sha256(manifest).hexdigest() != manifest_sha256:
        raise one_line(source, BundleError(f"{MANIFEST} has changed meanwhile, expected sha256 {manifest_sha256}"))
    write_files(Path(target), {WEIGHTS: weights, SIGNATURE: signature, MANIFEST: manifest})


def _described(lane: str, member: Member, hybrid: Hybrid, arrays: Arrays) -> dict[str, Any]:
    """A detector's entry; arrays gains its weights."""
    kind, detector = stored(member.detector)
    if not isinstance(member.detector, ColumnDetector):
        raise ValueError(f"a bundle cannot hold a detector of kind {kind}")
    name, scaling, inputs = member.detector.name, member.detector.scaling, hybrid.inputs
    if any(inputs.get(column) != place for column, place in zip(scaling.columns, scaling.index.tolist(), strict=True)):
        raise ValueError(f"{name}'s column names are not those at its index in the normal profile")
    return {
        "name": name,
        "kind": kind,
        "lane": lane,
        "weight": float(member.weight),
        "columns": list(scaling.columns),
        **described(name, detector, member.calibration, arrays, scaling),
    }


def _described_classes(classes: Sequence[Calibration], arrays: Arrays) -> list[dict[str, Any]]:
    """The calibration of each label but the first; arrays gains theirs."""
    names = [f"{CLASS}{number}" for number in range(1, len(classes) + 1)]
    return [
        {"name": name, **described_calibration(name, own, arrays)} for name, own in zip(names, classes, strict=True)
    ]


def _described_normal(normal: NormalProfile) -> list[dict[str, Any]]:
    """Quantiles of the columns that the model uses."""
    return [
        {"column": normal.columns[i], **{quantile: float(getattr(normal, quantile)[i]) for quantile in QUANTILES}}
        for i in np.flatnonzero(normal.used).tolist()
    ]


# ---------------------------------------------------------------- loading


def load_bundle(path: str | Path, *contracts: Contract, keys: Sequence[PublicKey] = ()) -> Hybrid:
    """Model of a bundle, for rows of the narrowest of these contracts that has the columns it uses.

    path: the directory. contracts: of the rows that the caller can make. keys: one of which must have signed the
    manifest, by which all that is read is named; none: signatures are not looked at. Raises BundleError, whose text is
    one line, for whatever cannot be used.
    """
    try:
        manifest, weights, signature = FILES.read_bytes(Path(path), SIGNATURE if keys else "", MAX_SIGNATURE)
        if keys:  # before anything of the manifest is looked at
            check_signature(manifest, signature, keys, MANIFEST)
        hybrid = _hybrid(FILES.parsed(manifest), weights, contracts)
    except BundleError as error:
        raise one_line(path, error) from None
    return replace(hybrid, manifest_sha256=hashlib.sha256(manifest).hexdigest())


def _hybrid(manifest: dict[str, Any], weights: bytes, contracts: Sequence[Contract]) -> Hybrid:
    former = FILES.check_format(manifest)
    # Detectors that see rows as they are have no encoding, lanes that are calibrated as a whole no classes, rows of
    # which all is known nothing masked, connection records and older bundles no support, bundles of nobody's network no
    # site.
    sections = ("encoding", "classes", "masked", "support", "site")
    optional = "".join(f" {section}" for section in sections if section in manifest)
    exactly(
        manifest,
        "manifest",
        "format model_id feature_contract weights labels fusion default_rate thresholds detectors votes normal about"
        + optional,
    )
    if not MODEL_ID.fullmatch(value_of(manifest, "model_id", str, "manifest")):
        refuse(f"model_id is {manifest['model_id']!r:.80}, expected letters, digits, '.', '_' and '-'")
    contract = _contract(manifest, contracts, former)
    normal = _normal(manifest, contract, former)
    sha256 = checked_sum(manifest, weights, WEIGHTS)
    arrays = read_arrays(weights, WEIGHTS)
    labels, techniques = _labels(manifest)
    votes = _votes(manifest, arrays)
    classes = _classes(manifest, arrays) if "classes" in manifest else None
    encoding = None
    if "encoding" in manifest:
        rows = [normal.columns.index(entry["column"]) for entry in manifest["normal"]]
        encoding = read_encoding(manifest, rows, len(normal.columns))
    lanes = _members(manifest, arrays, inputs_of(normal, encoding), labels)
    entries = (*manifest["detectors"], *manifest["votes"].values(), *manifest.get("classes", ()))
    check_all_named(arrays, entries, WEIGHTS)
    try:
        hybrid = Hybrid(
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
            fusion=value_of(manifest, "fusion", str, "manifest"),
            known_vote=votes.get("known"),
            novel_vote=votes.get("novel"),
            classes=classes,
            encoding=encoding,
            support=read_support(manifest, normal.columns),
            masking=read_masking(manifest, normal.columns),
            site=read_site(manifest),
        )
        # Format 1 listed every column there was.
        return replace(hybrid, normal=normal.only(hybrid.seen)) if former else hybrid
    except ValueError as error:
        refuse(str(error))


def _contract(manifest: dict[str, Any], contracts: Sequence[Contract], former: bool) -> Contract:
    """The contract of the rows that the model takes."""
    if former:
        return of_former(value_of(manifest, "feature_contract", str, "manifest"), contracts)
    used = value_of(manifest, "feature_contract", dict, "manifest")
    return fitting({name: value_of(used, name, str, "feature_contract") for name in used}, contracts)


def _normal(manifest: dict[str, Any], contract: Contract, former: bool) -> NormalProfile:
    """What is normal in the columns that the model uses, NaN in others."""
    entries = objects(manifest, "normal", f"column {' '.join(QUANTILES)}")
    names = [value_of(entry, "column", str, "normal") for entry in entries]
    if len(set(names)) != len(names):
        refuse("normal names a column twice, expected each once")
    used = list(contract.columns if former else manifest["feature_contract"])
    if names != used:
        refuse(f"normal has {len(names)} columns that are not the {len(used)} of the feature contract in their order")
    place = [tuple(contract.columns).index(name) for name in names]
    quantiles = np.full((len(QUANTILES), len(contract.columns)), np.nan)
    for i, quantile in enumerate(QUANTILES):
        quantiles[i, place] = [value_of(entry, quantile, float, entry["column"]) for entry in entries]
    try:
        return NormalProfile(tuple(contract.columns), *quantiles)
    except ValueError as error:
        refuse(str(error))


def _labels(manifest: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    labels, techniques = [], []
    for entry in objects(manifest, "labels", "name technique", MAX_LABELS):
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
    for entry in objects(manifest, "thresholds", "rate known novel", MAX_RATES):
        rate, known, novel = (value_of(entry, key, float, "thresholds") for key in ("rate", "known", "novel"))
        if rate in thresholds:
            refuse(f"thresholds name the rate {rate} twice, expected each once")
        thresholds[rate] = (known, novel)
    return thresholds


def _votes(manifest: dict[str, Any], arrays: Arrays) -> dict[str, Calibration]:
    """What the lanes' votes mean."""
    section = value_of(manifest, "votes", dict, "manifest")
    if unknown := sorted(set(section) - {"known", "novel"}):
        refuse(f"votes names {', '.join(map(repr, unknown)):.80}, expected lanes")
    votes = {}
    for lane in section:
        entry = value_of(section, lane, dict, "votes")
        exactly(entry, f"votes {lane}", "name calibration arrays")
        if entry["name"] != VOTE + lane:
            refuse(f"votes {lane} is named {entry['name']!r:.80}, expected {VOTE + lane!r}")
        votes[lane] = _calibration(entry, arrays)
    return votes


def _classes(manifest: dict[str, Any], arrays: Arrays) -> tuple[Calibration, ...]:
    """What the share of each class means, in the order of the labels."""
    classes = []
    for number, entry in enumerate(objects(manifest, "classes", "name calibration arrays", MAX_LABELS), start=1):
        if entry["name"] != f"{CLASS}{number}":
            refuse(f"classes has {entry['name']!r:.80}, expected {CLASS}{number}")
        classes.append(_calibration(entry, arrays))
    return tuple(classes)


def _calibration(entry: dict[str, Any], arrays: Arrays) -> Calibration:
    """The calibration of an entry of a checked name."""
    try:
        return read_calibration(entry, own_arrays(entry, CALIBRATION_FORMS, arrays, WEIGHTS))
    except ValueError as error:
        refuse(f"{entry['name']}: {error}")


def _members(
    manifest: dict[str, Any], arrays: Arrays, inputs: Mapping[str, int], labels: tuple[str, ...]
) -> dict[str, tuple[Member, ...]]:
    lanes: dict[str, list[Member]] = {"known": [], "novel": []}
    keys = "name kind lane weight columns settings calibration arrays"
    for entry in objects(manifest, "detectors", keys, MAX_MEMBERS):
        name = name_of(entry, "detector")
        lane, weight = value_of(entry, "lane", str, name), value_of(entry, "weight", float, name)
        if lane not in lanes:
            refuse(f"{name} is in lane {lane!r:.80}, expected one of {', '.join(lanes)}")
        detector, calibration = restored(entry, arrays, WEIGHTS, labels, None, inputs)
        if not isinstance(detector, ColumnDetector):
            refuse(f"{name} is of kind {entry['kind']!r}, which looks at no columns and stands in no lane")
        try:
            lanes[lane].append(Member(detector, calibration, weight))
        except ValueError as error:
            refuse(str(error))
    return {lane: tuple(members) for lane, members in lanes.items()}

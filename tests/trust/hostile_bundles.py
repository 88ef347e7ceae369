"""Bundles as an attacker would write them: one or two things of a shipped bundle changed, all hashes right again.

A change is made in memory, so that thousands are cheap, and written as files that agree with each other: whoever loads
them has to look at what they say. Files that are none (links, pipes, directories, holes, lying headers) are a list of
their own. The same seed gives the same bundles.
"""

import copy
import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from flows.columns import feature_contract
from models.manifest import form

MANIFEST, WEIGHTS = "manifest.json", "weights.safetensors"
Manifest = dict[str, Any]
Arrays = dict[str, NDArray[Any]]
Place = tuple[str | int, ...]  # keys and positions that lead to a value of the manifest

# What stands in the place of any value of a manifest, one kind of fault each.
WRONG: Final[tuple[Any, ...]] = (
    *(None, True, False, [], {}, "", "x", [[]], {"x": 1}),
    *(0, 1, -1, 2, 7, 255, 65536, 2**31, 2**53, 2**63, -(2**63), 10**40, 10**400),
    *(0.0, -0.0, 0.5, 0.49999, 1.5, 1e-9, 5e-324, 1e18, 1e30, 1e150, 1e299, -1e299),
    *("é\u202e", "a\nb\x1b[31m", "../../etc/passwd", "\x00", "T9999", "T1046.001", "y" * 65, "z" * 300_000),
)  # fmt: skip
# What fills a whole tensor, or one number of it.
NUMBERS: Final = (
    0.0,
    1.0,
    -1.0,
    0.5,
    2.0,
    1e-30,
    5e-324,
    1e9,
    1e30,
    1e300,
    -1e300,
    np.inf,
    -np.inf,
    np.nan,
    127,
    2**31 - 1,
)
SITE: Final[Manifest] = {  # of a network as there are many
    "alerts_per_day": 5.0,
    "expected_alerts_per_day": [1.0, 4.0, 9.0],
    "flows_between_false_openings": 1e5,
    "levels": {"beacon": 2.0},
    "warming": ["calibration"],
    "learned": {
        "from_ns": 1_700_000_000_000_000_000,
        "to_ns": 1_700_600_000_000_000_000,
        "days": 6.9,
        "flows": 120_000,
        "hosts": 40,
        "left_out": 12,
        "networks": ["192.0.2.0/24", "2001:db8::/64"],
    },
    "habits": [
        {
            "kind": "beacon",
            "source": "192.0.2.7",
            "destination": "198.51.100.9",
            "port": 443,
            "protocol": 6,
            "level": 3.5,
            "share": 1.0,
        }
    ],
    "shipped": [{"rate": 0.001, "known": 0.0005, "novel": 0.0005}, {"rate": 0.01, "known": 0.005, "novel": 0.005}],
}
CUTS: Final = tuple(product((0, 0.4999, 1), (0, 0.3, 1)))
DTYPES: Final = (np.float16, np.float32, np.float64, np.int8, np.int32, np.int64, np.uint8, np.bool_)


@dataclass(frozen=True)
class Parts:
    """A bundle in memory."""

    manifest: Manifest
    arrays: Arrays

    def copy(self) -> "Parts":
        """Another that may be changed."""
        return Parts(copy.deepcopy(self.manifest), {name: array.copy() for name, array in self.arrays.items()})

    def write(self, directory: Path) -> None:
        """Both files, the weights' hash in the manifest being right."""
        directory.mkdir(exist_ok=True)
        weights = safetensors.numpy.save({name: np.ascontiguousarray(a) for name, a in self.arrays.items()})
        if isinstance(self.manifest.get("weights"), dict) and "sha256" in self.manifest["weights"]:
            self.manifest["weights"]["sha256"] = hashlib.sha256(weights).hexdigest()
        (directory / WEIGHTS).write_bytes(weights)
        text = json.dumps(self.manifest, ensure_ascii=False)
        (directory / MANIFEST).write_bytes(text.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True)
class HostileBundle:
    """One bundle of an attacker."""

    name: str  # what was done to which bundle
    write: Callable[[Path], None]  # into a directory that may hold another one's files


def parts_of(directory: Path) -> Parts:
    """A bundle that is as it should be."""
    manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    return Parts(manifest, dict(safetensors.numpy.load_file(directory / WEIGHTS)))


# ---------------------------------------------------------------- manifests


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Where there are values in a manifest: of a list its first, second and last element. "about" is one place."""
    if place:
        yield place
    if place == ("weights",):  # "sha256" is written anew
        yield ("weights", "file")
        return
    if place == ("about",):
        return
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*place, key))
    elif isinstance(value, list):
        for at in sorted({0, 1, len(value) - 1} & set(range(len(value)))):
            yield from places(value[at], (*place, at))


def holder(manifest: Manifest, place: Place) -> Any:
    """The object or list in which a place is."""
    for key in place[:-1]:
        manifest = manifest[key]  # type: ignore[index]  # a list by a position
    return manifest


def manifest_changes(parts: Parts, place: Place) -> list[tuple[str, Callable[[Manifest], None]]]:
    """All that is done to one place of the manifest, with a word for each."""
    last = place[-1]
    value = holder(parts.manifest, place)[last]
    changes: list[tuple[str, Callable[[Any], Any]]] = [(f"= {wrong!r:.24}", lambda _, w=wrong: w) for wrong in WRONG]
    if isinstance(value, bool):
        changes.append(("turned", lambda old: not old))
    elif isinstance(value, int | float):
        changes += [(f"* {by:g}", lambda old, by=by: old * by) for by in (-1, 0.001, 1000, 1e6)]
    elif isinstance(value, list) and value:
        changes += [
            ("reversed", lambda old: old[::-1]),
            ("without its first", lambda old: old[1:]),
            ("without its last", lambda old: old[:-1]),
            ("its first alone", lambda old: old[:1]),
            ("its first twice", lambda old: [old[0], *old]),
            ("70 times", lambda old: old * 70),
            ("and an object", lambda old: [*old, {}]),
        ]
    elif isinstance(value, dict):
        changes += [
            ("and another key", lambda old: {**old, "surplus": 1}),
            ("keys turned", lambda old: dict(zip(old, reversed(old.values()), strict=True))),
            ("in another order", lambda old: dict(reversed(old.items()))),
        ]

    def changed(change: Callable[[Any], Any]) -> Callable[[Manifest], None]:
        def apply(manifest: Manifest) -> None:
            own = holder(manifest, place)
            own[last] = change(own[last])

        return apply

    def removed(manifest: Manifest) -> None:
        del holder(manifest, place)[last]

    return [("removed", removed), *((word, changed(change)) for word, change in changes)]


# ---------------------------------------------------------------- tensors


def _first_set(array: NDArray[Any], to: float) -> NDArray[Any]:
    own = array.copy()
    own.flat[0] = _fitting(to, own.dtype)
    return own


def _middle_set(array: NDArray[Any], to: float) -> NDArray[Any]:
    own = array.copy()
    own.flat[own.size // 2] = _fitting(to, own.dtype)
    return own


def _fitting(number: float, dtype: np.dtype[Any]) -> Any:
    """The number as this dtype has it, whatever is lost."""
    with np.errstate(all="ignore"):
        return np.array(number, dtype=np.float64).astype(dtype)


def tensor_changes() -> list[tuple[str, Callable[[NDArray[Any]], NDArray[Any] | None]]]:
    """All that is done to a tensor, with a word for each; None: it is taken out."""
    changes: list[tuple[str, Callable[[NDArray[Any]], NDArray[Any] | None]]] = [
        ("removed", lambda _: None),
        ("empty", lambda a: a[:0]),
        ("without its last row", lambda a: a[:-1]),
        ("its first row alone", lambda a: a[:1]),
        ("its first row twice", lambda a: np.concatenate((a[:1], a))),
        ("twice", lambda a: np.concatenate((a, a))),
        ("one dimension more", lambda a: a[None]),
        ("flat", lambda a: a.reshape(-1)),
        ("turned over", lambda a: a.T.copy()),
        ("a number", lambda a: a.reshape(-1)[:1].reshape(())),
        ("backwards", lambda a: a[::-1].copy()),
        ("sorted", lambda a: np.sort(a, axis=0)),
        ("negative", lambda a: (-a.astype(np.float64)).astype(a.dtype)),
        ("times 1000", lambda a: (a.astype(np.float64) * 1000).astype(a.dtype)),
        ("a column less", lambda a: a[..., :-1]),
    ]
    for dtype in DTYPES:
        changes.append((f"as {np.dtype(dtype)}", lambda a, d=dtype: a.astype(d)))
    for number in NUMBERS:
        changes.append((f"all {number:g}", lambda a, n=number: np.full_like(a, _fitting(n, a.dtype))))
        changes.append((f"first {number:g}", lambda a, n=number: _first_set(a, n)))
        changes.append((f"middle {number:g}", lambda a, n=number: _middle_set(a, n)))
    return changes


def change_tensor(parts: Parts, name: str, change: Callable[[NDArray[Any]], NDArray[Any] | None]) -> None:
    """Change a tensor, and what the manifest says of its form."""
    with np.errstate(all="ignore"):
        array = change(parts.arrays[name])
    if array is None:
        del parts.arrays[name]
    else:
        parts.arrays[name] = array
    for entry in array_holders(parts.manifest):
        if name in entry:
            if array is None:
                del entry[name]
            else:
                entry[name] = form(array)


def array_holders(manifest: Manifest) -> Iterator[dict[str, str]]:
    """The sections "arrays" of a manifest that is as it should be."""
    for entry in (*manifest["detectors"], *manifest["votes"].values(), *manifest.get("classes", ())):
        yield entry["arrays"]


# ---------------------------------------------------------------- whole bundles


def site_bundles(name: str, parts: Parts) -> list[HostileBundle]:
    """Every single change of what a bundle says of its site, which this one does not."""
    own = parts.copy()
    own.manifest["site"] = SITE
    return changed_bundles(name, own, within="site")


def changed_bundles(name: str, parts: Parts, within: str = "") -> list[HostileBundle]:
    """Every single change of a bundle's manifest and tensors, and some that belong together.

    within: of this section of the manifest alone.
    """

    def of(word: str, change: Callable[[Parts], None]) -> HostileBundle:
        def write(directory: Path) -> None:
            own = parts.copy()
            change(own)
            own.write(directory)

        return HostileBundle(f"{name}: {word}", write)

    bundles = []
    for place in places(parts.manifest):
        if within and place[0] != within:
            continue
        where = ".".join(map(str, place))
        for word, change in manifest_changes(parts, place):
            bundles.append(of(f"{where} {word}", lambda own, c=change: c(own.manifest)))
    if within:
        return bundles
    for tensor in parts.arrays:
        for word, alter in tensor_changes():
            bundles.append(of(f"{tensor} {word}", lambda own, t=tensor, a=alter: change_tensor(own, t, a)))
    bundles += [of(word, change) for word, change in _belonging()]
    return bundles


def paired_bundles(name: str, parts: Parts, count: int, rng: np.random.Generator) -> Iterator[HostileBundle]:
    """So many bundles with two changes each, by chance."""
    all_places, changes, tensors = list(places(parts.manifest)), tensor_changes(), list(parts.arrays)
    for _ in range(count):
        chosen: list[tuple[str, Callable[[Parts], None]]] = []
        for _ in range(2):
            if rng.random() < 0.6:
                place = all_places[rng.integers(len(all_places))]
                options = manifest_changes(parts, place)
                word, change = options[rng.integers(len(options))]
                chosen.append((f"{'.'.join(map(str, place))} {word}", lambda own, c=change: c(own.manifest)))
            else:
                tensor = tensors[rng.integers(len(tensors))]
                word, alter = changes[rng.integers(len(changes))]
                chosen.append((f"{tensor} {word}", lambda own, t=tensor, a=alter: change_tensor(own, t, a)))

        def write(directory: Path, chosen: list[tuple[str, Callable[[Parts], None]]] = chosen) -> None:
            own = parts.copy()
            for _, change in chosen:
                try:
                    change(own)
                except (KeyError, IndexError, TypeError, AttributeError, ValueError):
                    continue  # the first change took away what the second is about
            own.write(directory)

        yield HostileBundle(f"{name}: {' and '.join(word for word, _ in chosen)}", write)


def _belonging() -> list[tuple[str, Callable[[Parts], None]]]:
    """Changes in several places that belong together, so that no single section says a wrong thing."""

    def lane(keep: Callable[[Manifest], bool]) -> Callable[[Parts], None]:
        def change(own: Parts) -> None:
            own.manifest["detectors"] = [entry for entry in own.manifest["detectors"] if keep(entry)]
            named = {name for entry in array_holders(own.manifest) for name in entry}
            for name in set(own.arrays) - named:
                del own.arrays[name]

        return change

    def all_in(lane_name: str) -> Callable[[Parts], None]:
        return lambda own: [entry.update(lane=lane_name) for entry in own.manifest["detectors"]] and None

    def cuts(known: float, novel: float) -> Callable[[Parts], None]:
        return lambda own: [each.update(known=known, novel=novel) for each in own.manifest["thresholds"]] and None

    def columns(count: int) -> Callable[[Parts], None]:
        def change(own: Parts) -> None:
            _of_first_columns(own, count)

        return change

    return [
        ("known lane alone", lane(lambda entry: entry["lane"] == "known")),
        ("novel lane alone", lane(lambda entry: entry["lane"] == "novel")),
        ("one detector", lane(lambda entry: entry is not None and entry["kind"] == "random_forest")),
        ("lstm alone", lane(lambda entry: entry["kind"] == "lstm")),
        ("all in the known lane", all_in("known")),
        ("all in the novel lane", all_in("novel")),
        *((f"cuts {known:g} and {novel:g}", cuts(known, novel)) for known, novel in CUTS),
        ("one rate", lambda own: own.manifest.update(thresholds=own.manifest["thresholds"][:1], default_rate=0.001)),
        ("cuts falling", _falling_cuts),
        ("votes of neither lane", lambda own: _votes(own, ())),
        ("votes of both lanes", lambda own: _votes(own, ("known", "novel"))),
        ("votes of the novel lane", lambda own: _votes(own, ("novel",))),
        *((f"the first {count} columns alone", columns(count)) for count in (1, 2, 3)),
        ("normal all equal", _flat_normal),
        ("labels of one", lambda own: own.manifest.update(labels=own.manifest["labels"][:1])),
        ("labels in another order", lambda own: own.manifest["labels"].reverse()),
        ("300 labels", _many_labels),
        ("of the former format", _former),
        ("no support", lambda own: own.manifest.pop("support", None) and None),
        ("no masked columns", lambda own: own.manifest.pop("masked", None) and None),
        ("a site of extremes", lambda own: own.manifest.update(site=_site(1e6, 0.0, 1e300))),
        ("a site of nobody", lambda own: own.manifest.update(site=_site(1e-300, 0.0, 0.0))),
        *((f"about {word}", lambda own, a=about: own.manifest.update(about=a)) for word, about in _abouts()),
    ]  # fmt: skip


def _many_labels(own: Parts) -> None:
    own.manifest["labels"] = [{"name": f"label {i}", "technique": None} for i in range(300)]


def _former(own: Parts) -> None:
    """As format 1 had it: one hash for all columns that flows had then."""
    own.manifest.update(format="flowvigil-bundle/1", feature_contract=feature_contract().former)


def _falling_cuts(own: Parts) -> None:
    for number, each in enumerate(own.manifest["thresholds"]):
        each.update(known=0.3 / (number + 1), novel=0.3 / (number + 1))


def _flat_normal(own: Parts) -> None:
    for entry in own.manifest["normal"]:
        entry.update(p01=0.0, median=0.0, p99=0.0, p999=0.0)


def _votes(own: Parts, lanes: tuple[str, ...]) -> None:
    """Votes of these lanes alone, each with the calibration of a detector."""
    for vote in own.manifest["votes"].values():
        for name in vote["arrays"]:
            own.arrays.pop(name, None)
    like = own.manifest["detectors"][0]
    own.manifest["votes"] = {}
    for lane in lanes:
        arrays = {}
        for role in ("scores", "survival"):
            array = own.arrays[f"{like['name']}.{role}"]
            own.arrays[f"vote_{lane}.{role}"] = array.copy()
            arrays[f"vote_{lane}.{role}"] = form(array)
        own.manifest["votes"][lane] = {
            "name": f"vote_{lane}",
            "calibration": dict(like["calibration"]),
            "arrays": arrays,
        }


def _of_first_columns(own: Parts, count: int) -> None:
    """A model of one forest that looks at the first columns alone, in each section that names columns."""
    kept = [entry["column"] for entry in own.manifest["normal"]][:count]
    entry = next(each for each in own.manifest["detectors"] if each["kind"] == "isolation_forest")
    name = entry["name"]
    entry["columns"] = list(kept)
    entry["settings"]["trees"] = 1
    held = {
        "feature": np.array([0, 0, 0], dtype=np.int32),
        "threshold": np.array([0.0, 0.0, 0.0]),
        "left": np.array([1, -1, -1], dtype=np.int32),
        "right": np.array([2, -1, -1], dtype=np.int32),
        "value": np.array([[0.0], [1.0], [9.0]]),
        "roots": np.array([0], dtype=np.int32),
        "center": np.zeros(count),
        "scale": np.ones(count),
        "scores": own.arrays[f"{name}.scores"],
        "survival": own.arrays[f"{name}.survival"],
    }
    own.arrays.clear()
    own.arrays.update({f"{name}.{role}": array for role, array in held.items()})
    entry["arrays"] = {key: form(array) for key, array in own.arrays.items()}
    own.manifest.update(
        detectors=[entry],
        votes={},
        normal=own.manifest["normal"][:count],
        feature_contract={column: own.manifest["feature_contract"][column] for column in kept},
    )
    for section in ("classes", "encoding", "masked"):
        own.manifest.pop(section, None)


def _site(asked: float, low: float, high: float) -> Manifest:
    return {
        "alerts_per_day": asked,
        "expected_alerts_per_day": [low, low, high],
        "flows_between_false_openings": 10.0,
        "levels": {"no such kind": 0.3},
        "warming": ["calibration", "\u202e", "no such thing"],
        "learned": {
            "from_ns": 0,
            "to_ns": (1 << 63) - 1,
            "days": 999_999.0,
            "flows": (1 << 53) - 1,
            "hosts": 0,
            "left_out": (1 << 53) - 1,
            "networks": ["0.0.0.0/0", "::/0"],
        },
        "habits": [
            {
                "kind": "no such kind",
                "source": None,
                "destination": None,
                "port": 0,
                "protocol": 0,
                "level": 1e299,
                "share": -1.0,
            }
        ],
        "shipped": [{"rate": 0.5, "known": 1.0, "novel": 0.0}],
    }


def _abouts() -> list[tuple[str, Any]]:
    """Sections "about", which are free: whoever looks into one has to expect anything."""
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    kinds: tuple[Any, ...] = (None, 1, "x", [], [1], {}, {"x": 1}, -1e299, True)
    names = ("recipe", "dataset", "days", "training", "warnings", "metrics", "versions", "site", "sources", "promotion")
    single = [(f"{name} {kind!r}", {name: kind}) for name in names for kind in kinds]
    nested = [
        ("site alerts_per_day text", {"site": {"alerts_per_day": "x"}}),
        ("site alerts_per_day huge", {"site": {"alerts_per_day": 1e299}}),
        ("site alerts_per_day below 0", {"site": {"alerts_per_day": -1}}),
        ("warnings of numbers", {"warnings": [1, None, {}]}),
        ("dataset odd", {"dataset": {"sha256": 1, "name": [], "rows": "x"}}),
        ("recipe odd", {"recipe": "a: [1"}),
        ("metrics odd", {"metrics": {"this_model": [1], "over_seeds": "x", "splits": 3}}),
        ("deep", {"deep": deep}),
    ]
    return [*single, *nested]


# ---------------------------------------------------------------- files


def file_bundles(source: Path) -> list[HostileBundle]:
    """Directories of which a file is something else than a file, or lies about itself. source: a bundle that loads."""
    manifest, weights = (source / MANIFEST).read_bytes(), (source / WEIGHTS).read_bytes()

    def of(word: str, change: Callable[[Path], None]) -> HostileBundle:
        def write(directory: Path) -> None:
            directory.mkdir(exist_ok=True)
            (directory / MANIFEST).write_bytes(manifest)
            (directory / WEIGHTS).write_bytes(weights)
            change(directory)

        return HostileBundle(f"{source.name}: {word}", write)

    bundles = [
        of(f"{name} is {word}", lambda d, n=name, c=change: _instead(d / n, c))
        for name in (MANIFEST, WEIGHTS)
        for word, change in _other_files(source)
    ]
    bundles.append(of("the two files exchanged", _exchanged))
    bundles += [
        of(f"weights {word}", lambda d, c=content: _reweighed(d, manifest, c)) for word, content in _weights(weights)
    ]
    bundles += [of(f"manifest {word}", lambda d, c=content: _written(d, c)) for word, content in _manifests(manifest)]
    return bundles


def _instead(path: Path, make: Callable[[Path], None]) -> None:
    path.unlink()
    make(path)


def _other_files(source: Path) -> list[tuple[str, Callable[[Path], None]]]:
    return [
        ("missing", lambda _: None),
        ("empty", lambda path: path.write_bytes(b"") and None),
        ("a link to the right file", lambda path: path.symlink_to(source / path.name)),
        ("a link to nothing", lambda path: path.symlink_to("nowhere")),
        ("a link to itself", lambda path: path.symlink_to(path)),
        ("a pipe", os.mkfifo),
        ("a directory", Path.mkdir),
        ("a device", lambda path: path.symlink_to("/dev/zero")),
        ("a socket", _socket),
        ("a hole of 2^40 bytes", lambda path: _hole(path, 1 << 40)),
        ("a hole of 2^25 bytes", lambda path: _hole(path, 1 << 25)),
        ("zeros", lambda path: path.write_bytes(bytes(4096)) and None),
    ]


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))


def _hole(path: Path, size: int) -> None:
    with path.open("wb") as stream:
        stream.truncate(size)


def _exchanged(directory: Path) -> None:
    (directory / MANIFEST).rename(directory / "held")
    (directory / WEIGHTS).rename(directory / MANIFEST)
    (directory / "held").rename(directory / WEIGHTS)


def _written(directory: Path, content: bytes) -> None:
    (directory / MANIFEST).write_bytes(content)


def _reweighed(directory: Path, manifest: bytes, weights: bytes) -> None:
    """Weights, and their hash in the manifest."""
    stated = json.loads(manifest)
    stated["weights"]["sha256"] = hashlib.sha256(weights).hexdigest()
    (directory / MANIFEST).write_text(json.dumps(stated), encoding="utf-8")
    (directory / WEIGHTS).write_bytes(weights)


def _weights(weights: bytes) -> Iterator[tuple[str, bytes]]:
    """Files of tensors that lie about themselves."""
    size = int.from_bytes(weights[:8], "little")
    header, body = json.loads(weights[8 : 8 + size]), weights[8 + size :]
    first = next(name for name in header if name != "__metadata__")
    for claimed in (0, 1, size - 1, size + 1, len(weights), 1 << 20, 1 << 40, (1 << 63) - 1, (1 << 64) - 1):
        yield f"header of {claimed} bytes", claimed.to_bytes(8, "little") + weights[8:]
    claims: tuple[Any, ...] = (
        {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 128]},
        {"dtype": "F32", "shape": [1 << 62, 4], "data_offsets": [0, 128]},
        {"dtype": "F64", "shape": [1 << 33], "data_offsets": [0, 1 << 36]},
        {"dtype": "F32", "shape": [0, 1 << 62], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 128]},
        {"dtype": "F32", "shape": [32], "data_offsets": [128, 0]},
        {"dtype": "F32", "shape": [32], "data_offsets": [0, 1 << 63]},
        {"dtype": "F32", "shape": [1] * 5000, "data_offsets": [0, 4]},
        {"dtype": "BF16", "shape": [64], "data_offsets": [0, 128]},
        {"dtype": "F8_E4M3", "shape": [128], "data_offsets": [0, 128]},
        {"dtype": "C64", "shape": [16], "data_offsets": [0, 128]},
        {"dtype": "object", "shape": [16], "data_offsets": [0, 128]},
        {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
        *({}, [], None, 1, "x"),
    )
    for number, claim in enumerate(claims):
        yield f"claim {number} of a first tensor", _packed({**header, first: claim}, body)
        yield f"claim {number} of another tensor", _packed({**header, "another": claim}, body)
    yield "with a comment of 100 kB", _packed({**header, "__metadata__": {"x": "y" * 100_000}}, body)
    yield "with a comment that is none", _packed({**header, "__metadata__": {"x": 1}}, body)
    yield (
        "with 60,000 tensors of nothing",
        _packed(
            {**header, **{f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(60_000)}}, body
        ),
    )
    yield "with a deep header", _raw(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", body)
    yield "cut short", weights[:-1]
    yield "one byte longer", weights + b"\0"
    yield "without a body", weights[: 8 + size]


def _packed(header: Any, body: bytes) -> bytes:
    return _raw(json.dumps(header).encode(), body)


def _raw(text: bytes, body: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text + body


def _manifests(manifest: bytes) -> Iterator[tuple[str, bytes]]:
    """Manifests that are no JSON, or too much of it."""
    text = manifest.decode()
    yield "in UTF-16", text.encode("utf-16")
    yield "with a byte order mark", b"\xef\xbb\xbf" + manifest
    yield "cut short", manifest[: len(manifest) // 2]
    yield "twice", manifest * 2
    yield "of another byte", manifest[:100] + b"\xff" + manifest[101:]
    for word, value in (
        ("100,000 lists deep", "[" * 100_000 + "]" * 100_000),
        ("900 lists deep", "[" * 900 + "]" * 900),
        ("100 lists deep", "[" * 100 + "]" * 100),
        ("of 5,000 digits", "1" * 5000),
        ("of 300 digits", "1" * 300),
        ("of 1e999", "1e999"),
        ("of NaN", "NaN"),
        ("of Infinity", "-Infinity"),
        ("with a lone surrogate", '"\\ud800"'),
        ("with a text of 3 MB", '"' + "x" * 3_000_000 + '"'),
        ("with 500,000 lists", "[" + "[]," * 500_000 + "[]]"),
        ("with 200,000 keys", "{" + ",".join(f'"{i}":0' for i in range(200_000)) + "}"),
    ):
        yield f"about {word}", (text.rstrip()[:-1] + ', "surplus": ' + value + "}").encode()
        at = text.rindex('"about"')
        yield f"with about.x {word}", (text[:at] + f'"about": {{"x": {value}}}' + "}").encode()
    yield "a key twice", ('{"format": "flowvigil-bundle/2", ' + text.lstrip()[1:]).encode()
    for value in ("null", "1", "[]", '""', "{}", "true"):
        yield f"{value} alone", value.encode()

"""Manifests and weights: the JSON and safetensors files that a model is kept in.

Reading takes them from a stranger: whatever they hold, each function gives values of the type it says or a BundleError
of one line, and nothing in a file can run. It does not know what the values mean. Weights:
github.com/huggingface/safetensors.
"""

import hashlib
import json
import math
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from configs.formats import Format, OtherVersionError

MAX_MANIFEST, MAX_WEIGHTS = 4 << 20, 64 << 20  # bytes
MAX_HEADER = 1 << 20  # bytes of a safetensors header, which is JSON: a shipped one has 4,000
# Of a manifest: how deep its lists and objects stand in each other, how many values it has at most, the longest text
# (the recipe in "about") in characters, and the longest number in digits.
MAX_DEPTH, MAX_VALUES, MAX_TEXT, MAX_DIGITS = 32, 250_000, 1 << 18, 1000
MOST_ENTRIES = 4096  # of a list of objects, where its reader does not say
MAX_NUMBER = 1e30  # of what is a number of traffic: more than a column or a score can be
REREADS = 8  # of a directory that gives way again and again while it is read
LINE = 118  # what fits is kept on one line of the manifest

SIGNATURE_EXPECTED = "a signature of minisign beside what it signs, as detection.bundle_keys are set"

Arrays = dict[str, NDArray[Any]]
Form = tuple[type, int]  # dtype and number of dimensions


class BundleError(Exception):
    """A bundle that cannot be used: one line of what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class Files:
    """A manifest and the weights beside it."""

    what: str  # they are, such as "this model"
    format: Format  # of the manifest: what is written and what is read
    manifest: str  # name of the file
    weights: str  # name of the file
    expected: str  # what should be there, for errors
    most_manifest: int = MAX_MANIFEST  # bytes
    most_weights: int = MAX_WEIGHTS  # bytes

    def write(
        self,
        directory: Path,
        identity: Mapping[str, Any],
        sections: Mapping[str, Any],
        arrays: Arrays,
        reread: Callable[[dict[str, Any], bytes], object],
    ) -> None:
        """Write both files: the same content gives the same bytes.

        identity, sections: of the manifest, before and after what it says of the weights. reread: what loading does
        with both. Raises ValueError for what it refuses, OSError where the directory cannot be written.
        """
        weights = safetensors.numpy.save(arrays)
        sums = {"file": self.weights, "sha256": hashlib.sha256(weights).hexdigest()}
        text = readable({"format": str(self.format), **identity, "weights": sums, **sections}) + "\n"
        content = text.encode("utf-8", "surrogatepass")
        try:
            reread(parsed(content, self.manifest), weights)
        except BundleError as error:
            raise ValueError(f"{self.what} could not be loaded again: {error}") from error
        write_files(directory, {self.weights: weights, self.manifest: content})

    def read(self, directory: Path) -> tuple[dict[str, Any], bytes]:
        """Manifest, of a format that is read, and weights. Raises BundleError."""
        manifest, weights, _ = self.read_bytes(directory)
        return self.parsed(manifest), weights

    def read_bytes(self, directory: Path, beside: str = "", most_beside: int = 0) -> tuple[bytes, bytes, bytes]:
        """Manifest, weights and the file beside them as they are stored, all of one directory.

        beside: its name, and the bytes it has at most; without, nothing more is read, and nothing is given for it.
        A directory that another takes the place of between these reads gives those that lay in it together, where the
        system opens files by a directory's descriptor. Raises BundleError.
        """
        for _ in range(REREADS):
            with _opened(directory, self.manifest, self.expected) as descriptor:
                try:
                    return self._read_all(directory, descriptor, beside, most_beside)
                except BundleError:
                    # Only a directory that gave way twice since it was opened has lost its files.
                    if descriptor is None or _is_still(directory, descriptor):
                        raise
        return self._read_all(directory, None, beside, most_beside)

    def _read_all(
        self, directory: Path, descriptor: int | None, beside: str, most_beside: int
    ) -> tuple[bytes, bytes, bytes]:
        manifest = read_file(directory / self.manifest, self.most_manifest, self.expected, descriptor)
        extra = read_file(directory / beside, most_beside, SIGNATURE_EXPECTED, descriptor) if beside else b""
        return manifest, read_file(directory / self.weights, self.most_weights, self.expected, descriptor), extra

    def parsed(self, content: bytes) -> dict[str, Any]:
        """The manifest in its file, of a format that is read. Raises BundleError."""
        manifest = parsed(content, self.manifest)
        self.check_format(manifest)
        return manifest

    def check_format(self, manifest: dict[str, Any]) -> bool:
        """Whether a manifest is of a former format. Raises BundleError for one that is not read."""
        try:
            return self.format.version_of(manifest.get("format")) < self.format.version
        except OtherVersionError as error:
            refuse(f"format: {error}")


def write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write the files in this order; the directory is made when absent. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        # Renamed into place: a sensor that reloads meanwhile sees the old file or the new one.
        fresh = directory / f".{name}.new"
        fresh.write_bytes(content)
        fresh.replace(directory / name)


def form(array: NDArray[Any]) -> str:
    """Dtype and shape, as a manifest names them."""
    return f"{array.dtype} [{', '.join(map(str, array.shape))}]"


def readable(value: Any, indent: int = 0, taken: int = 0) -> str:
    """Indented JSON that keeps on one line what fits there; taken: characters before it on its line."""
    flat = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if taken + len(flat) <= LINE or not isinstance(value, dict | list) or not value:
        return flat
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        keys = {key: f"{pad}{json.dumps(key, ensure_ascii=False)}: " for key in value}
        lines = [start + readable(value[key], indent + 2, len(start)) for key, start in keys.items()]
        return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"
    lines = []
    for element in value:
        text = readable(element, indent + 2, len(pad))
        if lines and not isinstance(element, dict | list) and len(lines[-1]) + len(text) + 2 <= LINE:
            lines[-1] += f", {text}"
        else:
            lines.append(pad + text)
    return "[\n" + ",\n".join(lines) + "\n" + " " * indent + "]"


def one_line(path: str | Path, error: BundleError) -> BundleError:
    """The error with the path before it, on one line and only printable characters, whatever files or path hold."""
    text = f"bundle {path}: {error}"
    return BundleError("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text))


def refuse(text: str) -> NoReturn:
    """Raise BundleError, with a text that fits on a screen."""
    raise BundleError(text if len(text) <= 400 else text[:400] + "…")


@contextmanager
def _opened(directory: Path, first: str, expected: str) -> Iterator[int | None]:
    """Descriptor of a directory, None where this system opens no files by one. Raises BundleError.

    first: the file that would have been read first, for the error.
    """
    if os.open not in os.supports_dir_fd:
        yield None
        return
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    except (OSError, ValueError) as error:
        _refuse_unreadable(first, error, expected)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_still(directory: Path, descriptor: int) -> bool:
    """Whether a path leads to the directory that was opened."""
    try:
        return os.path.samestat(os.stat(directory), os.fstat(descriptor))
    except OSError:
        return False


def _refuse_unreadable(name: str, error: OSError | ValueError, expected: str) -> NoReturn:
    reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
    refuse(f"{name} cannot be read ({reason}), expected {expected}")


def read_file(file: Path, limit: int, expected: str, directory: int | None = None) -> bytes:
    """Bytes of a regular file; a link or a pipe is refused, so that a bundle cannot point elsewhere or block.

    limit: bytes. expected: what should be there, for the error. directory: descriptor of the directory that it is in,
    None: it is opened by its whole path.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(file if directory is None else file.name, flags, dir_fd=directory)
    except (OSError, ValueError) as error:
        _refuse_unreadable(file.name, error, expected)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            refuse(f"{file.name} is not a regular file")
        if status.st_size > limit:
            refuse(f"{file.name} has {status.st_size:,} bytes, expected at most {limit:,}")
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read(limit)
    except OSError as error:
        refuse(f"{file.name} cannot be read ({(error.strerror or str(error)).lower()})")
    finally:
        os.close(descriptor)


def parsed(content: bytes, name: str) -> dict[str, Any]:
    """The JSON object of the file name, without NaN, repeated keys, text that UTF-8 cannot hold, or too much of it."""
    # A value of a list or object has a comma after it, but for the last: counted before memory is taken for them.
    values = content.count(b",") + content.count(b"[") + content.count(b"{") + 1
    if values > MAX_VALUES:
        refuse(f"{name} has about {values:,} values, expected at most {MAX_VALUES:,}")
    try:
        manifest = json.loads(
            content.decode("utf-8"),
            parse_constant=_no_constant,
            parse_int=_short_integer,
            parse_float=_finite_number,
            object_pairs_hook=_no_repeats,
        )
        _check_nesting(manifest)
    except (ValueError, RecursionError) as error:
        refuse(f"{name} is not JSON that is understood ({error})")
    if not isinstance(manifest, dict):
        refuse(f"{name} holds {kind_of(manifest)}, expected an object")
    return manifest


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _short_integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number has {len(text)} digits, expected at most {MAX_DIGITS}")
    return int(text)


def _finite_number(text: str) -> float:
    number = float(text)
    if len(text) > MAX_DIGITS or not math.isfinite(number):
        raise ValueError(f"{text:.40} is no number that a float holds, of at most {MAX_DIGITS} digits")
    return number


def _check_nesting(manifest: Any) -> None:
    """Raise ValueError for lists and objects that stand too deep in each other, and for text that is too long."""
    level: list[Any] = [manifest]
    for _ in range(MAX_DEPTH):
        inside: list[Any] = []
        for value in level:
            if isinstance(value, str):
                _check_text(value)
            elif isinstance(value, dict):
                inside += [*value, *value.values()]
            elif isinstance(value, list):
                inside += value
        level = inside
    if level:
        raise ValueError(f"lists and objects stand more than {MAX_DEPTH - 1} deep in each other")


def _check_text(text: str) -> None:
    if len(text) > MAX_TEXT:
        raise ValueError(f"a text has {len(text):,} characters, expected at most {MAX_TEXT:,}")
    text.encode("utf-8")  # raises ValueError for half a character


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("an object repeats a key")
    return keys


def checked_sum(manifest: dict[str, Any], weights: bytes, name: str) -> str:
    """SHA-256 of the weights, which the manifest's section "weights" says of the file name."""
    entry = value_of(manifest, "weights", dict, "manifest")
    exactly(entry, "weights", "file sha256")
    if entry["file"] != name:
        refuse(f"weights file is {entry['file']!r:.80}, expected {name!r}")
    expected = value_of(entry, "sha256", str, "weights")
    found = hashlib.sha256(weights).hexdigest()
    if found != expected:
        refuse(f"{name} has sha256 {found}, expected {expected:.64}")
    return found


def read_arrays(weights: bytes, name: str) -> Arrays:
    """Arrays of the safetensors file name."""
    header = int.from_bytes(weights[:8], "little")
    if header > min(MAX_HEADER, len(weights)):
        most = min(MAX_HEADER, len(weights))
        refuse(f"{name} is not a safetensors file: its header has {header:,} bytes, expected at most {most:,}")
    try:
        return safetensors.numpy.load(weights)
    except (SafetensorError, ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
        refuse(f"{name} is not a safetensors file ({error})")


def own_arrays(entry: dict[str, Any], forms: Mapping[str, Form], arrays: Arrays, weights: str) -> Arrays:
    """The arrays of one detector by role, each of the dtype, dimensions and shape that forms and the manifest say.

    entry: the detector, of a checked name. forms: dtype and number of dimensions of each role. weights: file name.
    """
    name = entry["name"]
    named = value_of(entry, "arrays", dict, name)
    exactly(named, f"{name} arrays", " ".join(f"{name}.{role}" for role in forms))
    own = {}
    for role, (dtype, dimensions) in forms.items():
        key = f"{name}.{role}"
        if key not in arrays:
            refuse(f"{weights} lacks {key}")
        array = arrays[key]
        if form(array) != named[key]:
            refuse(f"{key} is {form(array)}, expected {named[key]!r:.80}")
        if array.dtype != dtype or array.ndim != dimensions or array.size == 0:
            refuse(f"{key} is {form(array)}, expected {np.dtype(dtype)} of {dimensions} dimensions, not empty")
        own[role] = array
    return own


def check_all_named(arrays: Arrays, holders: Iterable[Mapping[str, Any]], weights: str) -> None:
    """Raise BundleError for arrays of the file weights that no holder has in its section "arrays"."""
    named = {name for holder in holders for name in holder["arrays"]}
    if unnamed := sorted(set(arrays) - named):
        refuse(f"{weights} holds {unnamed}, which nothing names")


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    kinds = {dict: "an object", list: "a list", str: "text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")


def exactly(entry: dict[str, Any], where: str, keys: str) -> None:
    """Raise BundleError unless entry has these keys, between spaces, and no other."""
    expected = set(keys.split())
    if missing := sorted(expected - set(entry)):
        refuse(f"{where} lacks {', '.join(missing)}")
    if extra := sorted(set(entry) - expected):
        refuse(f"{where} has unknown {', '.join(map(repr, extra))}")


def value_of(entry: dict[str, Any], key: str, kind: type, where: str) -> Any:
    """A value of one JSON type; an integer will do for a float. Raises BundleError for others."""
    value = entry[key]
    if kind is float and type(value) in (int, float):
        if abs(value) <= MAX_NUMBER:
            return float(value)
    elif type(value) is kind:
        return value
    wanted = {dict: "an object", list: "a list", str: "text", int: "an integer", bool: "true or false"}.get(
        kind, f"a finite number within {MAX_NUMBER:g}"
    )
    refuse(f"{where}: {key} is {kind_of(value)} ({value!r:.40}), expected {wanted}")


def typed_section(entry: dict[str, Any], key: str, kinds: Mapping[str, type], where: str) -> dict[str, Any]:
    """The object under key, which has exactly these keys with values of these types."""
    section = value_of(entry, key, dict, where)
    exactly(section, f"{where} {key}", " ".join(kinds))
    return {name: value_of(section, name, kind, f"{where} {key}") for name, kind in kinds.items()}


def objects(manifest: dict[str, Any], key: str, keys: str, most: int = MOST_ENTRIES) -> list[dict[str, Any]]:
    """The objects listed under key, at least one and so many at most, each with exactly these keys, between spaces."""
    entries: list[dict[str, Any]] = value_of(manifest, key, list, "manifest")
    if not entries:
        refuse(f"{key} is empty")
    if len(entries) > most:
        refuse(f"{key} has {len(entries):,} entries, expected at most {most:,}")
    for entry in entries:
        if not isinstance(entry, dict):
            refuse(f"{key} holds {kind_of(entry)}, expected objects")
        exactly(entry, key, keys)
    return entries

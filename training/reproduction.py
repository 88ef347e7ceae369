"""Whether a fit was made again as it was: `python -m training.reproduction SHIPPED MADE`, as `make retrain` runs it.

Same hash, or which files differ and how far: of arrays the largest difference, of manifests the places.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import safetensors.numpy

FILES: Final = ("manifest.json", "weights.safetensors", "baselines.json", "baselines.safetensors")
MOST_PLACES: Final = 20  # of a manifest, that are told


def main() -> int:
    """Compare the directories that the command line names; 0 where all files are the same, else 1."""
    parser = argparse.ArgumentParser(prog="python -m training.reproduction", description="Compare two bundles' files.")
    parser.add_argument("shipped", type=Path)
    parser.add_argument("made", type=Path)
    given = parser.parse_args()
    same, lines = compared(given.shipped, given.made)
    print("\n".join(lines))  # noqa: T201
    return 0 if same else 1


def compared(shipped: Path, made: Path) -> tuple[bool, list[str]]:
    """Whether all files of two bundles are the same, and a line for each file and difference. Raises OSError."""
    lines, same = [], any(os.path.exists(place / FILES[0]) for place in (shipped, made))
    if not same:
        lines.append(f"{FILES[0]}: neither in {shipped} nor in {made}")
    for name in FILES:
        one, other = shipped / name, made / name
        if not os.path.exists(one) and not os.path.exists(other):
            continue
        if not os.path.exists(one) or not os.path.exists(other):
            same = False
            lines.append(f"{name}: only in {shipped if os.path.exists(one) else made}")
            continue
        sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (one, other)]
        if sums[0] == sums[1]:
            lines.append(f"{name}: same hash, {sums[0]}")
            continue
        same = False
        lines.append(f"{name}: differs, {sums[0]} is shipped and {sums[1]} made")
        differences = array_differences if one.suffix == ".safetensors" else manifest_differences
        lines += [f"  {line}" for line in differences(one, other)]
    return same, [*lines, "same hash" if same else "not the same"]


def array_differences(one: Path, other: Path) -> Iterator[str]:
    """A line for each array that is not the same in two files of them, with the largest difference of its numbers."""
    arrays, others = safetensors.numpy.load_file(one), safetensors.numpy.load_file(other)
    for name in sorted(arrays.keys() | others.keys()):
        array, again = arrays.get(name), others.get(name)
        if array is None or again is None:
            yield f"{name}: only in one of them"
        elif array.shape != again.shape or array.dtype != again.dtype:
            yield f"{name}: {array.dtype} {array.shape} and {again.dtype} {again.shape}"
        elif not np.array_equal(array, again):
            apart = np.abs(array.astype(np.float64) - again.astype(np.float64))
            yield f"{name}: {np.count_nonzero(apart):,} of {array.size:,} numbers differ, by {apart.max():.3g} at most"


def manifest_differences(one: Path, other: Path) -> list[str]:
    """Places at which two manifests say different things, with both."""
    found = list(_differences(*(json.loads(path.read_text(encoding="utf-8")) for path in (one, other))))
    more = [f"and {len(found) - MOST_PLACES:,} more places"] if len(found) > MOST_PLACES else []
    return [*found[:MOST_PLACES], *more]


def _differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if key not in one or key not in other:
                yield f"{place}{key}: only in one of them"
            else:
                yield from _differences(one[key], other[key], f"{place}{key}.")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (first, second) in enumerate(zip(one, other, strict=True)):
            yield from _differences(first, second, f"{place}{number}.")
    elif one != other or type(one) is not type(other):
        yield f"{place.removesuffix('.')}: {one!r:.60} and {other!r:.60}"


if __name__ == "__main__":
    sys.exit(main())

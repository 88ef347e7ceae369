"""Bundles that are as they must be, and as extreme as they may be: each number at an end of what is allowed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.trust.hostile_bundles import Arrays, Manifest, Parts

TINY, HUGE, MOST = 5e-324, 1.79e308, 1e30


def valid_bundle(parts: Parts, rng: np.random.Generator) -> Parts:
    """A bundle with the shapes and names of another, and numbers of its own."""
    own = parts.copy()
    for entry in own.manifest["detectors"]:
        _change_detector(entry, own.arrays, rng)
    for entry in (*own.manifest["votes"].values(), *own.manifest.get("classes", ())):
        _change_calibration(entry, own.arrays, rng)
    rates = np.sort(rng.choice([TINY, 1e-9, 0.1, 0.49, 1.0], (2, len(own.manifest["thresholds"]))), axis=1)
    for number, each in enumerate(own.manifest["thresholds"]):
        each.update(known=float(rates[0, number]), novel=float(rates[1, number]))
    for column in own.manifest["normal"]:
        low, middle, high, highest = np.sort(rng.choice([-MOST, -1.0, 0.0, TINY, 1.0, 1e18, MOST], 4)).tolist()
        column.update(p01=low, median=middle, p99=high, p999=highest)
    for name in own.manifest.get("masked", {}):
        own.manifest["masked"][name] = float(rng.choice([-MOST, 0.0, TINY, MOST]))
    for feature in own.manifest.get("encoding", ()):
        feature["parameters"] = [float(rng.choice([-MOST, -1.0, 0.0, MOST])) for _ in feature["parameters"]]
    for group in own.manifest.get("support", ()):
        group["flows"] = int(rng.choice([0, 9, 10, (1 << 53) - 1]))
    return own


def _change_detector(entry: Manifest, arrays: Arrays, rng: np.random.Generator) -> None:
    name, kind, settings = entry["name"], entry["kind"], entry["settings"]
    entry["weight"] = float(rng.choice([1e-6, 1.0, 1e6]))
    _fill(arrays, f"{name}.center", rng.choice([-HUGE, -1.0, 0.0, TINY, 5.0, HUGE], len(entry["columns"])))
    _fill(arrays, f"{name}.scale", rng.choice([TINY, 1e-30, 1.0, HUGE], len(entry["columns"])))
    if kind == "lstm":
        settings.update(
            reset_ns=int(rng.choice([1, 10**9, (1 << 62) - 1])),
            dt_center=float(rng.choice([-MOST, 0.0, MOST])),
            dt_scale=float(rng.choice([TINY, 1.0, MOST])),
        )
        for role in ("kernel", "recurrent", "bias", "head_kernel", "head_bias"):
            array = arrays[f"{name}.{role}"]
            arrays[f"{name}.{role}"] = rng.choice([-1e6, -1.0, 0.0, 1e-38, 1.0, 1e6], array.shape).astype(array.dtype)
    else:
        threshold = arrays[f"{name}.threshold"]
        threshold[...] = rng.choice([-HUGE, -8.0, -1.0, 0.0, TINY, 1.0, 8.0, HUGE], threshold.shape)
        value = arrays[f"{name}.value"]
        if kind == "isolation_forest":
            settings["psi"] = int(rng.choice([1, 2, 3, 256, (1 << 31) - 1]))
            value[...] = rng.choice([0.0, TINY, 1.0, 8.0, 512.0], value.shape)
        else:
            value[...] = np.eye(value.shape[1])[rng.integers(0, value.shape[1], len(value))]
    _change_calibration(entry, arrays, rng)


def _change_calibration(entry: Manifest, arrays: Arrays, rng: np.random.Generator) -> None:
    knots = len(arrays[f"{entry['name']}.scores"])
    ends = rng.choice([-1e12, -1.0, 0.0, TINY, 0.5, 1.0, 40.0, 1e12], 2)
    scores = np.unique(np.concatenate((ends, np.linspace(ends.min(), ends.max(), knots))))[:knots]
    scores = np.concatenate((scores, scores[-1] + np.arange(1, knots - len(scores) + 1)))
    scores = scores - max(0.0, scores[-1] - 1e12)
    scores = _ascending(scores)
    _fill(arrays, f"{entry['name']}.scores", scores)
    top = rng.choice([1.0, 0.5, 1e-3])
    _fill(arrays, f"{entry['name']}.survival", np.geomspace(top, rng.choice([1e-300, 1e-9, top * 0.9]), knots))
    entry["calibration"] = {
        "count": int(rng.choice([1, 100, (1 << 53) - 1])),
        "tail_start": float(rng.choice([-1e12, 0.0, 0.5, 1.0, 1e12])),
        "tail_share": float(rng.choice([TINY, 0.01, 1.0])),
        "shape": float(rng.choice([-1.0, -1e-10, 0.0, 1e-10, 0.9, 1.0])),
        "sigma": float(rng.choice([TINY, 1e-9, 1.0, 1e12])),
        "log_odds": bool(rng.random() < 0.5),
    }


def _ascending(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same where they ascend, else the simplest that do, as many."""
    return scores if (np.diff(scores) > 0).all() and np.abs(scores).max() <= 1e12 else np.arange(len(scores)) / 7.0


def _fill(arrays: Arrays, name: str, numbers: NDArray[Any]) -> None:
    arrays[name][...] = numbers

"""Small NSL-KDD and KDD'99 files for tests: records made from a seed, with any cell replaced."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flows.kdd.columns import KDD_COLUMNS, SYMBOLS

NAMES = [column.name for column in KDD_COLUMNS]


def record(label: str = "normal", *, difficulty: str | None = "21", seed: int = 0, **cells: str) -> str:
    """A line of a file without its end; cells by the names of their columns. difficulty: None leaves it out."""
    rng = np.random.default_rng(seed)
    row = {}
    for column in KDD_COLUMNS:
        if column.kind == "symbol":
            row[column.name] = str(rng.choice(SYMBOLS[column.name]))
        elif column.kind == "share":
            row[column.name] = f"{rng.integers(0, 101) / 100:.2f}"
        else:
            row[column.name] = str(rng.integers(0, 2 if column.kind == "truth" else 500))
    return ",".join([*(row | cells).values(), label, *([] if difficulty is None else [difficulty])])


def records(labels: Sequence[str], *, difficulty: str | None = "21", **cells: str) -> list[str]:
    """A record of each label, each from its own seed."""
    return [record(label, difficulty=difficulty, seed=i, **cells) for i, label in enumerate(labels)]


def written(path: Path, lines: Sequence[str], end: str = "\n") -> Path:
    """A file of the given lines."""
    path.write_text(end.join(lines) + end, encoding="utf-8", newline="")
    return path

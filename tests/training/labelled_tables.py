"""Small labelled tables for tests, of any kind: amounts drawn from a seed, families and parts as they are asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from training.explore.table import Coded, ExploredColumn, LabelledTable, coded

DAY_NS = 86_400 * 1_000_000_000
FIRST_NS = 17_350 * DAY_NS  # 2017-07-03


def table(
    families: Sequence[str], columns: dict[str, Sequence[float]], *, parts: Sequence[str] | None = None, **others: Any
) -> LabelledTable:
    """A table of the given columns, one row a family given; others replace any field of the table."""
    n = len(families)
    fields: dict[str, Any] = {
        "name": "made.csv",
        "row": "flow",
        "files": ("made.csv",),
        "columns": tuple(ExploredColumn(name, "bytes") for name in columns),
        "values": np.array(list(columns.values()), dtype=np.float64).reshape(len(columns), n).T,
        "categories": {},
        "aside": (),
        "label": coded(np.array(families, dtype=np.str_)),
        "family": coded(np.array(families, dtype=np.str_)),
        "normal": "BENIGN",
        "part": coded(np.array(parts if parts is not None else ["one"] * n, dtype=np.str_)),
        "part_is": "day",
        "time_ns": FIRST_NS + np.arange(n, dtype=np.int64) * 60_000_000_000,
        "techniques": {},
        "unfit": (),
        "repairs": {},
        "hypotheses": (),
        "pairs": (),
        "sha256": "0" * 64,
    }
    return LabelledTable(**{**fields, **others})


def category(values: Sequence[str]) -> Coded:
    """A category of the given value in each row."""
    return coded(np.array(list(values), dtype=np.str_))


def mixed(rows: int = 300, seed: int = 3, **others: Any) -> LabelledTable:
    """Normal rows and two families: scans are short and small, floods long and small; three columns that vary."""
    rng = np.random.default_rng(seed)
    families = rng.choice(["BENIGN", "Scan", "Flood"], rows, p=[0.5, 0.3, 0.2])
    scale = np.select([families == "Scan", families == "Flood"], [1.0, 1e6], 1e3)
    columns = {
        "duration": scale * rng.lognormal(0, 0.5, rows),
        "size": np.where(families == "BENIGN", 500.0, 40.0) * rng.lognormal(0, 0.5, rows),
        "noise": rng.normal(0, 10, rows),
    }
    flag = np.where(families == "Scan", "S0", rng.choice(["SF", "REJ"], rows))
    given = {"categories": {"flag": coded(flag)}, "parts": ["1", "2"] * (rows // 2)} | others
    return table(families.tolist(), {name: values.tolist() for name, values in columns.items()}, **given)

"""Labelled connection records and a small recipe for the tests of fits and evaluations."""

from pathlib import Path

import numpy as np

from flows.kdd.columns import KDD_COLUMNS, SYMBOLS
from training.datasets.kdd import KddTable
from training.labels import KDD_FAMILIES
from training.recipe import KddRecipe

AT = {column.name: i for i, column in enumerate(KDD_COLUMNS)}
KINDS = 12  # of normal traffic, each unlike the others
COUNTS = {"normal": 900, "neptune": 120, "back": 60, "satan": 80, "guess_passwd": 50, "rootkit": 4}
RECIPE = """\
name: small
records: kdd
content: true
seed: 7
dataset: {name: made up, file: train.txt, sha256: "%s", citation: none, warnings: [made up]}
random_forest: {trees: 8, leaves: 32, balance: 0.5, smallest_family: 20}
iforest: {trees: 20, sample: 64}
calibrate: {clusters: 12, folds: 3}
rates: [0.01, 0.001, 0.05]
"""


def recipe_text(sha256: str = "0" * 64) -> str:
    return RECIPE % sha256


def small_recipe(**changes: object) -> KddRecipe:
    import yaml

    return KddRecipe.model_validate(yaml.safe_load(recipe_text()) | changes)


def kdd_table(seed: int = 1, **counts: int) -> KddTable:
    """Normal records of KINDS kinds, and attacks that each stand out in another way; so many of each name."""
    rng = np.random.default_rng(seed)
    told = COUNTS | counts
    label = np.repeat(list(told), list(told.values()))
    n = len(label)
    records = np.zeros((n, len(KDD_COLUMNS)))
    kind = rng.integers(0, KINDS, n)
    records[:, AT["service"]] = 10 + kind
    records[:, AT["protocol_type"]] = SYMBOLS["protocol_type"].index("tcp")
    records[:, AT["flag"]] = SYMBOLS["flag"].index("SF")
    records[:, AT["src_bytes"]] = np.round(rng.lognormal(3 + 0.5 * kind, 0.2))
    records[:, AT["dst_bytes"]] = np.round(rng.lognormal(9 - 0.5 * kind, 0.2))
    records[:, AT["count"]] = rng.poisson(2 + kind)
    records[:, AT["same_srv_rate"]] = np.round(rng.random(n), 2)
    for name, cells in (
        ("neptune", {"flag": SYMBOLS["flag"].index("S0"), "serror_rate": 1.0, "src_bytes": 0, "count": 255}),
        ("back", {"src_bytes": 54540, "hot": 2}),
        ("satan", {"flag": SYMBOLS["flag"].index("REJ"), "rerror_rate": 1.0, "src_bytes": 0}),
        ("guess_passwd", {"num_failed_logins": 1, "service": SYMBOLS["service"].index("telnet")}),
        ("rootkit", {"root_shell": 1}),
    ):
        for column, value in cells.items():
            records[label == name, AT[column]] = value
    order = rng.permutation(n)
    family = np.array([KDD_FAMILIES[name] for name in label])
    return KddTable(records[order], label[order], family[order], np.full(n, -1), {}, "0" * 64, Path("made.txt"))


def as_kdd_text(table: KddTable, path: Path) -> Path:
    """The records as a file of NSL-KDD without difficulty."""
    lines = []
    for row, label in zip(table.records, table.label, strict=True):
        cells = [
            SYMBOLS[column.name][int(value)] if column.kind == "symbol" else f"{value:g}"
            for column, value in zip(KDD_COLUMNS, row, strict=True)
        ]
        lines.append(",".join([*cells, str(label)]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path

"""Importance of columns: what the hybrid's ranking and its recall lose when a column's values change places.

Columns say much the same as one another, so each alone looks less important than it is: a low figure does not mean that
a column is unused. Permutation importance: Breiman, "Random Forests", 2001, section 10.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from flows.columns import COLUMNS
from models.fusion import Hybrid
from training.datasets.table import FlowTable
from training.datasets.texts import texts_in
from training.evaluation.figures import attacks, rate_name, rounded
from training.evaluation.outcome import JudgedTable, as_they_stand
from training.labels import BENIGN
from training.measure import HYBRID
from training.reporting import Report

PER_CLASS = 500  # rows of each label at most
NORMAL = 2000
REPEATS = 3
FINGERPRINTS = frozenset(column.name for column in COLUMNS if column.use == "site")


def importance(hybrid: Hybrid, table: JudgedTable, rate: float, seed: int, report: Report) -> dict[str, Any]:
    """Mean loss of area under the ROC curve and of recall at a rate, over seeded permutations of each column.

    On a seeded subsample, in time order, with the hosts as they are: neighbouring flows are missing from it.
    """
    sample = table.take(_subsample(table, seed))
    if isinstance(sample, FlowTable):
        sample = replace(sample, reported=None)  # whose values would stay as they are while the flows' are exchanged
    whole_auc, whole_recall = _judged(hybrid, sample, rate)
    columns = hybrid.seen[hybrid.seen < sample.values.shape[1]]  # of masked ones nobody knows what they say
    rng = np.random.default_rng([seed, 3])
    losses = []
    values = sample.values
    for i, at in enumerate(columns):
        kept = values[:, at].copy()
        changed = []
        for _ in range(REPEATS):
            values[:, at] = kept[rng.permutation(len(kept))]
            changed.append(_judged(hybrid, sample, rate))
        values[:, at] = kept
        auc, recall = np.mean(changed, axis=0)
        losses.append((hybrid.normal.columns[at], whole_auc - auc, whole_recall - recall))
        if (i + 1) % 20 == 0:
            report(f"  importance: {i + 1} of {len(columns)} columns")
    losses.sort(key=lambda row: (-row[1], -row[2], row[0]))
    return {
        "flows": len(sample),
        "repeats": REPEATS,
        "rate": rate_name(rate),
        "auc": rounded(whole_auc),
        "recall": rounded(whole_recall),
        "columns": [
            {
                "column": name,
                "auc_loss": rounded(auc),
                "recall_loss": rounded(recall),
                "fingerprint": name in FINGERPRINTS,
            }
            for name, auc, recall in losses
        ],
    }


def _judged(hybrid: Hybrid, sample: JudgedTable, rate: float) -> tuple[float, float]:
    found = as_they_stand((hybrid, None), sample, _silent)
    attack = attacks(found)
    return float(roc_auc_score(attack, found.scores[HYBRID])), float(found.found(HYBRID, rate)[attack].mean())


def _subsample(table: JudgedTable, seed: int) -> NDArray[np.int64]:
    rng = np.random.default_rng([seed, 2])
    rows = []
    for label in texts_in(table.label):
        own = np.flatnonzero(table.label == label)
        most = NORMAL if table.family[own[0]] == BENIGN else PER_CLASS
        rows.append(rng.permutation(own)[:most])
    return np.sort(np.concatenate(rows))


def _silent(line: str) -> None:
    """Hundreds of small judgements need no word each."""
    del line

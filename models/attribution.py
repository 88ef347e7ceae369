"""Which columns moved a verdict: those whose return to normal takes the most of it back, one after the other.

Greedy occlusion: of all columns the one is restored to the normal median that lowers the evidence most, then the next
beside it. Hosts are taken as unknown, so that a flow's explanation depends on that flow and on the model, whatever was
judged before or beside it. Zeiler, Fergus, "Visualizing and Understanding Convolutional Networks", 2014 (there: patches
of a picture). It does not know what a column means.
"""

import numpy as np
from numpy.typing import NDArray

from models.detector import Steps, Vector
from models.fusion import Hybrid, Judgement

UNKNOWN_HOST = -1  # both words: an address that sends nothing, so it never has a state
ROWS = 256  # flows explained at a time
TIE = 1e-6  # of the scores, between rows whose p-values are as small as they can be

Columns = NDArray[np.int64]


def top_columns(
    hybrid: Hybrid, values: NDArray[np.float64], lanes: NDArray[np.bool_], candidates: Columns, count: int = 3
) -> Columns:
    """Positions of the columns that moved each row's evidence most, strongest first, (m, count).

    values: (m, c) raw columns in the order of the feature contract. lanes: (m, 2), whose evidence counts: known, novel.
    candidates: (k,) positions that may be named, at least count of them. The hosts' states stay as they are.
    """
    chosen = np.empty((len(values), count), dtype=np.int64)
    for at in range(0, len(values), ROWS):
        part = slice(at, at + ROWS)
        chosen[part] = _of_few(hybrid, values[part], lanes[part], candidates, count)
    return chosen


def _of_few(
    hybrid: Hybrid, values: NDArray[np.float64], lanes: NDArray[np.bool_], candidates: Columns, count: int
) -> Columns:
    rows, each = np.arange(len(values)), np.arange(len(candidates))
    restored = values.copy()
    chosen = np.empty((len(values), count), dtype=np.int64)
    for place in range(count):
        variants = np.repeat(restored[:, None, :], len(candidates), axis=1)
        variants[:, each, candidates] = hybrid.normal.median[candidates]
        evidence = _evidence(hybrid, variants.reshape(-1, values.shape[1]), np.repeat(lanes, len(candidates), axis=0))
        evidence = evidence.reshape(len(values), len(candidates))
        for earlier in range(place):  # restored already: it would be named twice where nothing else helps
            evidence[candidates[None, :] == chosen[:, earlier, None]] = np.inf
        chosen[:, place] = candidates[np.argmin(evidence, axis=1)]
        restored[rows, chosen[:, place]] = hybrid.normal.median[chosen[:, place]]
    return chosen


def _evidence(hybrid: Hybrid, values: NDArray[np.float64], lanes: NDArray[np.bool_]) -> Vector:
    """What the chosen lanes say of each row, the larger the less normal."""
    host = np.full((len(values), 2), UNKNOWN_HOST, dtype=np.int64)
    still = np.zeros(len(values), dtype=np.bool_)
    judgement: Judgement = hybrid.judge(Steps(values, host, np.zeros(len(values), dtype=np.int64), still))
    said = np.stack([-np.log(judgement.p_known), -np.log(judgement.p_novel)], axis=1)
    scores = np.sum(list(judgement.scores.values()), axis=0)
    result: Vector = np.where(lanes, said, 0.0).sum(axis=1) + TIE * scores
    return result

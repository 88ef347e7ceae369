"""Which columns moved a verdict: those whose return to normal takes the most of it back, one after the other.

Greedy occlusion: of all groups of columns the one is restored to the normal medians that lowers the evidence most, then
the next beside it. Columns tied to each other belong in one group: restored alone, each would leave a flow that cannot
be, whose other columns still say the same. Hosts are taken as unknown, so that a flow's explanation depends on that
flow and on the model, whatever was judged before or beside it. Zeiler, Fergus, "Visualizing and Understanding
Convolutional Networks", 2014 (there: patches of a picture). It does not know what a column means.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.detector import FlowSteps, Vector
from models.fusion import Hybrid, Judgement

UNKNOWN_HOST = -1  # both words: an address that sends nothing, so it never has a state
ROWS = 256  # flows explained at a time
TIE = 1e-6  # of the scores, between rows whose p-values are as small as they can be

Columns = NDArray[np.int64]
Groups = Sequence[Sequence[int]] | NDArray[np.int64]  # positions together; of an array each by itself


def top_columns(
    hybrid: Hybrid, values: NDArray[np.float64], lanes: NDArray[np.bool_], groups: Groups, count: int = 3
) -> Columns:
    """Of the groups that moved each row's evidence most, strongest first, the leading columns: positions, (m, count).

    values: (m, c) raw columns in the order of the feature contract; NaN in masked columns, which are never named.
    lanes: (m, 2), whose evidence counts: known, novel. groups: columns that are restored together, no column in two of
    them. The hosts' states stay as they are. -1 stands where no further group is known of a row, as where there are
    fewer groups than that.
    """
    if len(groups) < count:
        fewer = top_columns(hybrid, values, lanes, groups, len(groups)) if len(groups) else np.empty((len(values), 0))
        return np.pad(fewer.astype(np.int64), ((0, 0), (0, count - len(groups))), constant_values=-1)
    hybrid = judging_all(hybrid)
    member = np.zeros((len(groups), values.shape[1]), dtype=np.bool_)
    for place, group in enumerate(groups):
        member[place, np.atleast_1d(group)] = True
    known = ~np.isnan(values)
    if not known.all() and hybrid.masking is not None:
        values = hybrid.filled(values)
    chosen = np.empty((len(values), count), dtype=np.int64)
    for at in range(0, len(values), ROWS):
        part = slice(at, at + ROWS)
        chosen[part] = _of_few(hybrid, values[part], lanes[part], _members(member, known[part]), count)
    return chosen


def judging_all(hybrid: Hybrid) -> Hybrid:
    """The model without its support: a flow that cannot be, halfway restored, has lost no evidence by that."""
    return hybrid if hybrid.support is None else replace(hybrid, support=None)


def _members(member: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Each row's groups without the columns that it does not know, (m, g, c). member: (g, c). known: (m, c)."""
    if known.all():
        return np.broadcast_to(member, (len(known), *member.shape))
    return member & known[:, None, :]


def _of_few(
    hybrid: Hybrid, values: NDArray[np.float64], lanes: NDArray[np.bool_], member: NDArray[np.bool_], count: int
) -> Columns:
    rows, median = np.arange(len(values)), hybrid.normal.median
    restored = values
    taken: NDArray[np.bool_] = np.logical_not(np.any(member, axis=2))  # of which nothing is known
    before, chosen = [], []
    for _ in range(count):
        variants = np.where(member, median, restored[:, None, :]).reshape(-1, values.shape[1])
        evidence = _evidence(hybrid, variants, np.repeat(lanes, member.shape[1], axis=0)).reshape(taken.shape)
        evidence[taken] = np.inf  # it would be named twice where nothing else helps
        group = np.argmin(evidence, axis=1)
        own = member[rows, group] & ~taken[rows, group][:, None]
        taken[rows, group] = True
        before.append(restored)
        chosen.append(own)
        restored = np.where(own, median, restored)
    leading = _leading(hybrid, np.concatenate(before), np.tile(lanes, (count, 1)), np.concatenate(chosen))
    return leading.reshape(count, len(values)).T


def _leading(
    hybrid: Hybrid, values: NDArray[np.float64], lanes: NDArray[np.bool_], group: NDArray[np.bool_]
) -> Columns:
    """Of each row's group, (m, c), the column that keeps most of the evidence when its siblings alone are restored.

    A column that is at its median leads only where all are; -1 of an empty group.
    """
    median = hybrid.normal.median
    row, column = np.nonzero(group)
    variants = np.where(group, median, values)[row]
    kept = values[row, column]
    variants[np.arange(len(row)), column] = kept
    evidence = _evidence(hybrid, variants, lanes[row])
    ranked = np.full(values.shape, -np.inf)
    ranked[row, column] = np.where(kept == median[column], np.finfo(np.float64).min, evidence)
    leading: Columns = np.where(group.any(axis=1), np.argmax(ranked, axis=1), -1)
    return leading


def _evidence(hybrid: Hybrid, values: NDArray[np.float64], lanes: NDArray[np.bool_]) -> Vector:
    """What the chosen lanes say of each row, the larger the less normal."""
    host = np.full((len(values), 2), UNKNOWN_HOST, dtype=np.int64)
    still = np.zeros(len(values), dtype=np.bool_)
    judgement: Judgement = hybrid.judge(FlowSteps(values, host, np.zeros(len(values), dtype=np.int64), still))
    said = np.stack([-np.log(judgement.p_known), -np.log(judgement.p_novel)], axis=1)
    scores = np.sum(list(judgement.scores.values()), axis=0)
    result: Vector = np.where(lanes, said, 0.0).sum(axis=1) + TIE * scores
    return result

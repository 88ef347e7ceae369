"""Deletion test: does an alert's explanation name what made the alert?

The named columns of a flagged flow are set to what is normal and the flow is judged again, in the state in which its
host was; an explanation that is right takes the flow below its threshold. Samek et al., "Evaluating the Visualization
of What a Deep Neural Network Has Learned", 2017 (there: pixels).
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.detector import Steps
from models.fusion import BENIGN, Hybrid
from training.datasets.table import FlowTable, Int64s
from training.evaluation.figures import interval, rounded
from training.evaluation.intervals import wilson
from training.measure import steps_of
from training.sequences import Reports, reports

MOST = 2000  # flagged flows looked at
CHUNK = 1 << 16  # reports judged at a time: a table may be a memory map

# Names the columns behind flagged rows: model, raw rows (m, c), lanes that spoke (m, 2), positions that may be named
# (k,), to positions (m, 3), as models.attribution.top_columns does.
Explain = Callable[[Hybrid, NDArray[np.float64], NDArray[np.bool_], Int64s], Int64s]


def deletion(
    hybrid: Hybrid, table: FlowTable, host: Int64s, candidates: Int64s, explain: Explain, seed: int
) -> dict[str, Any]:
    """Share of flagged flows that no lane flags once their three columns are normal, over all and by true label.

    At the default rate. A flow is looked at in its first flagged report; of very many, a seeded subsample. candidates:
    positions of the columns that may be named. host_unknown: the same of those flows that are flagged without anything
    known of their host: what is left flagged in the state of the host alone, no column of this flow explains.
    """
    told = reports(table.values, table.start_ns, table.end_ns)
    spoken = _spoken(hybrid, table, host, told)
    flagged = np.flatnonzero(spoken.any(axis=1))
    chosen = flagged[np.unique(told.row[flagged], return_index=True)[1]]
    if len(chosen) > MOST:
        chosen = np.random.default_rng([seed, 4]).permutation(chosen)[:MOST]
    chosen = np.sort(chosen)
    if not len(chosen):
        return {"flows": 0, "share": None, "interval": None, "host_unknown": None, "by_class": {}}
    true = np.asarray(table.values[told.row[chosen]])
    columns = explain(hybrid, true.copy(), spoken[chosen], candidates)
    restored = true.copy()
    np.put_along_axis(restored, columns, hybrid.normal.median[columns], axis=1)
    cleared = _again(hybrid, table, host, told, chosen, restored) == BENIGN
    alone = _unknown(hybrid, true) != BENIGN
    alone_cleared = int((alone & (_unknown(hybrid, restored) == BENIGN)).sum())
    label = table.label[told.row[chosen]]
    return {
        "flows": len(chosen),
        "share": rounded(float(cleared.mean())),
        "interval": interval(wilson(int(cleared.sum()), len(cleared))),
        "host_unknown": {
            "flows": int(alone.sum()),
            "share": rounded(alone_cleared / int(alone.sum())) if alone.any() else None,
            "interval": interval(wilson(alone_cleared, int(alone.sum()))),
        },
        "by_class": {
            str(name): {"n": int((label == name).sum()), "share": rounded(float(cleared[label == name].mean()))}
            for name in np.unique(label)
        },
    }


def _spoken(hybrid: Hybrid, table: FlowTable, host: Int64s, told: Reports) -> NDArray[np.bool_]:
    """(m, 2), for each report that the hybrid flags, which of the lanes spoke: known, novel."""
    cuts = hybrid.thresholds[hybrid.default_rate]
    spoken = np.zeros((len(told), 2), dtype=np.bool_)
    hybrid.forget()
    for span, steps in _chunks(table, host, told):
        judged = hybrid.judge(steps)
        below = np.stack([judged.p_known < cuts[0], judged.p_novel < cuts[1]], axis=1)
        spoken[span] = below & (judged.verdict != BENIGN)[:, None]
    hybrid.forget()
    return spoken


def _again(
    hybrid: Hybrid, table: FlowTable, host: Int64s, told: Reports, chosen: Int64s, restored: NDArray[np.float64]
) -> NDArray[np.int8]:
    """Verdicts of the restored rows of the chosen reports, each in the state that its host then had.

    The restored step goes before the true one and leaves no trace: it does not advance.
    """
    verdicts = []
    hybrid.forget()
    for span, steps in _chunks(table, host, told):
        low, high = np.searchsorted(chosen, (span.start, span.stop))
        own = chosen[low:high] - span.start
        twice = np.sort(np.concatenate([np.arange(len(steps)), own]))
        first = np.flatnonzero(np.diff(twice, append=-1) == 0)
        values, advances = steps.values[twice], steps.advances[twice]
        values[first], advances[first] = restored[low:high], False
        again = hybrid.judge(Steps(values, steps.host[twice], steps.time_ns[twice], advances))
        verdicts.append(again.verdict[first])
    hybrid.forget()
    return np.concatenate(verdicts)


def _unknown(hybrid: Hybrid, values: NDArray[np.float64]) -> NDArray[np.int8]:
    """Verdicts of rows, each the first thing ever seen of its host."""
    hybrid.forget()
    nobody = np.zeros((len(values), 2), dtype=np.int64)
    still = np.zeros(len(values), dtype=np.bool_)
    return hybrid.judge(Steps(values, nobody, np.zeros(len(values), dtype=np.int64), still)).verdict


def _chunks(table: FlowTable, host: Int64s, told: Reports) -> Iterator[tuple[slice, Steps]]:
    for at in range(0, len(told), CHUNK):
        span = slice(at, min(at + CHUNK, len(told)))
        yield span, steps_of(table, host, Reports(told.row[span], told.known_ns[span], told.advances[span]))

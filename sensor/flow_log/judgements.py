"""What a flow log says of its records, as the judge said it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flows.batch import FlowBatch
from models.fusion import VERDICTS, Judgement
from sensor.flow_log.columns import CIRCUMSTANCES, P_VALUES, SCORE, JudgedBy, JudgedRecords
from sensor.flow_log.decoding import RowError, codes_of, logged_records, numbers_of, whole_numbers_of

if TYPE_CHECKING:
    import pyarrow as pa


def judged_records(rows: "pa.RecordBatch", by: JudgedBy) -> Iterator[JudgedRecords]:
    """Records of rows of a flow log with what was said of them; each part has one circumstance. Raises RowError."""
    records = logged_records(rows)
    p_known, p_novel = (_probabilities(rows, name) for name in P_VALUES)
    scores = {name: numbers_of(rows.column(SCORE + name), SCORE + name) for name in by.detectors}
    for name, score in scores.items():
        if not np.isfinite(score).all():
            raise RowError(f"{SCORE}{name} has a value that is not finite")
    judgement = Judgement(
        verdict=codes_of(rows.column("verdict"), VERDICTS, "verdict").astype(np.int8),
        p_known=p_known,
        p_novel=p_novel,
        scores=scores,
        label=codes_of(rows.column("label"), by.labels, "label"),
        judged=numbers_of(rows.column("judged"), "judged").astype(np.bool_),
    )
    dropped, steps = (whole_numbers_of(rows.column(name), name) for name in CIRCUMSTANCES)
    changes = np.flatnonzero((np.diff(dropped) != 0) | (np.diff(steps) != 0)) + 1
    for first, end in zip([0, *changes.tolist()], [*changes.tolist(), len(records)], strict=True):
        part = slice(first, end)
        yield JudgedRecords(
            FlowBatch(records.identity[part], records.values[part]),
            _part(judgement, part),
            by,
            int(dropped[first]),
            int(steps[first]),
        )


def _probabilities(rows: "pa.RecordBatch", name: str) -> NDArray[np.float64]:
    p = numbers_of(rows.column(name), name)
    if not ((p > 0) & (p <= 1)).all():
        raise RowError(f"{name} has a value that is no p-value, expected more than 0, at most 1")
    return p


def _part(judgement: Judgement, part: slice) -> Judgement:
    return Judgement(
        verdict=judgement.verdict[part],
        p_known=judgement.p_known[part],
        p_novel=judgement.p_novel[part],
        scores={name: score[part] for name, score in judgement.scores.items()},
        label=judgement.label[part],
        judged=judgement.judged[part],
    )

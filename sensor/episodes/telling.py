"""What is told of the flows of a batch: claims and flagged flows in one order, as plain numbers.

Most of an episode's cost is Python objects a flow, so whole chunks of rows are made into numbers at once.
"""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flows.batch import PROTOCOL, FlowBatch
from flows.columns import INDEX
from flows.roles import ICMP, ICMP6
from models.fusion import Judgement
from sensor.alerts.seen_names import FlowNames
from sensor.episodes.claims import C_CLOCK, C_INDEX, C_KIND, C_ROW, Claims
from sensor.episodes.episode import Episode, Exemplar, FlaggedFlow
from sensor.episodes.evidence import F_CLOCK, F_INDEX, F_ROW, FlaggedRows
from sensor.episodes.shapes import KINDS
from sensor.progress.progress import OpenAlert

UNSHAPED: Final = KINDS  # a kind beside those of the shapes: what no shape accounts for
_CHUNK: Final = 256  # rows made into Python numbers at once: many more would only wake the garbage collector
_TINY: Final = float(np.finfo(np.float64).tiny)  # instead of the cut 0 of a lane that is off
_FWD_BYTES, _BWD_BYTES = INDEX["fwd_bytes"], INDEX["bwd_bytes"]
_FWD_PACKETS, _BWD_PACKETS = INDEX["fwd_packets"], INDEX["bwd_packets"]


# Of a flow's words and columns when it is reported: what tells what is known then.
NamesOf = Callable[[NDArray[np.int64], NDArray[np.float64]], Callable[[], FlowNames]]


def no_names(_identity: NDArray[np.int64], _values: NDArray[np.float64]) -> Callable[[], FlowNames]:
    """NamesOf where nobody keeps any."""
    return FlowNames


def exemplar_of(
    flow: FlaggedFlow, batch: FlowBatch, rows: NDArray[np.float64], judgement: Judgement, names_of: NamesOf
) -> Exemplar:
    """What an alert shows of a flow: copies of its columns and of the (c,) row that was judged, scores, and names."""
    scores = {name: float(score[flow.row]) for name, score in judgement.scores.items()}
    values = batch.values[flow.row].copy()
    return Exemplar(flow, values, rows[flow.row].copy(), scores, names_of(batch.identity[flow.row], values))


def told(
    claims: Claims, findings: FlaggedRows, batch: FlowBatch, judgement: Judgement, cuts: tuple[float, float]
) -> Iterator[tuple[tuple[int, int, float, int, float], FlaggedFlow]]:
    """What is told of the flows of a batch in their order, as plain numbers: (kind, row, level, traffic time, packets a
    second of the target before), flow.
    """
    words = np.concatenate([claims.words[:, C_INDEX], findings.words[:, F_INDEX]])
    kinds = np.concatenate([claims.words[:, C_KIND], np.full(len(findings.words), UNSHAPED)])
    subjects = np.concatenate([claims.words[:, C_ROW], findings.words[:, F_ROW]])
    clocks = np.concatenate([claims.words[:, C_CLOCK], findings.words[:, F_CLOCK]])
    levels = np.concatenate([claims.levels, findings.evidence.max(axis=1, initial=0.0) / findings.threshold])
    befores = np.concatenate([claims.befores, np.full(len(findings.words), -1.0)])
    order = np.argsort(words, kind="stable")
    for first in range(0, len(order), _CHUNK):
        chunk = order[first : first + _CHUNK]
        index = words[chunk]
        values = batch.values[index]
        # Of ICMP the meter counts no data: an echo that was answered has said what it can.
        speaks = ~np.isin(batch.identity[index, PROTOCOL], (ICMP, ICMP6))
        silent = speaks & (values[:, _FWD_BYTES] + values[:, _BWD_BYTES] == 0)
        failed = (values[:, _BWD_PACKETS] == 0) | silent
        p_known, p_novel = judgement.p_known[index], judgement.p_novel[index]
        known = p_known < cuts[0]
        # A flow that the known lane flagged is below 1 and stands before any that it did not.
        strength = np.where(known, p_known / max(cuts[0], _TINY), 1 + p_novel / max(cuts[1], _TINY))
        # Of those that no model judged, all last, the largest shows most.
        packets = values[:, _FWD_PACKETS] + values[:, _BWD_PACKETS]
        strength += ~judgement.judged[index] / (1 + packets)
        flows = zip(
            batch.identity[index].tolist(),
            index.tolist(),
            np.where(known, judgement.label[index], -1).tolist(),
            strength.tolist(),
            failed.tolist(),
            p_known.tolist(),
            p_novel.tolist(),
            strict=True,
        )
        about = zip(*(part[chunk].tolist() for part in (kinds, subjects, levels, clocks, befores)), strict=True)
        yield from zip(about, map(FlaggedFlow._make, flows), strict=True)


def as_it_stands(episode: Episode) -> OpenAlert:
    """What a screen shows of an open episode between two of its lines."""
    spread = episode.spread()
    return OpenAlert(
        id=episode.id,
        start_ns=episode.start_ns,
        end_ns=episode.end_ns,
        flows=spread.flows,
        packets=spread.packets,
        failed=spread.failed,
        targets=spread.targets,
        ports=spread.ports,
        origins=spread.origins,
    )

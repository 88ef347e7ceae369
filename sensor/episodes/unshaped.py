"""Flows of which a model speaks for itself, as no shape accounts for them, and flows of which none says anything."""

import numpy as np
from numpy.typing import NDArray

from flows.batch import NEW_PACKETS, PROTOCOL, REPORT, FlowBatch
from flows.roles import FAILED, OPENED, TALK
from models.fusion import Judgement
from sensor.episodes.claims import C_INDEX, Claims
from sensor.episodes.shapes import OTHER_LABEL


def unshaped(
    judgement: Judgement, claims: Claims, kinds: NDArray[np.int8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """p-values (n,) of the known and the novel lane of flows with data that no shape accounts for, NaN of all others.

    kinds: (n,) which shapes the label of each row supports; one that could support a shape says nothing by itself.
    """
    alone = claims.roles == TALK
    alone[claims.words[:, C_INDEX]] = False
    p_known = np.where(kinds >= OTHER_LABEL, judgement.p_known, 1.0)
    return np.where(alone, p_known, np.nan), np.where(alone, judgement.p_novel, np.nan)


def never_met(batch: FlowBatch, judgement: Judgement, claims: Claims) -> NDArray[np.int64]:
    """(256,) by IP protocol, flows that a model would be asked about, had it met their like in normal traffic."""
    if judgement.judged.all():
        return np.zeros(256, dtype=np.int64)
    fresh = (batch.identity[:, REPORT] == 0) & (batch.identity[:, NEW_PACKETS] > 0)
    found = fresh & ~judgement.judged & np.isin(claims.roles, (FAILED, OPENED, TALK))
    return np.bincount(batch.identity[found, PROTOCOL] & 255, minlength=256)

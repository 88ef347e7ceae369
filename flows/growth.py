"""What a report of a flow adds to the one before it: a report tells all since the flow's beginning."""

import numpy as np
from numpy.typing import NDArray

from kernels.jit import inner

FLOW_CELLS = 3  # of the flow that was reported last: its start, and the bytes sent and received by then


@inner
def grown(
    first: bool, share: float, sent: float, received: float, started: float, row: int, column: int,
    cells: NDArray[np.float64],
) -> tuple[float, float]:  # fmt: skip
    """Bytes sent and received that no report of the flow told before.

    first: whether it is the flow's first report. share: of its packets that are new. sent, received: since the flow
    began, which was at second `started`. cells: of pairs, whose row holds FLOW_CELLS from the column on, kept up here.
    """
    if first:
        new_sent, new_received = sent, received
    elif cells[row, column] == started:
        new_sent, new_received = sent - cells[row, column + 1], received - cells[row, column + 2]
    else:  # another of the pair's flows was reported since: about as many as packets
        new_sent, new_received = share * sent, share * received
    cells[row, column], cells[row, column + 1], cells[row, column + 2] = started, sent, received
    return new_sent, new_received

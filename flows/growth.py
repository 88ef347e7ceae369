"""What a report of a flow adds to the one before it: a report tells all since the flow's beginning."""

import numpy as np
from numpy.typing import NDArray

from flows.batch import NEW_PACKETS, REPORT, Identity, Values
from flows.columns import INDEX
from kernels.jit import inner

FLOW_CELLS = 3  # of the flow that was reported last: its start, and the bytes sent and received by then

_FWD_PACKETS, _BWD_PACKETS = INDEX["fwd_packets"], INDEX["bwd_packets"]
_FWD_BYTES, _BWD_BYTES = INDEX["fwd_bytes"], INDEX["bwd_bytes"]


@inner
def grown(
    identity: Identity, values: Values, i: int, started: float, row: int, column: int, cells: NDArray[np.float64]
) -> tuple[float, float]:
    """Bytes sent and received of record i that no report before it told.

    started: of the flow, s. cells: of pairs, of which this row holds FLOW_CELLS from the column on, kept up here.
    """
    sent, received = values[i, _FWD_BYTES], values[i, _BWD_BYTES]
    if identity[i, REPORT] == 0:
        new_sent, new_received = sent, received
    elif cells[row, column] == started:
        new_sent, new_received = sent - cells[row, column + 1], received - cells[row, column + 2]
    else:  # another of the pair's flows was reported since: about as many as packets
        share = identity[i, NEW_PACKETS] / (values[i, _FWD_PACKETS] + values[i, _BWD_PACKETS])
        new_sent, new_received = share * sent, share * received
    cells[row, column], cells[row, column + 1], cells[row, column + 2] = started, sent, received
    return new_sent, new_received

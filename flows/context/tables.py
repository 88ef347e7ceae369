"""Complete tables of flows as the records that their context is counted of: a row each, in the order of their ends.

A table is complete when it has every flow of its network and time, with addresses, ports and times. One that is a
sample, or of single flows, has no context: flows.context.columns.without_context.
"""

import numpy as np
from numpy.typing import NDArray

from flows.batch import (
    DST_HIGH,
    DST_PORT,
    END_DETECTED,
    END_NS,
    END_REASON,
    IDENTITY_WIDTH,
    IP_VERSION,
    NEW_PACKETS,
    PROTOCOL,
    REPORTED_NS,
    SEEN,
    SEEN_RST,
    SEEN_RST_BACK,
    SEEN_SYN,
    SEEN_SYN_BACK,
    SRC_HIGH,
    SRC_PORT,
    START_NS,
    FlowBatch,
    Values,
)
from flows.columns import INDEX

Int64s = NDArray[np.int64]


def records_of_table(
    source: Int64s, target: Int64s, version: Int64s, ports: Int64s, start_ns: Int64s, values: Values
) -> tuple[FlowBatch, Int64s]:
    """The flows of a complete table in the order of their ends, and the row of each.

    source, target: (n, 2) words of addresses as in FlowBatch. version: (n,) 4 or 6. ports: (n, 2) of source and target.
    start_ns: (n,). values: (n, columns of flow records). Which TCP flags each side sent follows from their counts: that
    a SYN was answered, where there are two and the answers are not all resets.
    """
    identity = np.zeros((len(values), IDENTITY_WIDTH), dtype=np.int64)
    identity[:, SRC_HIGH : SRC_HIGH + 2], identity[:, DST_HIGH : DST_HIGH + 2] = source, target
    identity[:, [SRC_PORT, DST_PORT]], identity[:, IP_VERSION] = ports, version
    identity[:, PROTOCOL] = values[:, INDEX["protocol"]]
    identity[:, START_NS] = start_ns
    identity[:, END_NS] = identity[:, REPORTED_NS] = start_ns + np.rint(values[:, INDEX["flow_duration"]] * 1000)
    identity[:, END_REASON] = END_DETECTED
    back = values[:, INDEX["bwd_packets"]]
    identity[:, NEW_PACKETS] = values[:, INDEX["fwd_packets"]] + back
    syn, reset = values[:, INDEX["syn_flag_count"]], values[:, INDEX["fwd_rst_flags"]] > 0
    reset_back = values[:, INDEX["bwd_rst_flags"]]
    identity[:, SEEN] = SEEN_SYN * (syn > 0) | SEEN_SYN_BACK * ((syn > 1) & (back > reset_back))
    identity[:, SEEN] |= SEEN_RST * reset | SEEN_RST_BACK * (reset_back > 0)
    order = np.argsort(identity[:, END_NS], kind="stable")
    return FlowBatch(identity[order], values[order]), order

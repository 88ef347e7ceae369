"""The two sides of a flow and its Community ID, from the words and columns of its record."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    IP_VERSION,
    PROTOCOL,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    WITH_PORTS,
    address,
)
from flows.columns import INDEX
from sensor.alerts.alert import Endpoint
from sensor.alerts.community_id import ICMP, ICMPV6, community_id


def endpoints_of(identity: Sequence[int], values: NDArray[np.float64]) -> tuple[Endpoint, Endpoint]:
    """Originator and responder. identity: words of FlowBatch.identity. values: (len(COLUMNS),) its columns."""
    ports = (identity[SRC_PORT], identity[DST_PORT]) if identity[PROTOCOL] in WITH_PORTS else (None, None)
    from_ip, to_ip = sides_of(identity)
    source = Endpoint(
        ip=from_ip,
        port=ports[0],
        bytes=int(values[INDEX["fwd_bytes"]]),
        packets=int(values[INDEX["fwd_packets"]]),
    )
    destination = Endpoint(
        ip=to_ip,
        port=ports[1],
        bytes=int(values[INDEX["bwd_bytes"]]),
        packets=int(values[INDEX["bwd_packets"]]),
    )
    return source, destination


def sides_of(identity: Sequence[int]) -> tuple[str, str]:
    """Addresses of originator and responder, as text. identity: words of FlowBatch.identity."""
    version = identity[IP_VERSION]
    return (
        address(identity[SRC_HIGH], identity[SRC_LOW], version),
        address(identity[DST_HIGH], identity[DST_LOW], version),
    )


def community_id_of(identity: Sequence[int], values: NDArray[np.float64]) -> str:
    """Of the same. Only the columns remember the type and code of an ICMP flow's first packet."""
    source, destination = endpoints_of(identity, values)
    numbers = (identity[SRC_PORT], identity[DST_PORT])
    if identity[PROTOCOL] in (ICMP, ICMPV6):
        kind, code = int(values[INDEX["icmp_type"]]), int(values[INDEX["icmp_code"]])
        numbers = (max(kind, 0), max(code, 0))
    return community_id(identity[PROTOCOL], source.ip, numbers[0], destination.ip, numbers[1])

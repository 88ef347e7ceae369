"""What a source and a destination do over hours: connections in a beat, data that leaves, what is kept open."""

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    NEW_PACKETS,
    REPORT,
    SEEN,
    SEEN_SYN,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    Identity,
    Values,
)
from flows.columns import INDEX
from flows.growth import grown
from flows.roles import SYSTEM_PORTS, is_private
from kernels.fading import Floats, Int64s, Rows, seen
from kernels.jit import inner
from sensor.episodes import shapes
from sensor.episodes.claims import TOLD, tell
from sensor.episodes.tables import (
    H_OUTWARD,
    H_REGULAR,
    P_BEAT,
    P_FLOW,
    P_OUTWARD,
    P_PACKETS,
    P_RECEIVED_DAY,
    P_SENT_DAY,
    P_SINCE,
    P_STARTS,
    STARTS,
    V_SOURCES_AT,
    count_pair,
    counted_pairs,
)

_FWD_PACKETS, _BWD_PACKETS = INDEX["fwd_packets"], INDEX["bwd_packets"]
_FWD_BYTES, _BWD_BYTES = INDEX["fwd_bytes"], INDEX["bwd_bytes"]


@inner
def beats(pair: int, start: float, source: int, pairs: Rows, starts: Floats, hosts: Rows) -> float:
    """The deviation of a pair's gaps by their median one where its latest connections came in a beat, else −1.

    Flows are reported in the order of their ends, so starts are kept in order; within a second of another a start is
    the same event.
    """
    n = int(pairs.cells[pair, P_STARTS])
    kept = starts[pair]
    k = n
    while k > 0 and kept[k - 1] > start:
        k -= 1
    if (k > 0 and start - kept[k - 1] < 1.0) or (k < n and kept[k] - start < 1.0) or (n == STARTS and k == 0):
        return -1.0
    if n == STARTS:
        k -= 1
        for older in range(k):
            kept[older] = kept[older + 1]
    else:
        for newer in range(n, k, -1):
            kept[newer] = kept[newer - 1]
        n += 1
        pairs.cells[pair, P_STARTS] = n
    kept[k] = start
    if n <= shapes.BEACON_FIRST:
        return -1.0
    gaps = kept[STARTS:]  # room behind the starts
    for k in range(n - 1):
        gaps[k] = kept[k + 1] - kept[k]
    median = _median(gaps, n - 1, 0.0)
    if median < shapes.BEACON_GAP_S:
        return -1.0
    jitter = _median(gaps, n - 1, median) / median
    if jitter > shapes.BEACON_JITTER:
        return -1.0
    count_pair(pair, P_BEAT, source, H_REGULAR, pairs, hosts)
    return jitter


@inner
def _median(numbers: Floats, n: int, centre: float) -> float:
    """Median of |number − centre| of the first n, found by counting: n is small and nothing may be allocated."""
    for a in range(n):
        value = abs(numbers[a] - centre)
        below = 0
        same = 0
        for b in range(n):
            other = abs(numbers[b] - centre)
            below += other < value
            same += other == value
        if below <= n // 2 < below + same:
            return float(value)
    return 0.0


@inner
def may_beat(identity: Identity, i: int, jitter: float, service: int, source: int, hosts: Rows, services: Rows) -> bool:
    """Whether a beat is worth a word: a monitor has many, a common service has many clients with one."""
    if (
        counted_pairs(source, H_REGULAR, hosts) > shapes.BEACON_PAIRS
        or seen(service, V_SOURCES_AT, services.cells) > shapes.COMMON_TARGET
    ):
        return False
    port = identity[i, DST_PORT]
    if is_outward(identity, i):
        return port in shapes.WEB_PORTS or identity[i, SRC_PORT] >= SYSTEM_PORTS
    return port in shapes.WEB_PORTS and jitter >= shapes.TIMER_JITTER


@inner
def is_outward(identity: Identity, i: int) -> bool:
    """Whether the destination is in no private network (RFC 1918, 4193, link-local, loopback) and the source is."""
    return not is_private(identity, i, DST_HIGH, DST_LOW) and is_private(identity, i, SRC_HIGH, SRC_LOW)


@inner
def outward(
    identity: Identity, values: Values, i: int, started: float, ended: float, source: int, pair: int, service: int,
    hosts: Rows, pairs: Rows, services: Rows, words: Int64s, levels: Floats, found: int,
) -> int:  # fmt: skip
    """What a pair carries out of a private network: much more than comes back, or a little over one kept connection.

    started, ended: of this record, seconds of traffic time.
    """
    cells, port = pairs.cells, identity[i, DST_PORT]
    first, sent, received = identity[i, REPORT] == 0, values[i, _FWD_BYTES], values[i, _BWD_BYTES]
    share = identity[i, NEW_PACKETS] / max(values[i, _FWD_PACKETS] + values[i, _BWD_PACKETS], 1.0)
    sent, received = grown(first, share, sent, received, started, pair, P_FLOW, cells)
    cells[pair, P_SENT_DAY] += sent
    cells[pair, P_RECEIVED_DAY] += received
    if cells[pair, P_PACKETS] == 0:
        cells[pair, P_SINCE] = started
    cells[pair, P_PACKETS] += identity[i, NEW_PACKETS]
    sent, received = cells[pair, P_SENT_DAY], cells[pair, P_RECEIVED_DAY]
    if identity[i, SEEN] & SEEN_SYN == 0 or port in shapes.WEB_PORTS:
        return found
    if seen(service, V_SOURCES_AT, services.cells) > shapes.COMMON_TARGET:
        return found
    if sent >= shapes.UPLOAD_RATIO * received and port not in shapes.MAIL_PORTS:
        level = sent / shapes.UPLOAD_BYTES
        if _one_of_few(pair, level, source, pairs, hosts):
            found = tell(i, shapes.UPLOAD, pair, level, words, levels, found)
    if port < SYSTEM_PORTS or port in shapes.KEPT_OPEN_PORTS or cells[pair, P_STARTS] > shapes.KEPT_CONNECTIONS:
        return found
    packets, seconds = cells[pair, P_PACKETS], ended - cells[pair, P_SINCE]
    if sent < shapes.KEPT_RATIO * received or sent + received > shapes.KEPT_PACKET_BYTES * packets:
        return found
    level = min(seconds / shapes.KEPT_S, packets / shapes.KEPT_PACKETS, sent / shapes.KEPT_BYTES)
    if not _one_of_few(pair, level, source, pairs, hosts):
        return found
    return tell(i, shapes.KEPT_OPEN, pair, level, words, levels, found)


@inner
def _one_of_few(pair: int, level: float, source: int, pairs: Rows, hosts: Rows) -> bool:
    """Count a pair of a source that is told; whether there are few of the day: who shares files has many."""
    if level >= TOLD:
        count_pair(pair, P_OUTWARD, source, H_OUTWARD, pairs, hosts)
    return bool(counted_pairs(source, H_OUTWARD, hosts) <= shapes.OUTWARD_PAIRS)


@inner
def beat_kind(identity: Identity, values: Values, i: int, pair: int, pairs: Rows) -> int:
    """What connections in a beat are: a beacon, or data that leaves in parts."""
    sent, received = values[i, _FWD_BYTES], values[i, _BWD_BYTES]
    of_pair, to_pair = pairs.cells[pair, P_SENT_DAY], pairs.cells[pair, P_RECEIVED_DAY]
    much = sent >= max(shapes.UPLOAD_BEAT_BYTES, shapes.UPLOAD_BEAT_RATIO * received)
    if much and of_pair >= shapes.UPLOAD_BEAT_RATIO * to_pair and is_outward(identity, i):
        return shapes.UPLOAD_BEAT
    return shapes.BEACON

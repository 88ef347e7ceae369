"""Flows with data that are something together: sessions that are alike, connections in a beat, long questions."""

import math

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_REASON,
    REPORT,
    SEEN,
    SEEN_FIN,
    SEEN_FIN_BACK,
    SEEN_RST,
    SEEN_RST_BACK,
    SNAPSHOT,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    Identity,
    Values,
)
from flows.columns import INDEX
from flows.jit import inner
from sensor.episodes import shapes
from sensor.episodes.claims import tell
from sensor.episodes.roles import is_private
from sensor.episodes.tables import (
    H_REGULAR,
    P_ASKED_BYTES,
    P_BEAT,
    P_GUESSES_10M,
    P_LIKE_10M,
    P_OVERLOAD_10S,
    P_QUESTIONS_1M,
    P_SLOW_2M,
    P_STARTS,
    STARTS,
    V_LIKE_10M,
    V_SOURCES_AT,
    Floats,
    Int64s,
    Rows,
    seen,
)

_ENDED = SEEN_FIN | SEEN_FIN_BACK | SEEN_RST | SEEN_RST_BACK

_DURATION, _FWD_PACKETS, _BWD_PACKETS = INDEX["flow_duration"], INDEX["fwd_packets"], INDEX["bwd_packets"]
_FWD_BYTES, _BWD_BYTES = INDEX["fwd_bytes"], INDEX["bwd_bytes"]


@inner
def session(
    identity: Identity, values: Values, i: int, first: bool, first_report_ns: int, label_kind: int, pair: int,
    service: int, pairs: Rows, services: Rows, words: Int64s, levels: Floats, found: int,
) -> int:  # fmt: skip
    """A TCP session among others of its pair and service: guessing is many that are alike, overload many at all."""
    port = identity[i, DST_PORT]
    login, sent = port in shapes.LOGIN_PORTS, values[i, _FWD_BYTES]
    cells, at = pairs.cells, services.cells
    # A session counts when its end is told: in its first report or, of a flow that went on by then, in the second.
    ended = identity[i, END_REASON] != SNAPSHOT or identity[i, SEEN] & _ENDED != 0
    told = first or (identity[i, REPORT] == 1 and values[i, _DURATION] * 1000 > first_report_ns)
    short = ended and told and values[i, _DURATION] < 3e7 and sent + values[i, _BWD_BYTES] < 20_000
    if short and (login or label_kind == shapes.GUESS_LABEL):
        weight = math.log(1 + sent)
        for table, row, column in ((cells, pair, P_LIKE_10M), (at, service, V_LIKE_10M)):
            table[row, column] += 1
            table[row, column + 1] += weight
            table[row, column + 2] += weight * weight
        cells[pair, P_GUESSES_10M] += label_kind == shapes.GUESS_LABEL
        level = 0.0
        if _alike(cells, pair, P_LIKE_10M):
            guesses = cells[pair, P_GUESSES_10M] / (shapes.GUESSES_LABELLED if login else shapes.GUESSES_ANYWHERE)
            level = max(cells[pair, P_LIKE_10M] / shapes.GUESSES if login else 0.0, guesses)
        found = tell(i, shapes.GUESSING, pair, level, words, levels, found)
        many = seen(service, V_SOURCES_AT, services) >= shapes.GUESSING_SOURCES
        if level < 1 and login and many and _alike(at, service, V_LIKE_10M):
            found = tell(
                i, shapes.GUESSING_AT, service, at[service, V_LIKE_10M] / shapes.GUESSES_AT, words, levels, found
            )
    if first and label_kind == shapes.DOS_LABEL:
        cells[pair, P_OVERLOAD_10S] += 1
        seconds = values[i, _DURATION] * 1e-6
        cells[pair, P_SLOW_2M] += seconds >= 5 and sent < 200 * seconds
        level = max(cells[pair, P_OVERLOAD_10S] / shapes.OVERLOAD_FLOWS, cells[pair, P_SLOW_2M] / shapes.OVERLOAD_OPEN)
        found = tell(i, shapes.OVERLOAD, pair, level, words, levels, found)
    return found


@inner
def _alike(cells: Floats, row: int, column: int) -> bool:
    """Whether sessions sent about the same: the deviation of the logarithm of their bytes."""
    n, mean = cells[row, column], cells[row, column + 1] / max(cells[row, column], 1e-9)
    return bool(cells[row, column + 2] / max(n, 1e-9) - mean * mean <= shapes.LIKE * shapes.LIKE)


@inner
def beats(pair: int, start: float, source: int, pairs: Rows, starts: Floats, hosts: Rows) -> bool:
    """Whether the latest connections of a pair came in a beat: their gaps deviate little from the median one.

    Flows are reported in the order of their ends, so starts are kept in order; within a second of another a start is
    the same event.
    """
    n = int(pairs.cells[pair, P_STARTS])
    kept = starts[pair]
    k = n
    while k > 0 and kept[k - 1] > start:
        k -= 1
    if (k > 0 and start - kept[k - 1] < 1.0) or (k < n and kept[k] - start < 1.0) or (n == STARTS and k == 0):
        return False
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
        return False
    gaps = kept[STARTS:]  # room behind the starts
    for k in range(n - 1):
        gaps[k] = kept[k + 1] - kept[k]
    median = _median(gaps, n - 1, 0.0)
    regular = median >= shapes.BEACON_GAP_S and _median(gaps, n - 1, median) <= shapes.BEACON_JITTER * median
    if regular and pairs.cells[pair, P_BEAT] == 0.0:
        pairs.cells[pair, P_BEAT] = 1.0
        hosts.cells[source, H_REGULAR] += 1
    return regular


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
def may_beat(identity: Identity, i: int, service: int, source: int, hosts: Rows, services: Rows) -> bool:
    """Whether a beat is worth a word: a monitor has many, a common service has many clients with one."""
    if (
        hosts.cells[source, H_REGULAR] > shapes.BEACON_PAIRS
        or seen(service, V_SOURCES_AT, services) > shapes.COMMON_TARGET
    ):
        return False
    port = identity[i, DST_PORT]
    if port in shapes.WEB_PORTS:
        return True
    return _is_outside(identity, i) and identity[i, SRC_PORT] >= 1024


@inner
def _is_outside(identity: Identity, i: int) -> bool:
    """Whether the destination is in no private network (RFC 1918, 4193, link-local, loopback) and the source is."""
    return not is_private(identity, i, DST_HIGH, DST_LOW) and is_private(identity, i, SRC_HIGH, SRC_LOW)


@inner
def questions(
    identity: Identity, values: Values, i: int, first: bool, pair: int, pairs: Rows, words: Int64s, levels: Floats,
    found: int,
) -> int:  # fmt: skip
    """Questions to a resolver that carry more than names: too long, or too many with long answers over one port."""
    reversed_ = identity[i, SRC_PORT] == 53 and identity[i, DST_PORT] != 53
    asked, asked_bytes = values[i, _FWD_PACKETS], values[i, _FWD_BYTES]
    answered_bytes = values[i, _BWD_BYTES]
    if reversed_:
        asked, asked_bytes, answered_bytes = values[i, _BWD_PACKETS], values[i, _BWD_BYTES], values[i, _FWD_BYTES]
    seconds = max(values[i, _DURATION] * 1e-6, 1.0)
    level = 0.0
    if asked >= 50:  # in one flow: a stub asks each question from a port of its own (RFC 5452, 9.2)
        rate = asked / seconds
        long_answers = rate >= 1 and answered_bytes >= 250 * asked
        many = rate >= 5 and asked >= 100 and asked_bytes + answered_bytes >= 200 * asked
        if long_answers or many:
            level = asked / 50
    cells = pairs.cells
    if first and asked < 50:
        cells[pair, P_QUESTIONS_1M] += asked
        cells[pair, P_ASKED_BYTES] += asked_bytes
        asked, asked_bytes = cells[pair, P_QUESTIONS_1M], cells[pair, P_ASKED_BYTES]
    if asked_bytes >= 100 * asked:  # of 12 bytes of header and a name: most are below 60
        level = max(level, asked / 50)
    return tell(i, shapes.DNS_TUNNEL, pair, level, words, levels, found)

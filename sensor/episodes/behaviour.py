"""What hosts do in a stretch of time: counts that fade, per source, target, pair and service, each in a bounded table.

Each count is of the flows of the last seconds, minutes or day: it fades exponentially in traffic time, so that a few
flows spread over hours are nothing by themselves. A rule compares counts with the shape of a technique
(sensor.episodes.shapes) and gives a *level*: 1 where the shape is reached, more where it is surpassed. Flows are
told from a part of a level on, so that an alert can count what led to it.

Distinct targets and ports are pairs that were not there before: a client that tries one dead server again and again has
one. Rows give way to newer ones when a table is full, which no flow from a forged source can force, as long as its
target is under a flood.
"""

import math
import secrets
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_NS,
    END_REASON,
    END_SHIFT_NS,
    IP_VERSION,
    NEW_PACKETS,
    PROTOCOL,
    REPORT,
    SEEN,
    SEEN_ACK,
    SEEN_FIN,
    SEEN_FIN_BACK,
    SEEN_RST,
    SEEN_RST_BACK,
    SNAPSHOT,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    START_SHIFT_NS,
    FlowBatch,
    Identity,
    Values,
)
from flows.columns import INDEX
from flows.jit import Word, entry, inner
from models.hosts import ABSENT, admit, find, host_table, mixed, touch
from sensor.episodes.roles import ANSWER, FAILED, ICMP, ICMP6, SCTP, SYSTEM_PORTS, TALK, TCP, UDP, UNJUDGED, role_of
from sensor.episodes.shapes import (
    BEACON,
    BEACON_EVENTS,
    BEACON_FIRST,
    BEACON_GAP_S,
    BEACON_JITTER,
    BEACON_PAIRS,
    COMMON_TARGET,
    DNS_TUNNEL,
    DOS_LABEL,
    ECHO_TUNNEL,
    FLOOD_AT,
    FLOOD_AT_FLOWS,
    FLOOD_FROM,
    FLOOD_FROM_FLOWS,
    GUESS_LABEL,
    GUESSES,
    GUESSES_ANYWHERE,
    GUESSES_AT,
    GUESSES_LABELLED,
    GUESSING,
    GUESSING_AT,
    GUESSING_SOURCES,
    LIKE,
    MANY_SOURCES,
    MOSTLY,
    NEVER,
    OVERLOAD,
    OVERLOAD_FLOWS,
    OVERLOAD_OPEN,
    REFLECTION,
    REFLECTION_PACKETS,
    SCAN,
    SCAN_PORTS,
    SCAN_PORTS_A_DAY,
    SCAN_SPREAD,
    SCAN_TARGETS,
    STREAM,
    STREAM_ECHOES_PER_S,
    STREAM_PACKETS_PER_S,
)
from sensor.episodes.view import T_PASSED_OVER, Tally, Voices, hear, new_voices

Int64s = NDArray[np.int64]
Floats = NDArray[np.float64]

ONE_SIDED = 5  # a role beside those of sensor.episodes.roles: one side of a conversation alone is in view

# Columns of a table's cells; a column counts flows of about so many seconds, unless it says another thing.
AT = 0  # when the row was last brought up to date, in all tables
(
    _,
    H_FAILED_5M,  # services never tried before that failed
    H_OPENED_5M,  # and that did not
    H_HIT_10S,  # flows without data that hit this host
    H_TALK_10S,  # flows with data that it took part in
    H_ANSWERS_10S,  # packets of answers that it did not ask for
    H_SOURCES_AT,  # when its bitmap of sources began
    H_SOURCES,  # bits set in it
    H_SOURCES_BEFORE,  # bits set in the one before
    H_REGULAR,  # pairs of this source that have a beat, never fading
    H_CELLS,
) = range(11)
_, S_FAILED_10M, S_OPENED_10M, S_FAILED_DAY, S_OPENED_DAY, S_CELLS = range(6)
(
    _,
    P_FLOWS,  # all, never fading
    P_WITHOUT_10S,  # without data
    P_LIKE_10M,  # short sessions, then the sum of the logarithm of what they sent, and of its square
    P_SUM,
    P_SQUARES,
    P_GUESSES_10M,  # that the known lane took for guessing
    P_OVERLOAD_10S,  # that the known lane took for denial of service
    P_SLOW_2M,  # of these, those that hardly send
    P_QUESTIONS_1M,  # of DNS in flows of their own, then bytes of these and of their answers
    P_ASKED_BYTES,
    P_ANSWERED_BYTES,
    P_STARTS,  # of connections that are kept
    P_BEAT,  # 1 once they were regular
    P_CELLS,
) = range(15)
_, V_LIKE_10M, V_SUM, V_SQUARES, V_GUESSES_10M, V_SOURCES_AT, V_SOURCES, V_SOURCES_BEFORE, V_CELLS = range(9)

STARTS = 40  # the latest starts of a pair's connections that are kept, and as many gaps
WINDOW_S = 10.0
_DAY_S, _10_MINUTES_S, _5_MINUTES_S, _2_MINUTES_S, _MINUTE_S = 86400.0, 600.0, 300.0, 120.0, 60.0
_SOURCES_S = 600.0  # a service's bitmap of sources
_BITS = 64

C_INDEX, C_KIND, C_ROW, C_CLOCK, CLAIM_WORDS = range(5)
CLAIMS_A_FLOW = 4  # at most
TOLD = 0.3  # flows are told from this level on, so that an alert counts what led to it
_ENDED = SEEN_FIN | SEEN_FIN_BACK | SEEN_RST | SEEN_RST_BACK

_DURATION, _FWD_PACKETS, _BWD_PACKETS = INDEX["flow_duration"], INDEX["fwd_packets"], INDEX["bwd_packets"]
_FWD_BYTES, _BWD_BYTES, _SYN = INDEX["fwd_bytes"], INDEX["bwd_bytes"], INDEX["syn_flag_count"]
_FWD_STD, _BWD_STD = INDEX["fwd_packet_length_std"], INDEX["bwd_packet_length_std"]


class Rows(NamedTuple):
    """A bounded table: rows by key (models.hosts), cells that fade, and a bitmap a row."""

    slots: NDArray[np.int32]
    keys: Int64s
    links: Int64s
    ends: Int64s
    seed: NDArray[np.uint64]
    cells: Floats  # (capacity, cells of the table)
    bits: NDArray[np.uint64]  # (capacity,) addresses seen, hashed to 64 bits


def _rows(capacity: int, cells: int, seed: int) -> Rows:
    table = host_table(capacity, seed)
    zeros, bits = np.zeros((capacity, cells)), np.zeros(capacity, dtype=np.uint64)
    return Rows(table.slots, table.keys, table.links, table.ends, table.seed, zeros, bits)


@dataclass(frozen=True, slots=True)
class Claims:
    """What the flows of a batch are part of, in their order."""

    # (m, CLAIM_WORDS) int64: row of the batch, kind, row of the subject in the table of that kind (which may have been
    # another's before), traffic time in nanoseconds
    words: Int64s
    levels: Floats  # (m,) 1 where the shape is reached
    roles: NDArray[np.int8]  # (n,) of every record, sensor.episodes.roles


class Behaviour:
    """Counts over all records of a run; at most `capacity` hosts, twice as many services, four times as many pairs."""

    def __init__(self, capacity: int, seed: int | None = None) -> None:
        """seed: of the hash keys, random unless given; nothing but speed depends on it."""
        seed = secrets.randbits(128) if seed is None else seed
        self._hosts = _rows(capacity, H_CELLS, seed)
        self._spots = _rows(2 * capacity, S_CELLS, seed)
        self._pairs = _rows(4 * capacity, P_CELLS, seed)
        self._services = _rows(2 * capacity, V_CELLS, seed)
        self._starts = np.zeros((4 * capacity, 2 * STARTS))
        self._voices, self._tally = new_voices()
        self._clock = np.zeros(2, dtype=np.int64)  # traffic time and its beginning, ns
        self._unjudged = np.zeros(256, dtype=np.int64)

    @property
    def one_sided(self) -> int:
        """Records that were evidence of nothing so far, as their answers are out of view (sensor.episodes.view)."""
        return int(self._tally[T_PASSED_OVER])

    @property
    def clock_ns(self) -> int:
        """Traffic time: the newest packet of any record so far."""
        return int(self._clock[0])

    @property
    def unjudged(self) -> dict[int, int]:
        """Flows that no model judges, by IP protocol."""
        return {int(p): int(self._unjudged[p]) for p in np.flatnonzero(self._unjudged)}

    def observe(self, batch: FlowBatch, label_kinds: NDArray[np.int8]) -> Claims:
        """Take in records in their order. label_kinds: (n,) what the known lane took each for, of shapes, 0 unflagged."""
        n = len(batch)
        words = np.empty((n * CLAIMS_A_FLOW, CLAIM_WORDS), dtype=np.int64)
        levels, roles = np.empty(n * CLAIMS_A_FLOW), np.empty(n, dtype=np.int8)
        identity, values = np.ascontiguousarray(batch.identity), np.ascontiguousarray(batch.values)
        with np.errstate(over="ignore"):  # the hash wraps around; only interpreted kernels notice
            found = _observe(
                identity, values, label_kinds, self._clock, self._voices, self._tally, self._unjudged,
                self._hosts, self._spots, self._pairs, self._services, self._starts, words, levels, roles,
            )  # fmt: skip
        return Claims(words[:found], levels[:found], roles)


@entry
def _observe(
    identity: Identity, values: Values, label_kinds: NDArray[np.int8], clock: Int64s, voices: Voices, tally: Tally,
    unjudged: Int64s, hosts: Rows, spots: Rows, pairs: Rows, services: Rows, starts: Floats,
    words: Int64s, levels: Floats, roles: NDArray[np.int8],
) -> int:  # fmt: skip
    """Walk a batch; write what each flow is part of. Returns their number."""
    found = 0
    for i in range(len(identity)):
        end_ns = identity[i, END_NS] + identity[i, END_SHIFT_NS]
        if clock[1] == 0:
            clock[1] = end_ns
        clock[0] = max(clock[0], end_ns)
        now = (clock[0] - clock[1]) * 1e-9
        role = role_of(identity, values, i)
        roles[i] = role
        if identity[i, NEW_PACKETS] == 0:
            continue
        if role != UNJUDGED and hear(identity, values, i, voices, tally, hosts.seed):
            roles[i] = ONE_SIDED
            continue
        first = identity[i, REPORT] == 0
        if role == UNJUDGED:
            unjudged[identity[i, PROTOCOL] & 255] += first
            continue
        before = found
        if role == ANSWER:
            found = _answer(identity, i, first, now, hosts, words, levels, found)
        elif role == TALK:
            found = _talk(identity, values, i, first, now, clock[1], label_kinds[i], hosts, spots, pairs, services, starts,
                          words, levels, found)  # fmt: skip
        else:
            found = _attempt(identity, values, i, first, role, now, hosts, spots, pairs, words, levels, found)
        for k in range(before, found):
            words[k, C_CLOCK] = clock[0]
    return found


@inner
def _answer(
    identity: Identity, i: int, first: bool, now: float, hosts: Rows, words: Int64s, levels: Floats, found: int
) -> int:
    """An answer that nobody asked for: many of them to one host are a reflection on it."""
    if identity[i, PROTOCOL] == ICMP or identity[i, PROTOCOL] == ICMP6:
        return found
    target = _host(identity, i, DST_HIGH, DST_LOW, now, hosts)
    hosts.cells[target, H_ANSWERS_10S] += identity[i, NEW_PACKETS]
    if first:
        _see(identity, i, target, now, WINDOW_S, H_SOURCES_AT, hosts)
    answers = hosts.cells[target, H_ANSWERS_10S]
    if answers >= 2 * hosts.cells[target, H_TALK_10S] and _seen(target, H_SOURCES_AT, hosts) >= MANY_SOURCES:
        return _tell(i, REFLECTION, target, answers / REFLECTION_PACKETS, words, levels, found)
    return found


@inner
def _attempt(
    identity: Identity, values: Values, i: int, first: bool, role: int, now: float, hosts: Rows, spots: Rows,
    pairs: Rows, words: Int64s, levels: Floats, found: int,
) -> int:  # fmt: skip
    """A flow without data: a probe of a scan, a half-open connection of a flood, or a service that is down."""
    target = _host(identity, i, DST_HIGH, DST_LOW, now, hosts)
    without = role == FAILED or identity[i, SEEN] & SEEN_ACK == 0
    if first and without:
        hosts.cells[target, H_HIT_10S] += 1
        _see(identity, i, target, now, WINDOW_S, H_SOURCES_AT, hosts)
    hits = hosts.cells[target, H_HIT_10S]
    many = hits >= 4 * hosts.cells[target, H_TALK_10S] and _seen(target, H_SOURCES_AT, hosts) >= MANY_SOURCES
    port = identity[i, SRC_PORT]
    if identity[i, PROTOCOL] == UDP and port < SYSTEM_PORTS and port != identity[i, DST_PORT]:
        found = _answer(identity, i, False, now, hosts, words, levels, found)  # whatever port of its target it goes to
    elif many and without:
        found = _tell(i, FLOOD_AT, target, hits / FLOOD_AT_FLOWS, words, levels, found)
    high, low = _pair_key(identity, i, hosts.seed)
    pair = find(high, low, pairs.slots, pairs.keys, pairs.seed)
    if pair == ABSENT and many and hits >= FLOOD_AT_FLOWS:
        return found  # forged sources push nobody out
    pair = _row(high, low, now, pairs)
    cells = pairs.cells
    fresh = cells[pair, P_FLOWS] == 0
    cells[pair, P_FLOWS] += first
    if without:
        cells[pair, P_WITHOUT_10S] += first
        found = _tell(i, FLOOD_FROM, pair, cells[pair, P_WITHOUT_10S] / FLOOD_FROM_FLOWS, words, levels, found)
        found = _stream(identity, values, i, pair, words, levels, found)
    level = _probe(identity, i, role == FAILED, fresh and first, now, hosts, spots)
    if role == FAILED and cells[pair, P_WITHOUT_10S] < FLOOD_FROM_FLOWS / 2:
        source = _host(identity, i, SRC_HIGH, SRC_LOW, now, hosts)
        found = _tell(i, SCAN, source, level, words, levels, found)
    return found


@inner
def _probe(identity: Identity, i: int, failed: bool, fresh: bool, now: float, hosts: Rows, spots: Rows) -> float:
    """Count a flow among the ports of its target, the targets of its port, and all that its source tried; the level."""
    source = _host(identity, i, SRC_HIGH, SRC_LOW, now, hosts)
    seed = spots.seed
    src = mixed(mixed(np.uint64(identity[i, SRC_HIGH]) ^ seed[0]) + np.uint64(identity[i, SRC_LOW]))
    dst = mixed(mixed(np.uint64(identity[i, DST_HIGH]) ^ seed[1]) + np.uint64(identity[i, DST_LOW]))
    ports = _spot(src, dst, now, spots)
    if identity[i, IP_VERSION] == 4:
        net = mixed(np.uint64(identity[i, DST_LOW] >> 8) ^ seed[0])
    else:
        net = mixed(np.uint64(identity[i, DST_HIGH]) ^ seed[0])
    service = np.uint64(identity[i, DST_PORT] << 8 | identity[i, PROTOCOL]) | np.uint64(1 << 40)
    targets = _spot(src, mixed(net + service), now, spots)
    port = identity[i, DST_PORT]
    everybodys = port in (53, 123) or _is_web(port)
    everywhere = _spot(src, mixed(service), now, spots)
    if fresh:
        for row in (ports, targets, everywhere):
            spots.cells[row, S_FAILED_10M if failed else S_OPENED_10M] += 1
            spots.cells[row, S_FAILED_DAY if failed else S_OPENED_DAY] += 1
        hosts.cells[source, H_FAILED_5M if failed else H_OPENED_5M] += 1
    if identity[i, PROTOCOL] not in (TCP, UDP, SCTP, ICMP, ICMP6):
        return _level(spots.cells, ports, SCAN_PORTS, SCAN_PORTS_A_DAY)  # of other protocols nobody knows what answers
    failed_5m, opened_5m = hosts.cells[source, H_FAILED_5M], hosts.cells[source, H_OPENED_5M]
    level = failed_5m / SCAN_SPREAD if failed_5m >= MOSTLY * (failed_5m + opened_5m) else 0.0
    level = max(level, _level(spots.cells, ports, SCAN_PORTS, SCAN_PORTS_A_DAY))
    level = max(level, _level(spots.cells, targets, SCAN_TARGETS, SCAN_TARGETS))
    if everybodys:
        return level
    return max(level, _level(spots.cells, everywhere, SCAN_SPREAD, SCAN_TARGETS))


@inner
def _level(cells: Floats, row: int, soon: float, a_day: float) -> float:
    """How far the failed ones of a row reach, of those in minutes and those of a day."""
    failed, opened = cells[row, S_FAILED_10M], cells[row, S_OPENED_10M]
    level = failed / soon if failed >= MOSTLY * (failed + opened) else 0.0
    failed, opened = cells[row, S_FAILED_DAY], cells[row, S_OPENED_DAY]
    return max(level, failed / a_day if failed >= NEVER * (failed + opened) else 0.0)


@inner
def _stream(identity: Identity, values: Values, i: int, pair: int, words: Int64s, levels: Floats, found: int) -> int:
    """One flow that is a flood: packets a second of echo requests, or of UDP that hardly gets an answer."""
    seconds = max(values[i, _DURATION] * 1e-6, 1.0)
    rate = values[i, _FWD_PACKETS] / seconds
    protocol = identity[i, PROTOCOL]
    if protocol in (ICMP, ICMP6):
        level = rate / STREAM_ECHOES_PER_S
    elif protocol == UDP and values[i, _BWD_PACKETS] * 20 < values[i, _FWD_PACKETS]:
        level = rate / STREAM_PACKETS_PER_S
    else:
        return found
    return _tell(i, STREAM, pair, level, words, levels, found)


@inner
def _talk(
    identity: Identity, values: Values, i: int, first: bool, now: float, base_ns: int, label_kind: int, hosts: Rows,
    spots: Rows, pairs: Rows, services: Rows, starts: Floats, words: Int64s, levels: Floats, found: int,
) -> int:  # fmt: skip
    """A flow with data: a session that may be like others, a beat, or questions that carry more than a name."""
    source = _host(identity, i, SRC_HIGH, SRC_LOW, now, hosts)
    target = _host(identity, i, DST_HIGH, DST_LOW, now, hosts)
    high, low = _pair_key(identity, i, hosts.seed)
    pair = _row(high, low, now, pairs)
    cells = pairs.cells
    if first:
        hosts.cells[source, H_TALK_10S] += 1
        hosts.cells[target, H_TALK_10S] += 1
        if cells[pair, P_FLOWS] == 0:
            _probe(identity, i, False, True, now, hosts, spots)
        cells[pair, P_FLOWS] += 1
    protocol = identity[i, PROTOCOL]
    if protocol == TCP:
        service = _service(identity, i, now, services)
        if first:
            _see(identity, i, service, now, _SOURCES_S, V_SOURCES_AT, services)
        found = _session(identity, values, i, first, label_kind, pair, service, pairs, services, words, levels, found)
        if first and values[i, _SYN] > 0:
            start = (identity[i, START_NS] + identity[i, START_SHIFT_NS] - base_ns) * 1e-9
            if _beats(pair, start, source, pairs, starts, hosts) and _may_beat(
                identity, i, service, source, hosts, services
            ):
                found = _tell(i, BEACON, pair, cells[pair, P_STARTS] / BEACON_EVENTS, words, levels, found)
    elif protocol == UDP:
        if identity[i, DST_PORT] == 53 or identity[i, SRC_PORT] == 53:
            found = _questions(identity, values, i, first, pair, pairs, words, levels, found)
        else:
            found = _stream(identity, values, i, pair, words, levels, found)
    elif protocol in (ICMP, ICMP6):
        found = _stream(identity, values, i, pair, words, levels, found)
        packets = values[i, _FWD_PACKETS]
        varied = min(values[i, _FWD_STD], values[i, _BWD_STD]) >= 16
        if varied and packets >= 30 and values[i, _FWD_BYTES] + values[i, _BWD_BYTES] >= 200 * packets:
            found = _tell(i, ECHO_TUNNEL, pair, packets / 30, words, levels, found)
    return found


@inner
def _session(
    identity: Identity, values: Values, i: int, first: bool, label_kind: int, pair: int, service: int, pairs: Rows,
    services: Rows, words: Int64s, levels: Floats, found: int,
) -> int:  # fmt: skip
    """A TCP session among others of its pair and of its service: guessing is many that are alike, overload many at all."""
    port = identity[i, DST_PORT]
    login, sent = _is_login(port), values[i, _FWD_BYTES]
    cells, at = pairs.cells, services.cells
    ended = identity[i, END_REASON] != SNAPSHOT or identity[i, SEEN] & _ENDED != 0
    short = first and ended and values[i, _DURATION] < 3e7 and sent + values[i, _BWD_BYTES] < 20_000
    if short and (login or label_kind == GUESS_LABEL):
        weight = math.log(1 + sent)
        for table, row, column in ((cells, pair, P_LIKE_10M), (at, service, V_LIKE_10M)):
            table[row, column] += 1
            table[row, column + 1] += weight
            table[row, column + 2] += weight * weight
        cells[pair, P_GUESSES_10M] += label_kind == GUESS_LABEL
        at[service, V_GUESSES_10M] += label_kind == GUESS_LABEL
        level = 0.0
        if _alike(cells, pair, P_LIKE_10M):
            guesses = cells[pair, P_GUESSES_10M] / (GUESSES_LABELLED if login else GUESSES_ANYWHERE)
            level = max(cells[pair, P_LIKE_10M] / GUESSES if login else 0.0, guesses)
        found = _tell(i, GUESSING, pair, level, words, levels, found)
        many = _seen(service, V_SOURCES_AT, services) >= GUESSING_SOURCES
        if level < 1 and login and many and _alike(at, service, V_LIKE_10M):
            found = _tell(i, GUESSING_AT, service, at[service, V_LIKE_10M] / GUESSES_AT, words, levels, found)
    if first and label_kind == DOS_LABEL:
        cells[pair, P_OVERLOAD_10S] += 1
        seconds = values[i, _DURATION] * 1e-6
        cells[pair, P_SLOW_2M] += seconds >= 5 and sent < 200 * seconds
        level = max(cells[pair, P_OVERLOAD_10S] / OVERLOAD_FLOWS, cells[pair, P_SLOW_2M] / OVERLOAD_OPEN)
        found = _tell(i, OVERLOAD, pair, level, words, levels, found)
    return found


@inner
def _alike(cells: Floats, row: int, column: int) -> bool:
    """Whether sessions sent about the same: the deviation of the logarithm of their bytes."""
    n, mean = cells[row, column], cells[row, column + 1] / max(cells[row, column], 1e-9)
    return cells[row, column + 2] / max(n, 1e-9) - mean * mean <= LIKE * LIKE


@inner
def _is_login(port: int) -> bool:
    """A service that people log on to: FTP, SSH, Telnet, POP3, IMAP, submission, RDP, VNC, WinRM (IANA)."""
    if port in (21, 22, 23, 110, 143, 465, 587):
        return True
    return port in (993, 995, 990, 3389) or 5900 <= port <= 5903 or 5985 <= port <= 5986


@inner
def _beats(pair: int, start: float, source: int, pairs: Rows, starts: Floats, hosts: Rows) -> bool:
    """Whether the latest connections of a pair came in a beat: their gaps deviate little from the median one.

    Flows are reported in the order of their ends, so starts are kept in order; those within a second are one event.
    """
    n = int(pairs.cells[pair, P_STARTS])
    kept = starts[pair]
    if n == STARTS:
        if start < kept[0]:
            return False
        n -= 1
        for k in range(n):
            kept[k] = kept[k + 1]
    k = n
    while k > 0 and kept[k - 1] > start:
        kept[k] = kept[k - 1]
        k -= 1
    kept[k] = start
    n += 1
    pairs.cells[pair, P_STARTS] = n
    if n < BEACON_FIRST:
        return False
    gaps = kept[STARTS:]  # room behind the starts
    events, last = 0, kept[0]
    for k in range(1, n):
        if kept[k] - last >= 1.0:
            gaps[events] = kept[k] - last
            events += 1
            last = kept[k]
    if events < BEACON_FIRST:
        return False
    median = _median(gaps, events, 0.0)
    regular = median >= BEACON_GAP_S and _median(gaps, events, median) <= BEACON_JITTER * median
    if regular and pairs.cells[pair, P_BEAT] == 0.0:
        pairs.cells[pair, P_BEAT] = 1.0
        hosts.cells[source, H_REGULAR] += 1
    return regular and events >= BEACON_EVENTS


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
def _may_beat(identity: Identity, i: int, service: int, source: int, hosts: Rows, services: Rows) -> bool:
    """Whether a beat is worth a word: a monitor has many, a common service has many clients with one."""
    if hosts.cells[source, H_REGULAR] > BEACON_PAIRS or _seen(service, V_SOURCES_AT, services) > COMMON_TARGET:
        return False
    port = identity[i, DST_PORT]
    if _is_web(port):
        return True
    return _is_outside(identity, i) and identity[i, SRC_PORT] >= 1024


@inner
def _is_web(port: int) -> bool:
    """HTTP, HTTPS and their alternatives (IANA); the same as WEB_PORTS."""
    return port in (80, 443, 8080, 8443)


@inner
def _is_outside(identity: Identity, i: int) -> bool:
    """Whether the destination is in no private network (RFC 1918, 4193, link-local, loopback) and the source is."""
    return not _is_private(identity, i, DST_HIGH, DST_LOW) and _is_private(identity, i, SRC_HIGH, SRC_LOW)


@inner
def _is_private(identity: Identity, i: int, high: int, low: int) -> bool:
    if identity[i, IP_VERSION] == 6:
        top = (identity[i, high] >> 48) & 0xFFFF
        return top & 0xFE00 == 0xFC00 or top & 0xFFC0 == 0xFE80 or top == 0
    a = identity[i, low] & 0xFFFFFFFF
    return a >> 24 == 10 or a >> 20 == 0xAC1 or a >> 16 == 0xC0A8 or a >> 16 == 0xA9FE or a >> 24 == 127


@inner
def _questions(
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
        cells[pair, P_ANSWERED_BYTES] += answered_bytes
        asked, asked_bytes = cells[pair, P_QUESTIONS_1M], cells[pair, P_ASKED_BYTES]
    if asked_bytes >= 100 * asked:  # of 12 bytes of header and a name: most are below 60
        level = max(level, asked / 50)
    return _tell(i, DNS_TUNNEL, pair, level, words, levels, found)


@inner
def _tell(i: int, kind: int, row: int, level: float, words: Int64s, levels: Floats, found: int) -> int:
    """Write a claim of a flow from half a level on."""
    if level < TOLD:
        return found
    words[found, C_INDEX], words[found, C_KIND], words[found, C_ROW] = i, kind, row
    levels[found] = level
    return found + 1


@inner
def _host(identity: Identity, i: int, high: int, low: int, now: float, hosts: Rows) -> int:
    """Row of an address, its counts brought up to date."""
    # No address has a high word of all ones, so IPv4 keys meet no IPv6 ones.
    top = np.int64(-1) if identity[i, IP_VERSION] == 4 else identity[i, high]
    row = _row(top, identity[i, low], now, hosts)
    cells = hosts.cells
    seconds = now - cells[row, AT]
    if seconds > 0:
        _fade(cells, row, H_FAILED_5M, H_HIT_10S, seconds / _5_MINUTES_S)
        _fade(cells, row, H_HIT_10S, H_SOURCES_AT, seconds / WINDOW_S)
        cells[row, AT] = now
    return row


@inner
def _spot(high: Word, low: Word, now: float, spots: Rows) -> int:
    row = _row(np.int64(high), np.int64(low), now, spots)
    cells = spots.cells
    seconds = now - cells[row, AT]
    if seconds > 0:
        _fade(cells, row, S_FAILED_10M, S_FAILED_DAY, seconds / _10_MINUTES_S)
        _fade(cells, row, S_FAILED_DAY, S_CELLS, seconds / _DAY_S)
        cells[row, AT] = now
    return row


@inner
def _service(identity: Identity, i: int, now: float, services: Rows) -> int:
    """Row of a destination's port."""
    top = np.int64(-1) if identity[i, IP_VERSION] == 4 else identity[i, DST_HIGH]
    low = mixed(np.uint64(top) ^ services.seed[0]) + np.uint64(identity[i, DST_PORT])
    row = _row(np.int64(low), identity[i, DST_LOW], now, services)
    cells = services.cells
    seconds = now - cells[row, AT]
    if seconds > 0:
        _fade(cells, row, V_LIKE_10M, V_SOURCES_AT, seconds / _10_MINUTES_S)
        cells[row, AT] = now
    return row


@inner
def _pair_key(identity: Identity, i: int, seed: NDArray[np.uint64]) -> tuple[Word, Word]:
    """128 bits of a source, a destination and its service."""
    service = np.uint64(identity[i, DST_PORT] << 8 | identity[i, PROTOCOL])
    if identity[i, SRC_PORT] == 53 and identity[i, PROTOCOL] == UDP:
        service = np.uint64(53 << 8 | UDP)  # the flow was met in the middle: its port is any
    high = mixed(mixed(np.uint64(identity[i, SRC_HIGH]) ^ seed[0]) + np.uint64(identity[i, DST_LOW]))
    low = mixed(mixed(np.uint64(identity[i, SRC_LOW]) ^ seed[1]) + np.uint64(identity[i, DST_HIGH]))
    return np.int64(mixed(high + service)), np.int64(mixed(low ^ high))


@inner
def _row(high: Word, low: Word, now: float, table: Rows) -> int:
    """Row of a key as the newest, given anew where it had none; fades the cells of pairs, which have no more to say."""
    row = find(high, low, table.slots, table.keys, table.seed)
    if row == ABSENT:
        row = admit(high, low, table.slots, table.keys, table.links, table.ends, table.seed)
        table.cells[row, :] = 0.0
        table.cells[row, AT] = now
        table.bits[row] = np.uint64(0)
    else:
        touch(row, table.links, table.ends)
        if table.cells.shape[1] == P_CELLS and now > table.cells[row, AT]:
            seconds = now - table.cells[row, AT]
            _fade(table.cells, row, P_WITHOUT_10S, P_LIKE_10M, seconds / WINDOW_S)
            _fade(table.cells, row, P_LIKE_10M, P_OVERLOAD_10S, seconds / _10_MINUTES_S)
            _fade(table.cells, row, P_OVERLOAD_10S, P_SLOW_2M, seconds / WINDOW_S)
            _fade(table.cells, row, P_SLOW_2M, P_QUESTIONS_1M, seconds / _2_MINUTES_S)
            _fade(table.cells, row, P_QUESTIONS_1M, P_STARTS, seconds / _MINUTE_S)
            table.cells[row, AT] = now
    return row


@inner
def _fade(cells: Floats, row: int, first: int, end: int, times: float) -> None:
    """Let counts fade by so many times their memory."""
    factor = math.exp(-times)
    for column in range(first, end):
        cells[row, column] *= factor


@inner
def _see(identity: Identity, i: int, row: int, now: float, window_s: float, column: int, table: Rows) -> None:
    """Count a flow's source among those of a row in a window: linear counting over 64 bits (Whang et al. 1990)."""
    cells = table.cells
    if now - cells[row, column] >= window_s:
        cells[row, column + 2] = cells[row, column + 1] if now - cells[row, column] < 2 * window_s else 0.0
        cells[row, column + 1], cells[row, column] = 0.0, now
        table.bits[row] = np.uint64(0)
    # Not keyed: what is told must be the same in every run.
    word = mixed(mixed(np.uint64(identity[i, SRC_HIGH])) + np.uint64(identity[i, SRC_LOW]))
    bit = np.uint64(1) << (word & np.uint64(_BITS - 1))
    if table.bits[row] & bit == 0:
        table.bits[row] |= bit
        cells[row, column + 1] += 1


@inner
def _seen(row: int, column: int, table: Rows) -> float:
    """About how many sources a row had in this window or the one before, at most some 270."""
    bits = max(table.cells[row, column + 1], table.cells[row, column + 2])
    return -_BITS * math.log(max(1 - bits / _BITS, 1 / _BITS))

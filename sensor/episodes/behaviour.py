"""What hosts do in a stretch of time: counts that fade, per source, target, pair and service, each in a bounded table.

Each count is of the flows of the last seconds, minutes or day: it fades exponentially in traffic time, so that a few
flows spread over hours are nothing by themselves. A rule compares counts with the shape of a technique
(sensor.episodes.shapes) and gives a *level*: 1 where the shape is reached, more where it is surpassed. Flows are
told from a part of a level on, so that an alert can count what led to it.

Distinct targets and ports are pairs that were not there before: a client that tries one dead server again and again has
one. Rows give way to newer ones when a table is full, which no flow from a forged source can force, as long as its
target is under a flood.
"""

import secrets

import numpy as np
from numpy.typing import NDArray

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_NS,
    END_SHIFT_NS,
    IP_VERSION,
    NEW_PACKETS,
    PROTOCOL,
    REPORT,
    SEEN,
    SEEN_ACK,
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
from flows.meter import FIRST_SNAPSHOT_NS
from flows.roles import (
    ANSWER,
    FAILED,
    ICMP,
    ICMP6,
    SCTP,
    SYSTEM_PORTS,
    TALK,
    TCP,
    UDP,
    UNJUDGED,
    is_private,
    to_one_host,
)
from kernels.fading import Floats, Int64s, Rows, see, seen, table_rows
from kernels.hosts import ABSENT, EVICTED, find, mixed
from kernels.jit import entry, inner
from sensor.episodes import shapes
from sensor.episodes.claims import C_CLOCK, C_KIND, CLAIM_WORDS, CLAIMS_A_FLOW, Claims, tell
from sensor.episodes.floods import answer, aside, stream, unasked
from sensor.episodes.pairs import beat_kind, beats, is_outward, may_beat, outward
from sensor.episodes.sessions import crowd, questions, session
from sensor.episodes.tables import (
    H_CELLS,
    H_HIT_10S,
    H_LOAD_AT,
    H_SOURCES_AT,
    H_TALK_10S,
    P_CELLS,
    P_FLOWS,
    P_STARTS,
    P_WITHOUT_10S,
    S_CELLS,
    S_FAILED_10M,
    S_FAILED_DAY,
    S_OPENED_10M,
    S_OPENED_DAY,
    S_WITHOUT_1S,
    SOURCES_S,
    STARTS,
    V_CELLS,
    V_SOURCES_AT,
    WINDOW_S,
    host_row,
    load,
    load_before,
    pair_key,
    pair_row,
    service_row,
    spot_row,
)
from sensor.episodes.unopened import act_of
from sensor.episodes.view import T_PASSED_OVER, Tally, Voices, hear, new_voices

ONE_SIDED = 5  # a role beside those of flows.roles: one side of a conversation alone is in view

_DURATION, _SYN = INDEX["flow_duration"], INDEX["syn_flag_count"]
_FWD_PACKETS, _BWD_PACKETS = INDEX["fwd_packets"], INDEX["bwd_packets"]


class Behaviour:
    """Counts over all records of a run; at most `capacity` hosts, twice as many services, four times as many pairs."""

    def __init__(self, capacity: int, seed: int | None = None, first_report_ns: int = FIRST_SNAPSHOT_NS) -> None:
        """seed: of the hash keys, random unless given; nothing but speed depends on it.

        first_report_ns: age at which the meter first reports a flow that goes on.
        """
        seed = secrets.randbits(128) if seed is None else seed
        self._hosts = table_rows(capacity, H_CELLS, seed)
        self._spots = table_rows(2 * capacity, S_CELLS, seed)
        self._pairs = table_rows(4 * capacity, P_CELLS, seed)
        self._services = table_rows(2 * capacity, V_CELLS, seed)
        self._starts = np.zeros((4 * capacity, 2 * STARTS))
        self._voices, self._tally = new_voices()
        # Traffic time and its beginning, and the age of a flow at its first report, ns.
        self._clock = np.array([0, 0, first_report_ns], dtype=np.int64)
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
    def evicted(self) -> dict[str, int]:
        """Rows that gave way to others so far, by table."""
        tables = (
            ("hosts", self._hosts),
            ("attempts", self._spots),
            ("pairs", self._pairs),
            ("services", self._services),
        )
        return {name: int(table.ends[EVICTED]) for name, table in tables}

    @property
    def unjudged(self) -> dict[int, int]:
        """Flows that no model judges, by IP protocol."""
        return {int(p): int(self._unjudged[p]) for p in np.flatnonzero(self._unjudged)}

    def observe(self, batch: FlowBatch, label_kinds: NDArray[np.int8]) -> Claims:
        """Take in records in their order. label_kinds: (n,) what the known lane took each for, 0 unflagged."""
        n = len(batch)
        words = np.empty((n * CLAIMS_A_FLOW, CLAIM_WORDS), dtype=np.int64)
        levels, befores = np.empty(n * CLAIMS_A_FLOW), np.empty(n * CLAIMS_A_FLOW)
        roles = np.empty(n, dtype=np.int8)
        identity, values = np.ascontiguousarray(batch.identity), np.ascontiguousarray(batch.values)
        with np.errstate(over="ignore"):  # the hash wraps around; only interpreted kernels notice
            found = _observe(
                identity, values, label_kinds, self._clock, self._voices, self._tally, self._unjudged,
                self._hosts, self._spots, self._pairs, self._services, self._starts, words, levels, befores, roles,
            )  # fmt: skip
        return Claims(words[:found], levels[:found], befores[:found], roles)


@entry
def _observe(
    identity: Identity, values: Values, label_kinds: NDArray[np.int8], clock: Int64s, voices: Voices, tally: Tally,
    unjudged: Int64s, hosts: Rows, spots: Rows, pairs: Rows, services: Rows, starts: Floats,
    words: Int64s, levels: Floats, befores: Floats, roles: NDArray[np.int8],
) -> int:  # fmt: skip
    """Walk a batch; write what each flow is part of. Returns their number."""
    found = 0
    for i in range(len(identity)):
        end_ns = identity[i, END_NS] + identity[i, END_SHIFT_NS]
        if clock[1] == 0:
            clock[1] = end_ns
        clock[0] = max(clock[0], end_ns)
        now = (clock[0] - clock[1]) * 1e-9
        role = act_of(identity, values, i)
        roles[i] = role
        if identity[i, NEW_PACKETS] == 0:
            continue
        first = identity[i, REPORT] == 0
        if role == UNJUDGED:
            unjudged[identity[i, PROTOCOL] & 255] += first
            if identity[i, PROTOCOL] != UDP or values[i, _BWD_PACKETS] > 0 or not to_one_host(identity, i):
                continue
        if hear(identity, values, i, role, voices, tally, hosts.seed):
            if role == UNJUDGED:
                continue
            roles[i] = ONE_SIDED
        before = found
        target = host_row(identity, i, DST_HIGH, DST_LOW, now, hosts)
        load(target, float(identity[i, NEW_PACKETS]), now, H_LOAD_AT, hosts)
        found = _record(
            identity, values, i, first, roles[i], target, now, clock, label_kinds[i], hosts, spots, pairs, services,
            starts, words, levels, found,
        )  # fmt: skip
        for k in range(before, found):
            words[k, C_CLOCK] = clock[0]
            befores[k] = -1.0
            if words[k, C_KIND] in shapes.LOADED:
                befores[k] = load_before(target, H_LOAD_AT, hosts)
    return found


@inner
def _record(
    identity: Identity, values: Values, i: int, first: bool, role: int, target: int, now: float, clock: Int64s,
    label_kind: int, hosts: Rows, spots: Rows, pairs: Rows, services: Rows, starts: Floats, words: Int64s,
    levels: Floats, found: int,
) -> int:  # fmt: skip
    """A record by its role."""
    if role == ONE_SIDED:
        # No client asks from a system port: what comes to one from another was not asked for, whatever is in view.
        service, port = identity[i, SRC_PORT], identity[i, DST_PORT]
        if identity[i, PROTOCOL] == UDP and service < SYSTEM_PORTS and port < SYSTEM_PORTS and service != port:
            found = answer(identity, i, first, target, now, hosts, words, levels, found)
        return found
    if role == UNJUDGED:
        return aside(identity, values, i, first, now, hosts.seed, pairs, words, levels, found)
    if role == ANSWER:
        if identity[i, PROTOCOL] not in (ICMP, ICMP6):
            found = answer(identity, i, first, target, now, hosts, words, levels, found)
        return unasked(identity, values, i, now, hosts.seed, pairs, words, levels, found)
    if role == TALK:
        return _talk(
            identity, values, i, first, target, now, clock, label_kind, hosts, spots, pairs, services, starts, words,
            levels, found,
        )  # fmt: skip
    return _attempt(identity, values, i, first, role, target, now, hosts, spots, pairs, words, levels, found)


@inner
def _attempt(
    identity: Identity, values: Values, i: int, first: bool, role: int, target: int, now: float, hosts: Rows,
    spots: Rows, pairs: Rows, words: Int64s, levels: Floats, found: int,
) -> int:  # fmt: skip
    """A flow without data: a probe of a scan, a half-open connection of a flood, or a service that is down."""
    without = role == FAILED or (identity[i, PROTOCOL] == TCP and identity[i, SEEN] & SEEN_ACK == 0)
    if first and without:
        hosts.cells[target, H_HIT_10S] += 1
        see(identity[i, SRC_HIGH], identity[i, SRC_LOW], target, now, WINDOW_S, H_SOURCES_AT, hosts.cells, hosts.bits)
    hits = hosts.cells[target, H_HIT_10S]
    sources = seen(target, H_SOURCES_AT, hosts.cells)
    many = hits >= 4 * hosts.cells[target, H_TALK_10S] and sources >= shapes.MANY_SOURCES
    port = identity[i, SRC_PORT]
    # Devices of a network answer from these, too, whoever searches it; nobody searches beyond it (flows.roles).
    answers = port < SYSTEM_PORTS or (
        port in shapes.REFLECTING_PORTS and not is_private(identity, i, SRC_HIGH, SRC_LOW)
    )
    if identity[i, PROTOCOL] == UDP and answers and port != identity[i, DST_PORT]:
        # Whatever port of its target it goes to.
        found = answer(identity, i, False, target, now, hosts, words, levels, found)
    elif many and without:
        found = tell(i, shapes.FLOOD_AT, target, hits / shapes.FLOOD_AT_FLOWS, words, levels, found)
    high, low = pair_key(identity, i, hosts.seed)
    pair = find(high, low, pairs.slots, pairs.keys, pairs.seed)
    if pair == ABSENT and many and hits >= shapes.FLOOD_AT_FLOWS:
        return found  # forged sources push nobody out
    pair = pair_row(high, low, now, pairs)
    cells = pairs.cells
    fresh = cells[pair, P_FLOWS] == 0
    cells[pair, P_FLOWS] += first
    # Of many connections that are opened and say nothing each takes a place.
    if without or identity[i, PROTOCOL] == TCP:
        cells[pair, P_WITHOUT_10S] += first
        found = tell(
            i, shapes.FLOOD_FROM, pair, cells[pair, P_WITHOUT_10S] / shapes.FLOOD_FROM_FLOWS, words, levels, found
        )
        found = stream(identity, values, i, pair, words, levels, found)
    asked_again = cells[pair, P_WITHOUT_10S] >= shapes.FLOOD_FROM_FLOWS / 2
    streams = identity[i, PROTOCOL] == UDP and values[i, _FWD_PACKETS] > shapes.PROBE_PACKETS
    return _probe(
        identity, i, role == FAILED and not streams, fresh and first, without and first, asked_again, now, hosts, spots,
        words, levels, found,
    )  # fmt: skip


@inner
def _probe(
    identity: Identity, i: int, failed: bool, fresh: bool, without: bool, asked_again: bool, now: float, hosts: Rows,
    spots: Rows, words: Int64s, levels: Floats, found: int,
) -> int:  # fmt: skip
    """Count a flow among the ports of its target, and the targets of its port in a network and anywhere."""
    source = host_row(identity, i, SRC_HIGH, SRC_LOW, now, hosts)
    seed = spots.seed
    src = mixed(mixed(np.uint64(identity[i, SRC_HIGH]) ^ seed[0]) + np.uint64(identity[i, SRC_LOW]))
    dst = mixed(mixed(np.uint64(identity[i, DST_HIGH]) ^ seed[1]) + np.uint64(identity[i, DST_LOW]))
    ports = spot_row(src, dst, now, spots)
    if identity[i, IP_VERSION] == 4:
        net = mixed(np.uint64(identity[i, DST_LOW] >> 8) ^ seed[0])
    else:
        net = mixed(np.uint64(identity[i, DST_HIGH]) ^ seed[0])
    service = np.uint64(identity[i, DST_PORT] << 8 | identity[i, PROTOCOL]) | np.uint64(1 << 40)
    targets = spot_row(src, mixed(net + service), now, spots)
    port = identity[i, DST_PORT]
    everybodys = port in (53, 123) or port in shapes.WEB_PORTS
    everywhere = spot_row(src, mixed(service | np.uint64(1 << 41)), now, spots)
    if fresh:
        for row in (ports, targets, everywhere):
            spots.cells[row, S_FAILED_10M if failed else S_OPENED_10M] += 1
            spots.cells[row, S_FAILED_DAY if failed else S_OPENED_DAY] += 1
    cells = spots.cells
    cells[ports, S_WITHOUT_1S] += without
    if without:
        found = tell(i, shapes.TORRENT, ports, cells[ports, S_WITHOUT_1S] / shapes.TORRENT_FLOWS, words, levels, found)
    protocol = identity[i, PROTOCOL]
    if protocol in (ICMP, ICMP6):
        missed, asked = cells[targets, S_FAILED_10M], cells[targets, S_FAILED_10M] + cells[targets, S_OPENED_10M]
        level = asked / shapes.ECHO_TARGETS if missed >= shapes.EMPTY * asked else 0.0
        level = max(level, _level(cells, targets, shapes.SCAN_TARGETS, shapes.SCAN_TARGETS))
        return tell(i, shapes.SCAN, source, level, words, levels, found)
    if not failed or asked_again:
        return found
    level = _level(cells, ports, shapes.SCAN_PORTS, shapes.SCAN_PORTS_A_DAY)
    if protocol not in (TCP, UDP, SCTP):  # of other protocols nobody knows what answers
        return tell(i, shapes.SCAN, source, level, words, levels, found)
    level = max(level, _level(cells, targets, shapes.SCAN_TARGETS, shapes.SCAN_TARGETS))
    a_day = shapes.SCAN_SPREAD if everybodys else shapes.SCAN_TARGETS
    level = max(level, _level(cells, everywhere, shapes.SCAN_SPREAD, a_day))
    return tell(i, shapes.SCAN, source, level, words, levels, found)


@inner
def _level(cells: Floats, row: int, soon: float, a_day: float) -> float:
    """How far the failed ones of a row reach, of those in minutes and those of a day."""
    failed, opened = cells[row, S_FAILED_10M], cells[row, S_OPENED_10M]
    level = failed / soon if failed >= shapes.MOSTLY * (failed + opened) else 0.0
    failed, opened = cells[row, S_FAILED_DAY], cells[row, S_OPENED_DAY]
    return max(level, failed / a_day if failed >= shapes.NEVER * (failed + opened) else 0.0)


@inner
def _talk(
    identity: Identity, values: Values, i: int, first: bool, target: int, now: float, clock: Int64s, label_kind: int,
    hosts: Rows, spots: Rows, pairs: Rows, services: Rows, starts: Floats, words: Int64s, levels: Floats, found: int,
) -> int:  # fmt: skip
    """A flow with data: a session that may be like others, a beat, or questions that carry more than a name."""
    source = host_row(identity, i, SRC_HIGH, SRC_LOW, now, hosts)
    high, low = pair_key(identity, i, hosts.seed)
    pair = pair_row(high, low, now, pairs)
    cells = pairs.cells
    if first:
        hosts.cells[source, H_TALK_10S] += 1
        hosts.cells[target, H_TALK_10S] += 1
        if cells[pair, P_FLOWS] == 0:
            found = _probe(
                identity, i, False, True, False, False, now, hosts, spots, words, levels, found
            )  # fmt: skip
        cells[pair, P_FLOWS] += 1
    protocol = identity[i, PROTOCOL]
    if protocol == TCP:
        found = _connection(
            identity, values, i, first, now, clock, label_kind, source, target, pair, hosts, pairs, services, starts,
            words, levels, found,
        )  # fmt: skip
    elif protocol == UDP:
        if identity[i, DST_PORT] == 53 or identity[i, SRC_PORT] == 53:
            found = questions(identity, values, i, first, pair, pairs, words, levels, found)
        else:
            found = stream(identity, values, i, pair, words, levels, found)
    elif protocol in (ICMP, ICMP6):
        found = stream(identity, values, i, pair, words, levels, found)
        seconds, asked, echoes = values[i, _DURATION] * 1e-6, values[i, _FWD_PACKETS], values[i, _BWD_PACKETS]
        flood = asked >= shapes.STREAM_ECHOES_PER_S * max(seconds, 1.0)
        often = echoes >= shapes.TUNNEL_ECHOES_PER_S * seconds
        if often and not flood and identity[i, SEEN] >> 24 >= shapes.TUNNEL_ECHO_BYTES:
            found = tell(i, shapes.ECHO_TUNNEL, pair, echoes / shapes.TUNNEL_ECHOES, words, levels, found)
    return found


@inner
def _connection(
    identity: Identity, values: Values, i: int, first: bool, now: float, clock: Int64s, label_kind: int, source: int,
    target: int, pair: int, hosts: Rows, pairs: Rows, services: Rows, starts: Floats, words: Int64s, levels: Floats,
    found: int,
) -> int:  # fmt: skip
    """A TCP connection with data: among the sessions of its service, and in what its pair does over hours."""
    service = service_row(identity, i, now, services)
    if first:
        high, low = identity[i, SRC_HIGH], identity[i, SRC_LOW]
        see(high, low, service, now, SOURCES_S, V_SOURCES_AT, services.cells, services.bits)
    found = session(
        identity, values, i, first, clock[2], label_kind, pair, service, pairs, services, words, levels, found
    )
    if first and identity[i, DST_PORT] not in shapes.LOGIN_PORTS:
        found = crowd(i, label_kind, target, service, now, hosts, services, words, levels, found)
    start = (identity[i, START_NS] + identity[i, START_SHIFT_NS] - clock[1]) * 1e-9
    if is_outward(identity, i):
        end = (identity[i, END_NS] + identity[i, END_SHIFT_NS] - clock[1]) * 1e-9
        found = outward(
            identity, values, i, start, end, source, pair, service, hosts, pairs, services, words, levels, found
        )
    jitter = beats(pair, start, source, pairs, starts, hosts) if first and values[i, _SYN] > 0 else -1.0
    if jitter >= 0 and may_beat(identity, i, jitter, service, source, hosts, services):
        gaps = pairs.cells[pair, P_STARTS] - 1
        kind = beat_kind(identity, values, i, pair, pairs)
        found = tell(i, kind, pair, gaps / shapes.BEACON_EVENTS, words, levels, found)
    return found

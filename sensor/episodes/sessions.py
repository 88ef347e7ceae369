"""Flows with data that are something together: sessions that are alike, connections in a beat, long questions."""

import math

from flows.batch import (
    DST_PORT,
    END_REASON,
    REPORT,
    SEEN,
    SEEN_FIN,
    SEEN_FIN_BACK,
    SEEN_RST,
    SEEN_RST_BACK,
    SNAPSHOT,
    SRC_PORT,
    Identity,
    Values,
)
from flows.columns import INDEX
from kernels.fading import Floats, Int64s, Rows, seen
from kernels.jit import inner
from sensor.episodes import shapes
from sensor.episodes.claims import tell
from sensor.episodes.tables import (
    H_LOAD_AT,
    P_ASKED_BYTES,
    P_GUESSES_10M,
    P_LIKE_10M,
    P_OVERLOAD_10S,
    P_QUESTIONS_1M,
    P_SLOW_2M,
    V_LIKE_10M,
    V_LOAD_AT,
    V_OVERLOAD_10S,
    V_SOURCES_AT,
    V_TALK_10S,
    WINDOW_S,
    load,
    load_before,
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
    short = ended and told and values[i, _DURATION] < 1e6 * shapes.GUESS_S
    short = short and sent + values[i, _BWD_BYTES] < shapes.GUESS_BYTES
    if short and (login or label_kind == shapes.GUESS_LABEL):
        _add_like(cells, pair, P_LIKE_10M, sent)
        cells[pair, P_GUESSES_10M] += label_kind == shapes.GUESS_LABEL
        level = 0.0
        if _alike(cells, pair, P_LIKE_10M, shapes.LIKE_LABELLED if login else shapes.LIKE):
            level = cells[pair, P_GUESSES_10M] / (shapes.GUESSES_LABELLED if login else shapes.GUESSES_ANYWHERE)
        if login and _alike(cells, pair, P_LIKE_10M, shapes.LIKE):
            level = max(cells[pair, P_LIKE_10M] / shapes.GUESSES, level)
        found = tell(i, shapes.GUESSING, pair, level, words, levels, found)
        if level < 1 and login:  # what one source does by itself is not of many
            _add_like(at, service, V_LIKE_10M, sent)
            many = seen(service, V_SOURCES_AT, services.cells) >= shapes.GUESSING_SOURCES
            level = at[service, V_LIKE_10M] / shapes.GUESSES_AT if _alike(at, service, V_LIKE_10M, shapes.LIKE) else 0.0
            if many:
                found = tell(i, shapes.GUESSING_AT, service, level, words, levels, found)
    seconds = values[i, _DURATION] * 1e-6
    slow = seconds >= shapes.OPEN_S and sent < shapes.OPEN_BYTES_PER_S * seconds
    overload = label_kind == shapes.DOS_LABEL
    if (slow and (overload or values[i, _BWD_BYTES] == 0)) or (overload and first):
        cells[pair, P_OVERLOAD_10S] += overload and first
        # What is kept open may show only when it is told again, which counts half each time: two of a session at most.
        cells[pair, P_SLOW_2M] += slow * 0.5 ** min(identity[i, REPORT], 60)
        level = max(cells[pair, P_OVERLOAD_10S] / shapes.OVERLOAD_FLOWS, cells[pair, P_SLOW_2M] / shapes.OVERLOAD_OPEN)
        found = tell(i, shapes.OVERLOAD, pair, level, words, levels, found)
    return found


@inner
def crowd(
    i: int, label_kind: int, target: int, service: int, now: float, hosts: Rows, services: Rows, words: Int64s,
    levels: Floats, found: int,
) -> int:  # fmt: skip
    """A new session among all of its service: of many sources, each again and again, and many times what was before."""
    cells = services.cells
    cells[service, V_TALK_10S] += 1
    cells[service, V_OVERLOAD_10S] += label_kind == shapes.DOS_LABEL
    load(service, 1.0, now, V_LOAD_AT, services)
    sessions, sources = cells[service, V_TALK_10S], seen(service, V_SOURCES_AT, services.cells)
    if sources < shapes.MANY_SOURCES or sessions < shapes.CROWD_AGAIN * sources:
        return found
    before = max(load_before(service, V_LOAD_AT, services), 0.0)
    in_view = load_before(target, H_LOAD_AT, hosts) >= 0
    surge = in_view and sessions >= shapes.SURGE * before * WINDOW_S
    if not surge and 2 * cells[service, V_OVERLOAD_10S] < sessions:
        return found
    return tell(i, shapes.OVERLOAD_AT, service, sessions / shapes.CROWD_FLOWS, words, levels, found)


@inner
def _add_like(cells: Floats, row: int, column: int, sent: float) -> None:
    """Count a session with the logarithm of what it sent."""
    weight = math.log(1 + sent)
    cells[row, column] += 1
    cells[row, column + 1] += weight
    cells[row, column + 2] += weight * weight


@inner
def _alike(cells: Floats, row: int, column: int, most: float) -> bool:
    """Whether sessions sent about the same: the deviation of the logarithm of their bytes is so much at most."""
    n, mean = cells[row, column], cells[row, column + 1] / max(cells[row, column], 1e-9)
    return bool(cells[row, column + 2] / max(n, 1e-9) - mean * mean <= most * most)


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
    if asked >= shapes.QUESTIONS:
        rate, exchanged = asked / seconds, asked_bytes + answered_bytes
        long_answers = rate >= shapes.LONG_ANSWERS_PER_S and answered_bytes >= shapes.ANSWER_BYTES * asked
        many = rate >= shapes.QUESTIONS_PER_S and asked >= 2 * shapes.QUESTIONS
        if long_answers or (many and exchanged >= shapes.EXCHANGE_BYTES * asked):
            level = asked / shapes.QUESTIONS
    cells = pairs.cells
    if first and asked < shapes.QUESTIONS:
        cells[pair, P_QUESTIONS_1M] += asked
        cells[pair, P_ASKED_BYTES] += asked_bytes
        asked, asked_bytes = cells[pair, P_QUESTIONS_1M], cells[pair, P_ASKED_BYTES]
    if asked_bytes >= shapes.QUESTION_BYTES * asked:
        level = max(level, asked / shapes.QUESTIONS)
    return tell(i, shapes.DNS_TUNNEL, pair, level, words, levels, found)

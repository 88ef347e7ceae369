"""Floods that one record or one target shows: streams of packets without answers, and answers that nobody asked for."""

from flows.batch import NEW_PACKETS, PROTOCOL, Identity, Values
from flows.columns import INDEX
from flows.jit import inner
from sensor.episodes import shapes
from sensor.episodes.claims import tell
from sensor.episodes.roles import ICMP, ICMP6, UDP
from sensor.episodes.tables import (
    H_ANSWERS_10S,
    H_SOURCES_AT,
    H_TALK_10S,
    WINDOW_S,
    Floats,
    Int64s,
    Rows,
    see,
    seen,
)

_DURATION, _FWD_PACKETS, _BWD_PACKETS = INDEX["flow_duration"], INDEX["fwd_packets"], INDEX["bwd_packets"]


@inner
def answer(
    identity: Identity, i: int, first: bool, target: int, now: float, hosts: Rows, words: Int64s, levels: Floats,
    found: int,
) -> int:  # fmt: skip
    """An answer that nobody asked for: many of them to one host are a reflection on it."""
    if identity[i, PROTOCOL] == ICMP or identity[i, PROTOCOL] == ICMP6:
        return found
    hosts.cells[target, H_ANSWERS_10S] += identity[i, NEW_PACKETS]
    if first:
        see(identity, i, target, now, WINDOW_S, H_SOURCES_AT, hosts)
    answers = hosts.cells[target, H_ANSWERS_10S]
    if answers >= 2 * hosts.cells[target, H_TALK_10S] and seen(target, H_SOURCES_AT, hosts) >= shapes.REFLECTORS:
        return tell(i, shapes.REFLECTION, target, answers / shapes.REFLECTION_PACKETS, words, levels, found)
    return found


@inner
def stream(identity: Identity, values: Values, i: int, pair: int, words: Int64s, levels: Floats, found: int) -> int:
    """One flow that is a flood: packets a second of echo requests, or of UDP that hardly gets an answer."""
    seconds = max(values[i, _DURATION] * 1e-6, 1.0)
    rate = values[i, _FWD_PACKETS] / seconds
    protocol = identity[i, PROTOCOL]
    if protocol in (ICMP, ICMP6):
        level = rate / shapes.STREAM_ECHOES_PER_S
    elif protocol == UDP and values[i, _BWD_PACKETS] * 20 < values[i, _FWD_PACKETS]:
        level = rate / shapes.STREAM_PACKETS_PER_S
        if level < shapes.STREAM_BEYOND_DOUBT:  # a film goes one way too
            level = min(level, 1.9)
    else:
        return found
    return tell(i, shapes.STREAM, pair, level, words, levels, found)

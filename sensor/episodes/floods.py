"""Floods that one record or one target shows: streams of packets without answers, and answers that nobody asked for."""

import numpy as np
from numpy.typing import NDArray

from flows.batch import NEW_PACKETS, PROTOCOL, SRC_HIGH, SRC_LOW, Identity, Values
from flows.columns import INDEX
from flows.roles import ICMP, ICMP6, UDP
from kernels.fading import Floats, Int64s, Rows, see, seen
from kernels.jit import inner
from sensor.episodes import shapes
from sensor.episodes.claims import TOLD, tell
from sensor.episodes.tables import H_ANSWERS_10S, H_SOURCES_AT, H_TALK_10S, P_WITHOUT_10S, WINDOW_S, pair_key, pair_row

_DURATION, _FWD_PACKETS, _BWD_PACKETS = INDEX["flow_duration"], INDEX["fwd_packets"], INDEX["bwd_packets"]


@inner
def answer(
    identity: Identity, i: int, first: bool, target: int, now: float, hosts: Rows, words: Int64s, levels: Floats,
    found: int,
) -> int:  # fmt: skip
    """An answer that nobody asked for: many of them to one host are a reflection on it."""
    hosts.cells[target, H_ANSWERS_10S] += identity[i, NEW_PACKETS]
    if first:
        see(identity[i, SRC_HIGH], identity[i, SRC_LOW], target, now, WINDOW_S, H_SOURCES_AT, hosts.cells, hosts.bits)
    answers = hosts.cells[target, H_ANSWERS_10S]
    if answers >= 2 * hosts.cells[target, H_TALK_10S] and seen(target, H_SOURCES_AT, hosts.cells) >= shapes.REFLECTORS:
        return tell(i, shapes.REFLECTION, target, answers / shapes.REFLECTION_PACKETS, words, levels, found)
    return found


@inner
def unasked(
    identity: Identity, values: Values, i: int, now: float, seed: NDArray[np.uint64], pairs: Rows, words: Int64s,
    levels: Floats, found: int,
) -> int:  # fmt: skip
    """One flow of answers or of ICMP errors: evidence against nobody, unless they come faster than any host answers."""
    level = values[i, _FWD_PACKETS] / max(values[i, _DURATION] * 1e-6, 1.0) / shapes.STREAM_ANSWERS_PER_S
    if level < TOLD:  # no row for each of them
        return found
    high, low = pair_key(identity, i, seed)
    return tell(i, shapes.STREAM, pair_row(high, low, now, pairs), level, words, levels, found)


@inner
def aside(
    identity: Identity, values: Values, i: int, first: bool, now: float, seed: NDArray[np.uint64], pairs: Rows,
    words: Int64s, levels: Floats, found: int,
) -> int:  # fmt: skip
    """Datagrams to a port of discovery or traceroute that get no answer: no probe, but a flood may choose any port."""
    high, low = pair_key(identity, i, seed)
    pair = pair_row(high, low, now, pairs)
    pairs.cells[pair, P_WITHOUT_10S] += first
    level = pairs.cells[pair, P_WITHOUT_10S] / shapes.FLOOD_FROM_FLOWS
    found = tell(i, shapes.FLOOD_FROM, pair, level, words, levels, found)
    return stream(identity, values, i, pair, words, levels, found)


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

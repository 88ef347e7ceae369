"""Whether whole conversations are in view: a tap of one direction, or a sample of packets, shows halves of them.

TCP tells: who sends data had an answer before, as a connection is open once both sides have sent (RFC 9293, 3.5). A
record with data from one side and no packet from the other is half of a conversation, and no evidence that nobody
answered. Where the whole view is of halves, no record without an answer is.

One host can make such records (data sent blindly to many hosts), many can in the name of others (blind data to one
host). So each source has a voice and each destination has one, and the view is of halves when most sources and most
destinations say so. Who forges many of both can say so, too: what is done by or to a host whose own conversations are
seen whole stays evidence, whatever the view is. A voice is a slot of a table that addresses are hashed to: bounded
memory, whoever is seen. A sample that still has packets of both sides in most conversations is not recognised, nor is a
view without TCP.
"""

import numpy as np
from numpy.typing import NDArray

from flows.batch import DST_HIGH, DST_LOW, END_NS, END_SHIFT_NS, PROTOCOL, SRC_HIGH, SRC_LOW, Identity, Values
from flows.columns import INDEX
from flows.roles import FAILED, OPENED
from kernels.hosts import mixed
from kernels.jit import Word, inner

VOICES = 1 << 12
AGREED = 8  # records that a voice remembers: so many of the other kind, and a few more, turn it
FEWEST = 3  # voices on one of the sides, before anything is said
TRUSTED = 4  # so many more records with both sides than with one: a host's conversations are seen whole
PERIOD_NS = 3600 * 1_000_000_000  # all voices fade by half in so long
SILENT = 4  # such periods after which none of before says anything

Voices = NDArray[np.int8]  # (2, VOICES) by side, records with both sides - records of one, within ±AGREED
Tally = NDArray[np.int64]  # (TALLY_WORDS,)
# Per side how many voices say "halves" and how many say "whole", when the voices faded, whether the view is of halves,
# and how many records were passed over for it.
(T_HALVES, T_WHOLE, T_SINCE_NS, T_OF_HALVES, T_PASSED_OVER, TALLY_WORDS) = (0, 2, 4, 5, 6, 7)

_TCP = 6
_FWD_BYTES, _BWD_BYTES = INDEX["fwd_bytes"], INDEX["bwd_bytes"]
_FWD_PACKETS, _BWD_PACKETS = INDEX["fwd_packets"], INDEX["bwd_packets"]


def new_voices() -> tuple[Voices, Tally]:
    """Of a run that has seen nothing."""
    return np.zeros((2, VOICES), dtype=np.int8), np.zeros(TALLY_WORDS, dtype=np.int64)


@inner
def hear(
    identity: Identity, values: Values, i: int, role: int, voices: Voices, tally: Tally, seed: NDArray[np.uint64]
) -> bool:
    """Take in record i; returns whether it says nothing, its answer being out of view.

    role: of the record (sensor.episodes.unopened): data that opened no connection is half of none.
    """
    one_way = values[i, _BWD_PACKETS] == 0 or values[i, _FWD_PACKETS] == 0  # none forward: a SYN-ACK without its SYN
    talks = identity[i, PROTOCOL] == _TCP and values[i, _FWD_BYTES] + values[i, _BWD_BYTES] > 0
    talks = talks and role not in (FAILED, OPENED)
    source = _slot(identity[i, SRC_HIGH], identity[i, SRC_LOW], seed)
    target = _slot(identity[i, DST_HIGH], identity[i, DST_LOW], seed)
    if talks:
        now = identity[i, END_NS] + identity[i, END_SHIFT_NS]
        if now - tally[T_SINCE_NS] >= PERIOD_NS:
            _fade(min(SILENT, (now - tally[T_SINCE_NS]) // PERIOD_NS), voices, tally)
            tally[T_SINCE_NS] = now
        _vote(source, one_way, 0, voices, tally)
        _vote(target, one_way, 1, voices, tally)
        if max(tally[T_HALVES] + tally[T_WHOLE], tally[T_HALVES + 1] + tally[T_WHOLE + 1]) >= FEWEST:
            tally[T_OF_HALVES] = tally[T_HALVES] > tally[T_WHOLE] and tally[T_HALVES + 1] > tally[T_WHOLE + 1]
    elif voices[0, source] >= TRUSTED or voices[1, target] >= TRUSTED:
        return False
    if one_way and (talks or tally[T_OF_HALVES]):
        tally[T_PASSED_OVER] += 1
        return True
    return False


@inner
def _slot(high: Word, low: Word, seed: NDArray[np.uint64]) -> Word:
    return np.int64(mixed(mixed(np.uint64(high) ^ seed[0]) + (np.uint64(low) ^ seed[1])) & np.uint64(VOICES - 1))


@inner
def _fade(periods: Word, voices: Voices, tally: Tally) -> None:
    for side in range(2):
        tally[T_HALVES + side] = tally[T_WHOLE + side] = 0
        for slot in range(VOICES):
            before = np.int64(voices[side, slot])
            after = before >> periods if before > 0 else -(-before >> periods)
            voices[side, slot] = after
            tally[T_HALVES + side] += np.int64(after < 0)
            tally[T_WHOLE + side] += np.int64(after > 0)


@inner
def _vote(slot: Word, half: bool, side: int, voices: Voices, tally: Tally) -> None:
    before = voices[side, slot]
    after = max(before - 1, -AGREED) if half else min(before + 1, AGREED)
    voices[side, slot] = after
    tally[T_HALVES + side] += np.int64(after < 0) - np.int64(before < 0)
    tally[T_WHOLE + side] += np.int64(after > 0) - np.int64(before > 0)

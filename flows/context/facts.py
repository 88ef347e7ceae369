"""What a flow record says to the counts around it, whichever of its ends the meter met first.

A flow that was met in the middle, from a system port to another one, is turned round: its source is who asked (RFC
6335, system ports).
Answers to questions that nobody saw are left as they are (flows.roles).
"""

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
    SEEN_SYN,
    SEEN_SYN_BACK,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    START_SHIFT_NS,
    Identity,
    Values,
)
from flows.columns import INDEX
from flows.roles import ANSWER, FAILED, SYSTEM_PORTS, TALK, TCP, UDP, role_of
from kernels.hosts import mixed
from kernels.jit import Word, entry, inner

Keys = NDArray[np.int64]  # (n, KEY_WORDS)
Amounts = NDArray[np.float64]  # (n, AMOUNT_WORDS)

# Keys of the rows that a record is counted in, two words each.
SOURCE, TARGET, SERVICE, LINK, PAIR, PORT, KEY_WORDS = 0, 2, 4, 6, 8, 10, 11
(
    START,  # s of traffic time
    END,
    NEW,  # 1 where the flow was not reported before, under this record or one that an active timeout has cut off
    NEWS,  # 1 where it says anything new
    FIRST,  # 1 where no report of this record came before
    FAIL,  # 1 for a new flow that nobody answered, or that was refused
    UNASKED,  # packets of answers that nobody asked for
    THERE,  # packets since the last report, of the source
    BACK,  # and of the target
    SHARE,  # of the record's packets that are these
    SENT,  # bytes of payload since the record began, of the source
    RECEIVED,  # and of the target
    SPAN,  # s over which what is new was spread, at most
    AMOUNT_WORDS,
) = range(14)

_DURATION, _CONNECTION = INDEX["flow_duration"], INDEX["connection_duration"]
_FWD_PACKETS, _BWD_PACKETS = INDEX["fwd_packets"], INDEX["bwd_packets"]
_FWD_BYTES, _BWD_BYTES = INDEX["fwd_bytes"], INDEX["bwd_bytes"]
_SYN = INDEX["syn_flag_count"]


@entry
def write_facts(
    identity: Identity, values: Values, base_ns: Word, seed: NDArray[np.uint64], keys: Keys, amounts: Amounts
) -> None:
    """Keys and amounts of each record. base_ns: when the traffic time of the counts begins."""
    for i in range(len(identity)):
        role = role_of(identity, values, i)
        turned = role == TALK and _met_in_the_middle(identity, values, i)
        _write_keys(identity, i, turned, seed, keys)
        there, back = values[i, _FWD_PACKETS], values[i, _BWD_PACKETS]
        sent, received = values[i, _FWD_BYTES], values[i, _BWD_BYTES]
        if turned:
            there, back, sent, received = back, there, received, sent
        news = identity[i, NEW_PACKETS]
        share = min(news / max(there + back, 1.0), 1.0)
        first = identity[i, REPORT] == 0
        new = first and values[i, _CONNECTION] <= values[i, _DURATION]
        amounts[i, START] = (identity[i, START_NS] + identity[i, START_SHIFT_NS] - base_ns) * 1e-9
        amounts[i, END] = (identity[i, END_NS] + identity[i, END_SHIFT_NS] - base_ns) * 1e-9
        amounts[i, NEW], amounts[i, NEWS], amounts[i, FIRST] = new, news > 0, first
        amounts[i, FAIL] = new and role == FAILED
        amounts[i, UNASKED] = news if role == ANSWER else 0
        amounts[i, THERE], amounts[i, BACK], amounts[i, SHARE] = share * there, share * back, share
        amounts[i, SENT], amounts[i, RECEIVED] = sent, received
        amounts[i, SPAN] = share * values[i, _DURATION] * 1e-6


@inner
def _met_in_the_middle(identity: Identity, values: Values, i: int) -> bool:
    """Whether a conversation's first packet in view came from the service, by its port."""
    if not identity[i, SRC_PORT] < SYSTEM_PORTS <= identity[i, DST_PORT]:
        return False
    if identity[i, PROTOCOL] == TCP:
        return bool(values[i, _SYN] == 0 and identity[i, SEEN] & (SEEN_SYN | SEEN_SYN_BACK) == 0)
    return bool(identity[i, PROTOCOL] == UDP)


@inner
def _write_keys(identity: Identity, i: int, turned: bool, seed: NDArray[np.uint64], keys: Keys) -> None:
    source_high, source_low = identity[i, SRC_HIGH], identity[i, SRC_LOW]
    target_high, target_low, port = identity[i, DST_HIGH], identity[i, DST_LOW], identity[i, DST_PORT]
    if turned:
        source_high, source_low, target_high, target_low = target_high, target_low, source_high, source_low
        port = identity[i, SRC_PORT]
    if identity[i, IP_VERSION] == 4:  # no address has a high word of all ones: keys of IPv4 meet none of IPv6
        source_high = target_high = np.int64(-1)
    service = np.uint64(port << 8 | identity[i, PROTOCOL])
    source = mixed(mixed(np.uint64(source_high) ^ seed[0]) + np.uint64(source_low))
    target = mixed(mixed(np.uint64(target_high) ^ seed[1]) + np.uint64(target_low))
    keys[i, SOURCE], keys[i, SOURCE + 1] = source_high, source_low
    keys[i, TARGET], keys[i, TARGET + 1] = target_high, target_low
    keys[i, SERVICE], keys[i, SERVICE + 1] = np.int64(mixed(target + service)), target_low
    keys[i, LINK], keys[i, LINK + 1] = np.int64(source), np.int64(target)
    keys[i, PAIR], keys[i, PAIR + 1] = np.int64(mixed(source + service)), np.int64(target)
    keys[i, PORT] = np.int64(service)

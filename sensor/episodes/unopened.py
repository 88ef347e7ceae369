"""What a TCP record with data is where no connection was opened: an attempt, as one without data.

A probe or a flood may carry some bytes (nmap's --data-length, floods of ACKs with a payload). Who has opened a
connection sends an ACK in each segment (RFC 9293, 3.1), so what one sent who never did was in his SYN; who is answered
by RSTs alone was refused (3.5.2). The context of flows counts such records as talk: bundles are fitted by that.
"""

from flows.batch import (
    PROTOCOL,
    SEEN,
    SEEN_ACK,
    SEEN_RST,
    SEEN_RST_BACK,
    SEEN_SYN,
    SEEN_SYN_BACK,
    Identity,
    Values,
)
from flows.columns import INDEX
from flows.roles import FAILED, OPENED, TALK, TCP, role_of
from kernels.jit import inner

_BWD_BYTES, _BWD_PACKETS, _RST = INDEX["bwd_bytes"], INDEX["bwd_packets"], INDEX["rst_flag_count"]


@inner
def act_of(identity: Identity, values: Values, i: int) -> int:
    """The role of record i (flows.roles), where data that opened nothing counts as none."""
    role = role_of(identity, values, i)
    if role != TALK or identity[i, PROTOCOL] != TCP or values[i, _BWD_BYTES] > 0:
        return role
    seen = identity[i, SEEN]
    if seen & (SEEN_SYN | SEEN_ACK) == SEEN_SYN:
        return OPENED if seen & SEEN_SYN_BACK else FAILED
    refused = seen & (SEEN_RST | SEEN_RST_BACK | SEEN_SYN_BACK) == SEEN_RST_BACK
    return FAILED if refused and values[i, _RST] >= values[i, _BWD_PACKETS] else TALK

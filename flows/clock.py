"""Packet time made safe: never backwards, and no single stamp may throw it far forward.

One far-future stamp would stop all expiry and one stamp in the past would give negative durations. So a stamp behind
the clock counts as now ("late"), a stamp more than a day ahead must be confirmed by the next packet, and when a source
stays behind by more than a minute for 32 packets its offset is taken over ("clock jump") instead of waiting for it to
catch up.
"""

from flows.block import Int64s
from flows.jit import U, Word, inner
from flows.layout import (
    M_CLOCK_CANDIDATE_NS,
    M_CLOCK_JUMPS,
    M_CLOCK_LATE_RUN,
    M_CLOCK_NS,
    M_CLOCK_OFFSET_NS,
    M_LATE,
    UNSET,
)

MAX_FORWARD_NS = 86_400_000_000_000
MAX_BEHIND_NS = 60_000_000_000
BEHIND_RUN = 32


@inner
def clamp_time(registers: Int64s, ts_ns: Word) -> Word:
    """Meter time of a packet, ns; moves the clock."""
    now = registers[U(M_CLOCK_NS)]
    time = ts_ns + registers[U(M_CLOCK_OFFSET_NS)]
    ahead = time - now
    if now == UNSET or 0 <= ahead <= MAX_FORWARD_NS:
        registers[U(M_CLOCK_CANDIDATE_NS)] = UNSET
        registers[U(M_CLOCK_LATE_RUN)] = 0
        registers[U(M_CLOCK_NS)] = time
        return time
    if ahead > 0:
        candidate = registers[U(M_CLOCK_CANDIDATE_NS)]
        if candidate != UNSET and abs(time - candidate) <= MAX_FORWARD_NS:
            registers[U(M_CLOCK_CANDIDATE_NS)] = UNSET
            registers[U(M_CLOCK_JUMPS)] += 1
            registers[U(M_CLOCK_NS)] = time
            return time
        registers[U(M_CLOCK_CANDIDATE_NS)] = time
        return now
    registers[U(M_LATE)] += 1
    registers[U(M_CLOCK_LATE_RUN)] = registers[U(M_CLOCK_LATE_RUN)] + 1 if ahead < -MAX_BEHIND_NS else 0
    if registers[U(M_CLOCK_LATE_RUN)] == BEHIND_RUN:
        registers[U(M_CLOCK_LATE_RUN)] = 0
        registers[U(M_CLOCK_JUMPS)] += 1
        registers[U(M_CLOCK_OFFSET_NS)] = now - ts_ns
    return now

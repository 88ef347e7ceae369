"""Packet time made safe: never backwards, and no single stamp may throw it far forward.

One far-future stamp would stop all expiry and one stamp in the past would give negative durations. So a stamp behind
the clock counts as now ("late"), a stamp more than a day ahead must be confirmed by the next packet, unless
flows.arrival has looked at it already, and when a source stays behind by more than a minute for 32 packets its offset
is taken over ("clock jump") instead of waiting for it to catch up. While there is an offset, a step of more than an
hour counts as an hour, or as what ends the offset: else a capture that goes back and forth between 1970 and 2116 would
soon claim more time than 64 bits hold. Stamps beyond 2116 count as that year, and should the clock reach 2262 it stands
still instead of wrapping round.
"""

from flows.block import Int64s
from flows.layout import (
    M_CLOCK_CANDIDATE_NS,
    M_CLOCK_JUMPS,
    M_CLOCK_LATE_RUN,
    M_CLOCK_NS,
    M_CLOCK_OFFSET_NS,
    M_CONFIRMED,
    M_LATE,
    M_LATE_NS,
    UNSET,
)
from kernels.jit import U, Word, inner

MAX_FORWARD_NS = 86_400_000_000_000
MAX_BEHIND_NS = 60_000_000_000
BEHIND_RUN = 32
MAX_SHIFTED_NS = 3_600_000_000_000
LATEST_STAMP_NS = (1 << 62) - 1
LATEST_CLOCK_NS = (1 << 63) - 1 - 2 * MAX_FORWARD_NS


@inner
def clamp_time(registers: Int64s, ts_ns: Word) -> Word:
    """Meter time of a packet, ns; moves the clock."""
    now = registers[U(M_CLOCK_NS)]
    stamp = min(max(ts_ns, 0), LATEST_STAMP_NS)
    # in this order nothing can overflow: the offset lies between 0 and now
    ahead = stamp - (now - registers[U(M_CLOCK_OFFSET_NS)])
    if not 0 <= ahead <= MAX_SHIFTED_NS or now > LATEST_CLOCK_NS:
        return unusual_time(registers, now, stamp, ahead)
    registers[U(M_CLOCK_CANDIDATE_NS)] = UNSET
    registers[U(M_CLOCK_LATE_RUN)] = 0
    registers[U(M_CLOCK_NS)] = now + ahead
    return now + ahead


@inner
def unusual_time(registers: Int64s, now: Word, stamp: Word, ahead: Word) -> Word:
    """Meter time of a packet that is the first, late, far ahead, or at the end of time."""
    if now != UNSET and ahead < 0:
        return late_time(registers, now, stamp, ahead)
    step = ahead
    if now != UNSET and ahead > MAX_FORWARD_NS and registers[U(M_CONFIRMED)] == 0:
        candidate = registers[U(M_CLOCK_CANDIDATE_NS)]
        if candidate == UNSET or abs(stamp - candidate) > MAX_FORWARD_NS:
            registers[U(M_CLOCK_CANDIDATE_NS)] = stamp
            return now
        registers[U(M_CLOCK_JUMPS)] += 1
    if registers[U(M_CLOCK_OFFSET_NS)] > 0:
        step = max(stamp - now, MAX_SHIFTED_NS)
    if now > LATEST_CLOCK_NS:
        step = 0
    registers[U(M_CLOCK_CANDIDATE_NS)] = UNSET
    registers[U(M_CLOCK_LATE_RUN)] = 0
    registers[U(M_CLOCK_OFFSET_NS)] = now + step - stamp
    registers[U(M_CLOCK_NS)] = now + step
    return now + step


@inner
def late_time(registers: Int64s, now: Word, stamp: Word, ahead: Word) -> Word:
    """Meter time of a packet behind the clock: now."""
    registers[U(M_LATE)] += 1
    registers[U(M_LATE_NS)] = max(registers[U(M_LATE_NS)], -ahead)
    registers[U(M_CLOCK_LATE_RUN)] = registers[U(M_CLOCK_LATE_RUN)] + 1 if ahead < -MAX_BEHIND_NS else 0
    if registers[U(M_CLOCK_LATE_RUN)] == BEHIND_RUN:
        registers[U(M_CLOCK_LATE_RUN)] = 0
        registers[U(M_CLOCK_JUMPS)] += 1
        registers[U(M_CLOCK_OFFSET_NS)] = now - stamp
    return now

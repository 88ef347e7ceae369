"""When packets of a stored capture came, as far as their stamps tell: a clock that no single wrong stamp moves.

Stamps are the packets' own and are not changed. Beside each the kernel gives the newest time by then, which never goes
back, and the packet's place in the order of time: its stamp, or a window behind the newest time where it is further
back. Sorting by places undoes what several capture threads have mixed, and puts no packet before one that stands ahead
of it in the capture and is stamped earlier. A stamp that the next packet takes back by more than the window moves
nothing, nor does a first one that the next two take back, or a last one more than a day ahead. Where packets stay
behind, the clock was set back, and from then on the difference is added.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from flows.block import Int64s
from flows.clock import BEHIND_RUN, LATEST_STAMP_NS, MAX_FORWARD_NS
from flows.layout import UNSET
from kernels.jit import U, Word, entry, inner

WINDOW_NS: Final = 1_000_000_000  # within which packets are put in order
FIRST_STAMPS: Final = 3  # of a capture, by which it is told whether the first one is wrong

# Words of a clock's state. How far: the farthest of their kind, ns.
(
    A_NEWEST,  # UNSET before the first packet
    A_OFFSET,  # what is added to stamps since the clock was set back
    A_RUN,  # packets behind by more than the window, one after the other up to now
    A_RUN_NS,
    A_BEHIND,  # packets behind by more than the window, of runs that have ended
    A_BEHIND_NS,
    A_AHEAD,  # packets ahead of those around them
    A_AHEAD_NS,
    A_SET_BACK,  # times that the clock was set back
    A_SET_BACK_NS,
    ARRIVAL_WORDS,
) = range(11)


@inner
def end_run(state: Int64s) -> None:
    """Count packets that were behind by more than the window as such: the clock was not set back."""
    state[U(A_BEHIND)] += state[U(A_RUN)]
    state[U(A_BEHIND_NS)] = max(state[U(A_BEHIND_NS)], state[U(A_RUN_NS)])
    state[U(A_RUN)] = state[U(A_RUN_NS)] = 0


@inner
def first_time(ts_ns: Int64s) -> int:
    """Time at which a capture begins: its first stamp, or the second where the two behind the first take it back."""
    first: Word = min(max(ts_ns[U(0)], 0), LATEST_STAMP_NS)
    second: Word = first
    for i in range(1, min(FIRST_STAMPS, len(ts_ns))):
        stamp: Word = min(max(ts_ns[U(i)], 0), LATEST_STAMP_NS)
        if stamp >= first - WINDOW_NS:
            return int(first)
        if i == 1:
            second = stamp
    return int(second)


@entry
def follow_in_order(ts_ns: Int64s, more: bool, state: Int64s) -> int:
    """Follow a clock over stamps of which each is the newest one; returns as follow_arrivals does, UNSET where not so.

    The state is then as it was. At least one packet.
    """
    last = len(ts_ns) - 1
    now: Word = state[U(A_NEWEST)]
    back = state[U(A_OFFSET)] != 0 or ts_ns[U(0)] < max(now, 0) or ts_ns[U(last)] > LATEST_STAMP_NS
    for i in range(last):
        back |= ts_ns[U(i + 1)] < ts_ns[U(i)]
    if back:
        return int(UNSET)
    if last > 0:
        now = ts_ns[U(last - 1)]
    ahead: Word = ts_ns[U(last)] - now
    if more and (now == UNSET or ahead > WINDOW_NS):
        last -= 1
    elif now != UNSET and ahead > MAX_FORWARD_NS:
        return int(UNSET)
    if last >= 0:
        state[U(A_NEWEST)] = ts_ns[U(last)]
        end_run(state)
    return last + 1


@entry
def follow_arrivals(ts_ns: Int64s, more: bool, state: Int64s, newest: Int64s, places: Int64s) -> int:
    """Follow a clock over the stamps of consecutive packets; returns how many.

    These are all, but for a last one, or the first two of the capture, that cannot be told from a wrong stamp before
    the next one is known, where there are to be `more`. ts_ns: (n,) ns since 1970. state: (ARRIVAL_WORDS,), carried
    from call to call. newest, places: (n,), filled.
    """
    for i in range(len(ts_ns)):
        stamp: Word = min(max(ts_ns[U(i)], 0), LATEST_STAMP_NS)
        now: Word = state[U(A_NEWEST)]
        place: Word = min(stamp + state[U(A_OFFSET)], LATEST_STAMP_NS)
        if now == UNSET:
            if more and len(ts_ns) < FIRST_STAMPS:
                return i
            now = first_time(ts_ns)
        if place >= now:
            following: Word = place
            if i + 1 < len(ts_ns):
                following = min(max(ts_ns[U(i + 1)], 0), LATEST_STAMP_NS) + state[U(A_OFFSET)]
            elif more and place - now > WINDOW_NS:
                return i
            elif place - now > MAX_FORWARD_NS:
                place = now  # nothing behind it confirms it
            if place - now > WINDOW_NS and following < place - WINDOW_NS:
                state[U(A_AHEAD)] += 1
                state[U(A_AHEAD_NS)] = max(state[U(A_AHEAD_NS)], place - now)
                place = now
            now = place
            end_run(state)
        elif now - place <= WINDOW_NS:
            end_run(state)
        else:
            state[U(A_RUN)] += 1
            state[U(A_RUN_NS)] = max(state[U(A_RUN_NS)], now - place)
            place = max(now - WINDOW_NS, 0)
            if state[U(A_RUN)] == BEHIND_RUN:
                state[U(A_SET_BACK)] += 1
                state[U(A_SET_BACK_NS)] = max(state[U(A_SET_BACK_NS)], state[U(A_RUN_NS)])
                state[U(A_RUN)] = state[U(A_RUN_NS)] = 0
                state[U(A_OFFSET)] = now - stamp
        state[U(A_NEWEST)] = now
        newest[U(i)] = now
        places[U(i)] = place
    return len(ts_ns)


@dataclass(frozen=True, slots=True)
class Oddities:
    """What was odd about the stamps of a capture; times in ns, the farthest of their kind."""

    behind: int  # packets behind those before them by more than WINDOW_NS
    behind_ns: int
    ahead: int  # packets ahead of those around them
    ahead_ns: int
    set_back: int  # times that the clock was set back
    set_back_ns: int

    @property
    def any(self) -> bool:
        """Whether there was anything."""
        return bool(self.behind or self.ahead or self.set_back)


class ArrivalClock:
    """The clock of one capture."""

    def __init__(self) -> None:
        self._state: Int64s = np.zeros(ARRIVAL_WORDS, dtype=np.int64)
        self._state[A_NEWEST] = UNSET

    def follow(self, ts_ns: Int64s, more: bool = False) -> tuple[Int64s, Int64s]:
        """(newest time by then, place) of each of the next packets, (n,) ns; `ts_ns` itself where all are in order.

        more: others follow, without which the last one, or the first two of all, may not be told from a wrong stamp:
        they have no entry then, and are to be given again with them. At least one packet.
        """
        count = follow_in_order(ts_ns, more, self._state)
        if count != UNSET:
            in_order = ts_ns if count == len(ts_ns) else ts_ns[:count]
            return in_order, in_order
        newest, places = np.empty_like(ts_ns), np.empty_like(ts_ns)
        count = follow_arrivals(ts_ns, more, self._state, newest, places)
        return newest[:count], places[:count]

    @property
    def oddities(self) -> Oddities:
        """What was odd by now."""
        state = self._state.copy()
        end_run(state)
        return Oddities(*(int(word) for word in state[A_BEHIND:ARRIVAL_WORDS]))


def warm_arrivals() -> None:
    """Compile the kernel before there are packets."""
    ArrivalClock().follow(np.array([1, 0], dtype=np.int64))

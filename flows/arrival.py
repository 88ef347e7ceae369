"""When packets of a stored capture came, as far as their stamps tell: a clock that no single wrong stamp moves.

Stamps are the packets' own and are not changed. Beside each the kernel gives the newest time by then, which never goes
back, and the packet's place in the order of time: its stamp where that is at most a window behind the newest one, so
that sorting by places undoes what several capture threads have mixed, and else the newest time. A stamp that the next
packet takes back by more than the window moves nothing. Where packets stay behind, the clock was set back, and from
then on the difference is added.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from flows.block import Int64s
from flows.jit import U, Word, entry

WINDOW_NS: Final = 1_000_000_000  # within which packets are put in order
BEHIND_RUN: Final = 32  # packets that are behind by more, one after the other: the clock was set back
LATEST_NS: Final = (1 << 62) - 1  # stamps beyond 2116 count as that year

# Words of a clock's state. How far: the farthest of their kind, ns.
(
    A_NEWEST,  # UNSET before the first packet
    A_OFFSET,  # what is added to stamps since the clock was set back
    A_RUN,
    A_SORTED,  # packets out of order within the window
    A_BEHIND,  # packets behind by more
    A_BEHIND_NS,
    A_AHEAD,  # packets ahead of those around them
    A_AHEAD_NS,
    A_SET_BACK,  # times that the clock was set back
    A_SET_BACK_NS,
    ARRIVAL_WORDS,
) = range(11)
UNSET: Final = -1


@entry
def follow_arrivals(ts_ns: Int64s, state: Int64s, newest: Int64s, places: Int64s) -> None:
    """Follow a clock over the stamps of consecutive packets.

    ts_ns: (n,) ns since 1970. state: (ARRIVAL_WORDS,), carried from call to call. newest, places: (n,), filled.
    """
    for i in range(len(ts_ns)):
        stamp: Word = min(max(ts_ns[U(i)], 0), LATEST_NS)
        now: Word = state[U(A_NEWEST)]
        place: Word = min(stamp + state[U(A_OFFSET)], LATEST_NS)
        if now == UNSET:
            now = place
        if place >= now:
            following: Word = place
            if i + 1 < len(ts_ns):
                following = min(max(ts_ns[U(i + 1)], 0), LATEST_NS) + state[U(A_OFFSET)]
            if place - now > WINDOW_NS and following < place - WINDOW_NS:
                state[U(A_AHEAD)] += 1
                state[U(A_AHEAD_NS)] = max(state[U(A_AHEAD_NS)], place - now)
                place = now
            now = place
            state[U(A_RUN)] = 0
        elif now - place <= WINDOW_NS:
            state[U(A_SORTED)] += 1
            state[U(A_RUN)] = 0
        else:
            behind: Word = now - place
            state[U(A_BEHIND)] += 1
            state[U(A_RUN)] += 1
            state[U(A_BEHIND_NS)] = max(state[U(A_BEHIND_NS)], behind)
            place = now
            if state[U(A_RUN)] == BEHIND_RUN:
                state[U(A_RUN)] = 0
                state[U(A_BEHIND)] -= BEHIND_RUN
                state[U(A_SET_BACK)] += 1
                state[U(A_SET_BACK_NS)] = max(state[U(A_SET_BACK_NS)], behind)
                state[U(A_OFFSET)] = now - stamp
        state[U(A_NEWEST)] = now
        newest[U(i)] = now
        places[U(i)] = place


@dataclass(frozen=True, slots=True)
class Oddities:
    """What was odd about the stamps of a capture; times in ns, the farthest of their kind."""

    behind: int  # packets behind those before them by more than WINDOW_NS
    behind_ns: int
    ahead: int  # packets ahead of those around them
    ahead_ns: int
    set_back: int  # times that the clock was set back
    set_back_ns: int


class ArrivalClock:
    """The clock of one capture."""

    def __init__(self) -> None:
        self._state: Int64s = np.zeros(ARRIVAL_WORDS, dtype=np.int64)
        self._state[A_NEWEST] = UNSET

    def follow(self, ts_ns: Int64s) -> tuple[Int64s, Int64s]:
        """(newest time by then, place) of each of the next packets, (n,) ns; `ts_ns` itself where all are in order."""
        state = self._state
        in_order = len(ts_ns) and not state[A_OFFSET] and state[A_NEWEST] <= ts_ns[0] and ts_ns[-1] <= LATEST_NS
        if in_order and ts_ns[0] >= 0 and bool(np.all(ts_ns[1:] >= ts_ns[:-1])):
            state[A_NEWEST], state[A_RUN] = ts_ns[-1], 0
            return ts_ns, ts_ns
        newest, places = np.empty_like(ts_ns), np.empty_like(ts_ns)
        follow_arrivals(ts_ns, state, newest, places)
        return newest, places

    @property
    def sorted(self) -> int:
        """Packets out of order by at most WINDOW_NS."""
        return int(self._state[A_SORTED])

    @property
    def oddities(self) -> Oddities:
        """What was odd by now."""
        return Oddities(*(int(word) for word in self._state[A_BEHIND:ARRIVAL_WORDS]))


def warm_arrivals() -> None:
    """Compile the kernel before there are packets."""
    ArrivalClock().follow(np.array([1, 0], dtype=np.int64))

"""The episodes that go on, in bounded memory: those that wait to open, those told of on their own, and merged hosts.

However many hosts an attacker speaks for, each of the three is bounded by one capacity. What waits gives way by its
begin, as chance began most of it, and of the kind that has most: forged probes push out probes, not what cannot be
forged. An alert and a merged host give way by when they last moved, as what goes on is worth most. Whom others left no
room is counted, and it is the caller who ends it. Storms are held beside them, one a kind and technique.

It also knows when each is to be looked at whether it is over. It knows no flow, no line and no wall clock. Nothing
depends on hashes: all orders are those in which episodes began, moved or fall due.
"""

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from sensor.episodes.episode import Episode, Held, MergedHost

Key = tuple[int, int]  # kind of a claim, and the row of its subject; of a storm, its order

_SPARE: Final = 1024  # deadlines that may be out of date, beside as many as there are episodes


class HeldEpisodes:
    """Each key holds one episode at most: begun, then opened, then perhaps merged, until it is let go."""

    def __init__(self, capacity: int) -> None:
        """capacity: of those that wait, of those told of on their own, and of merged hosts, each."""
        self._capacity = capacity
        self._of: dict[Key, Held] = {}
        # Each key is in one of these, but for those of storms: by kind and begin, and by when they last moved.
        self._waiting: dict[int, OrderedDict[Key, None]] = {}
        self.waiting = 0  # episodes that have not opened
        self._alone: OrderedDict[Key, None] = OrderedDict()
        self._merged: OrderedDict[Key, None] = OrderedDict()
        self._storms: dict[Key, None] = {}
        self._deadlines: list[tuple[int, int, int, Key]] = []  # a heap: deadline, order, number of the entry, key
        self._looks = 0  # entries so far
        self.forgotten = 0  # that waited and left for want of room, as the next two
        self.closed_early = 0
        self.merged_forgotten = 0

    def __len__(self) -> int:
        """Episodes that go on, with storms."""
        return len(self._of)

    @property
    def alone(self) -> int:
        """Open episodes with alerts of their own, storms not among them."""
        return len(self._alone)

    @property
    def merged(self) -> int:
        """Hosts that storms stand for and that are still known."""
        return len(self._merged)

    @property
    def deadlines(self) -> int:
        """Entries of the heap, of which some may be out of date."""
        return len(self._deadlines)

    def __iter__(self) -> Iterator[Held]:
        """All of them, in the order in which they came."""
        return iter(self._of.values())

    def told(self) -> Iterator[Held]:
        """Those that alerts tell of: storms, then the others, which moved last first."""
        return (self._of[key] for keys in (self._storms, reversed(self._alone)) for key in keys)

    def find(self, key: Key) -> Held | None:
        """Who is held there."""
        return self._of.get(key)

    def begin(self, key: Key, episode: Episode) -> tuple[Key, Held] | None:
        """Hold a new episode that waits to open, where none is held; returns whom it leaves no room, let go."""
        self._of[key] = episode
        self._waiting.setdefault(key[0], OrderedDict())[key] = None
        self.waiting += 1
        if self.waiting <= self._capacity:
            return None
        self.forgotten += 1
        self.waiting -= 1
        return self._first_of(max((keys for keys in self._waiting.values() if next(iter(keys), key) != key), key=len))

    def open(self, key: Key) -> tuple[Key, Held] | None:
        """An episode that waited is told of on its own from now on; returns whom it leaves no room, let go."""
        self._end_wait(key)
        evicted = None
        if len(self._alone) >= self._capacity:
            self.closed_early += 1
            evicted = self._first_of(self._alone)
        self._alone[key] = None
        return evicted

    def merge(self, key: Key, host: MergedHost) -> tuple[Key, Held] | None:
        """A storm stands for an episode that waited; returns whom that leaves no room, let go."""
        self._end_wait(key)
        evicted = None
        if len(self._merged) >= self._capacity:
            self.merged_forgotten += 1
            evicted = self._first_of(self._merged)
        self._merged[key] = None
        self._of[key] = host
        return evicted

    def add_storm(self, key: Key, storm: Episode) -> None:
        """Hold a storm, of which there are never more than kinds with each technique."""
        self._of[key] = storm
        self._storms[key] = None

    def moved(self, key: Key) -> None:
        """A flow came for an episode that is held."""
        if key in self._alone:
            self._alone.move_to_end(key)
        elif key in self._merged:
            self._merged.move_to_end(key)

    def let_go(self, key: Key) -> None:
        """Hold an episode no longer."""
        del self._of[key]
        for keys in (self._alone, self._merged, self._storms):
            if key in keys:
                del keys[key]
                return
        self._end_wait(key)

    def look_at(self, key: Key, held: Held, due_ns: int) -> None:
        """Look at an episode at this traffic time, and not when it was to be looked at before."""
        self._looks += 1
        held.due_ns = due_ns
        heapq.heappush(self._deadlines, (due_ns, held.order, self._looks, key))
        if len(self._deadlines) > 2 * len(self._of) + _SPARE:  # most of which are out of date
            self._deadlines = [entry for entry in self._deadlines if self._awaited(entry) is not None]
            heapq.heapify(self._deadlines)

    def due(self, until_ns: int) -> tuple[int, Key, Held] | None:
        """The next to be looked at by then, by deadline, then by age: (deadline, key, episode); None where there is
        none. It is not given again.
        """
        while self._deadlines and self._deadlines[0][0] <= until_ns:
            entry = heapq.heappop(self._deadlines)
            held = self._awaited(entry)
            if held is not None:
                return entry[0], entry[3], held
        return None

    def _awaited(self, entry: tuple[int, int, int, Key]) -> Held | None:
        """The episode of an entry that is not out of date."""
        due_ns, order, _, key = entry
        held = self._of.get(key)
        return held if held is not None and held.order == order and held.due_ns == due_ns else None

    def _end_wait(self, key: Key) -> None:
        del self._waiting[key[0]][key]
        self.waiting -= 1

    def _first_of(self, keys: "OrderedDict[Key, None]") -> tuple[Key, Held]:
        key, _ = keys.popitem(last=False)
        return key, self._of.pop(key)

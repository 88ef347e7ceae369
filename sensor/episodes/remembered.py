"""Flows of episodes that have not opened yet, remembered for when they do.

Chance may begin episodes about many hosts at once, so the flows of all of them together are bounded: the oldest give
way, whosever they are, as the oldest packets do in memory.
"""

from collections import OrderedDict, deque

from sensor.episodes.episode import BufferedFlow, Episode

FLOWS_REMEMBERED = 8192  # of all episodes together, some 2 KB each
FLOWS_EACH = 256  # of one episode: more would crowd out others


class RememberedFlows:
    """The latest flows of episodes that may open, at most so many of each and of all."""

    def __init__(self, most: int = FLOWS_REMEMBERED, most_each: int = FLOWS_EACH) -> None:
        """most: of all episodes together. most_each: of one of them."""
        self._most, self._most_each = most, most_each
        self._added = 0
        self.evicted = 0  # that gave way to others
        self._flows: OrderedDict[int, tuple[int, BufferedFlow]] = OrderedDict()  # by number: order of its episode, flow
        self._numbers: dict[int, deque[int]] = {}  # of an episode's flows, the oldest first, by its order

    def __len__(self) -> int:
        """Flows that are remembered."""
        return len(self._flows)

    def add(self, episode: Episode, flow: BufferedFlow) -> None:
        """Remember a flow; the oldest of its episode, or else of all, gives way."""
        numbers = self._numbers.setdefault(episode.order, deque())
        self.evicted += len(numbers) == self._most_each or len(self._flows) == self._most
        if len(numbers) == self._most_each:
            del self._flows[numbers.popleft()]
        elif len(self._flows) == self._most:
            _, (order, _) = self._flows.popitem(last=False)
            self._numbers[order].popleft()
            if not self._numbers[order] and order != episode.order:
                del self._numbers[order]
        self._added += 1
        self._flows[self._added] = (episode.order, flow)
        numbers.append(self._added)

    def take(self, episode: Episode) -> list[BufferedFlow]:
        """The flows of an episode, the oldest first; they are then remembered no more."""
        return [self._flows.pop(number)[1] for number in self._numbers.pop(episode.order, ())]

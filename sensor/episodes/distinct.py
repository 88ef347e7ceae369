"""Distinct values and running flows of episodes, which all of them pay from one budget.

Distinct targets, ports and sources are held exactly up to DISTINCT_LIMIT each and then only known to be more. All
episodes together share one budget of such values, so that their memory is bounded whatever an attacker does: the fuller
it is, the fewer a single one may have (dynamic thresholds, Choudhury and Hahne 1998), and the largest stop first.
"""

from collections import OrderedDict

from flows.batch import DST_PORT, END_REASON, REPORT, SNAPSHOT, SRC_HIGH, START_NS

DISTINCT_LIMIT = 4096  # values in one set at most
DISTINCT_IN_ALL = 1 << 18  # values of all episodes together, some 150 bytes each
_SHARE = 16  # a set grows while it has less than this part of what is free

# Distinct values are keys of dictionaries: they keep their order, and the garbage collector passes over dictionaries of
# plain numbers, of which a flood from forged addresses makes many.
Distinct = dict[int, None]


class DistinctBudget:
    """What is left of the distinct values that episodes may hold together; the first of each set is beyond it."""

    __slots__ = ("free",)

    def __init__(self, values: int = DISTINCT_IN_ALL) -> None:
        self.free = values

    def admits(self, held: int) -> bool:
        """Whether a set that holds so many values may have one more; if so, it is charged."""
        if held >= DISTINCT_LIMIT or (held and held * _SHARE >= self.free):
            return False
        self.free -= 1
        return True


class RunningFlows:
    """Flows of an episode whose reports may go on, so that each is counted once.

    Of a flow that was reported when it closed nothing more comes as a rule, so those reported longest ago give way.
    A flow is known by the hash of its words, a number instead of seven in a tuple: two of a million flows have the same
    less than once in a million times, and then one of them is not counted.
    """

    __slots__ = ("_budget", "_keys")

    def __init__(self, budget: DistinctBudget) -> None:
        self._budget = budget
        self._keys: OrderedDict[int, None] | None = None  # most episodes have none

    def __len__(self) -> int:
        """Flows that are known."""
        return len(self._keys) if self._keys else 0

    def seen_before(self, identity: list[int]) -> bool:
        """Whether an earlier report of this flow was counted. identity: words of FlowBatch.identity."""
        snapshot = identity[END_REASON] == SNAPSHOT
        if not snapshot and identity[REPORT] == 0:
            return False
        key = hash((identity[START_NS], *identity[SRC_HIGH : DST_PORT + 1]))
        if self._keys is None:
            self._keys = OrderedDict()
        known = key in self._keys
        if known:
            del self._keys[key]
            self._budget.free += 1
        if snapshot:
            if not self._budget.admits(len(self._keys)):
                self._keys.popitem(last=False)
            self._keys[key] = None
        return known

    def clear(self) -> None:
        """Forget them, and give back what they took of the budget."""
        self._budget.free += len(self)
        self._keys = None

"""What a server holds of bodies and answers at once: one budget of bytes that all connections share.

It knows no socket and no request. A connection has an allowance of its own beside the budget, so that small requests
are served while others have used it up; connections are bounded, and so is the sum.
"""

import threading
from typing import Final

ALLOWANCE_BYTES: Final = 64 << 10  # of one holder, outside of the budget


class BodyBudget:
    """Bytes that may be in memory together. Thread-safe."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._used = 0
        self._lock = threading.Lock()

    @property
    def used_bytes(self) -> int:
        """Bytes held now, beyond the allowances of their holders."""
        return self._used

    def grant(self, more: int, *, forced: bool = False) -> bool:
        """Take so many bytes more, negative ones to return them; False, and nothing taken, beyond the limit.

        forced: take them all the same, since they are there already.
        """
        with self._lock:
            if more > 0 and not forced and self._used + more > self.limit_bytes:
                return False
            self._used += more
            return True


class HeldBytes:
    """What one holder has of a budget. Thread-safe."""

    def __init__(self, budget: BodyBudget, allowance_bytes: int = ALLOWANCE_BYTES) -> None:
        """allowance_bytes: that it may hold outside of the budget."""
        self._budget = budget
        self._allowance_bytes = allowance_bytes
        self._charged = 0
        self._lock = threading.Lock()

    def hold(self, size_bytes: int, *, forced: bool = False) -> bool:
        """Hold so many bytes in place of those held before; False, and all as before, where the budget is used up."""
        with self._lock:
            wanted = max(size_bytes - self._allowance_bytes, 0)
            if not self._budget.grant(wanted - self._charged, forced=forced):
                return False
            self._charged = wanted
            return True

    def release(self) -> None:
        """Hold nothing any more."""
        self.hold(0)

"""How long whoever writes waits for one output over a whole run: a dead receiver is waited for once, not for each line.

What it takes gives patience back, so that one which is merely slow is waited for to the end. It knows no clock.
"""

from typing import Final

REFILLING_LINES: Final = 100  # that a receiver takes for its patience to be whole again: 10 a second keep 10 s up


class Patience:
    """Seconds that may be waited for an output until it moves again."""

    def __init__(self, seconds: float) -> None:
        """seconds: from the start, and at most; 0 for who cannot wait, infinity for who does without limit."""
        self._whole_s = self.left_s = seconds

    @property
    def used_up(self) -> bool:
        """Whether there is nothing left to wait for it."""
        return self.left_s <= 0 or self._whole_s <= 0  # the latter alone where end() fell into spend()

    @property
    def given_up(self) -> bool:
        """Whether there was patience, and it is used up."""
        return self._whole_s > 0 and self.used_up

    def spend(self, seconds: float) -> None:
        """Somebody has waited."""
        self.left_s = max(0.0, self.left_s - seconds)

    def moved(self, lines: int) -> None:
        """The receiver has taken lines that it was not given before."""
        if lines > 0 and self._whole_s > 0:
            self.left_s = min(self._whole_s, self.left_s + self._whole_s * lines / REFILLING_LINES)

    def end(self) -> None:
        """Have none any more."""
        self._whole_s = self.left_s = 0.0

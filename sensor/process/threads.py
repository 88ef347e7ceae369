"""How Python's threads take turns."""

import sys
from typing import Final

# Python's own is 5 ms, for which a thread that is back from a kernel or from the ring would stand still.
TURN_S: Final = 0.0005


def take_turns_often() -> None:
    """Have a thread in Python give way to one that waits after TURN_S, from now on, in the whole process."""
    sys.setswitchinterval(TURN_S)

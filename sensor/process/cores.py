"""How many cores there are to work on."""

import os
import sys


def usable_cores() -> int:
    """Cores that this process may use: a container or taskset may leave it fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1

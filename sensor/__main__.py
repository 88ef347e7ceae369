"""Where `flowvigil` and `python -m sensor` begin: an interrupt while the command line is loaded is no traceback."""

import gc
import sys
from typing import Final

from sensor.errors import INTERRUPTED, OK
from sensor.signals import end_at_once_by_signals, interrupt_by_signals

# New objects before the collector looks for cycles, and its looks at young ones before one at older ones. With Python's
# own, of 3.11, it takes a fourteenth of a run and finds nothing that the run has not dropped by itself.
_COLLECT_AFTER: Final = (50_000, 20, 20)


def main() -> None:
    """Load the command line and run a command."""
    gc.set_threshold(*_COLLECT_AFTER)
    interrupt_by_signals(INTERRUPTED)
    try:
        from sensor.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("flowvigil: interrupted\n")
        sys.exit(INTERRUPTED)
    try:
        run()
    except SystemExit as end:  # what is left to do is the interpreter's
        end_at_once_by_signals(end.code if isinstance(end.code, int) else OK)
        raise


if __name__ == "__main__":
    main()

"""Where `flowvigil` and `python -m sensor` begin: an interrupt while the command line is loaded is no traceback."""

import sys

from sensor.errors import INTERRUPTED


def main() -> None:
    """Load the command line and run a command."""
    try:
        from sensor.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("flowvigil: interrupted\n")
        sys.exit(INTERRUPTED)
    run()


if __name__ == "__main__":
    main()

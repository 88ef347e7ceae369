"""Where a finished bundle goes: whoever asked for it says how its directory gets there."""

from collections.abc import Callable
from pathlib import Path

# Has a directory written by the function that it is given, and puts it in its place.
Put = Callable[[Callable[[Path], None]], None]

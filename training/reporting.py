"""How a run says what goes on, to whoever asked for it."""

from collections.abc import Callable

Report = Callable[[str], None]  # takes a line of text

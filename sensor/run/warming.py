"""A site that was learnt from too little: whoever looks at the screen is told once, at the start of a run."""

from dataclasses import dataclass

from sensor.metering.turns import Turn
from sensor.run.run import Run


@dataclass(frozen=True, slots=True)
class WarmingNote:
    """The hook (sensor.run.run.Hook) that says it; JSON lines are not touched."""

    words: str

    def begin(self, run: Run) -> None:
        """Say it."""
        run.screen.note(self.words)

    def before(self, turn: Turn, run: Run) -> None:
        """Nothing."""

    def after(self, turn: Turn, run: Run) -> None:
        """Nothing."""

    def end(self, run: Run) -> None:
        """Nothing."""

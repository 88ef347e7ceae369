"""What a run has come to, for those who look at it from other threads: clients, metrics."""

from dataclasses import dataclass, field

from sensor.progress.progress import Progress


@dataclass(slots=True)
class Latest:
    """The newest totals of a run; the run writes, others read."""

    progress: Progress = field(default_factory=Progress)
    problem: str | None = None  # why its source ended unasked, one line

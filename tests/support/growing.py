"""Totals of a run that are others each time they are read."""

from itertools import count

from sensor.progress.progress import Progress


class Growing:
    """Stands for sensor.progress.latest.Latest: one more packet at each look."""

    problem = None

    def __init__(self) -> None:
        self._counts = count()

    @property
    def progress(self) -> Progress:
        number = next(self._counts)
        return Progress(received=number, packets=number)

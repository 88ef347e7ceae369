"""Which of a sensor's numbered lines came: what is missing between the first and the last of a run, what came twice.

A run numbers its lines from 1 on; a line does not say which run it is of. It is of one into whose numbers and times it
fits both: a number that is lower at a later time is of another run. Of two the nearer in time has it. So the order in
which the lines of a run come does not matter, but a run of which the first line to come has a higher number than one
before it ever had looks like that one going on, and of several runs the older should come first.

Times of a run go back where a clock was set back: alerts that had begun before still tell by the old clock, in turn
with those by the new one. So the number behind the last goes on with a run whatever its time is; what comes late or
twice from then on may look like another run.

Exact while no more than GAPS_KEPT gaps of a run are open at a time that late lines still come into: the one that
nothing came into for longest is given up, and its lines stay missing. Memory is bounded whatever the numbers are.
"""

from bisect import bisect_right, insort
from dataclasses import dataclass, field
from typing import Final, NamedTuple

GAPS_KEPT: Final = 64  # of a run
RUNS_KEPT: Final = 8  # whose lines came last; of others the counts alone
LONGEST_GAP: Final = 1_000_000  # who writes the lines may say any number: one further away is of another run


class _Gap(NamedTuple):
    last: int  # number of the last line in it
    before_ns: int  # time of the line before it
    after_ns: int  # and of the one behind it


@dataclass(slots=True)
class RunLines:
    """Numbers of the lines of one run, of which there is one at least."""

    first: int
    last: int
    first_ns: int
    last_ns: int
    missing: int = 0  # lines between them
    repeated: int = 0  # that came again
    _given_up_ns: int = 0  # time of the latest line behind a gap that was given up
    _gaps: dict[int, _Gap] = field(default_factory=dict)  # by their first number, the one touched last at the end
    _begins: list[int] = field(default_factory=list)  # the same numbers in their order

    @property
    def missing_ns(self) -> int:
        """Time of the latest line behind a missing one, 0 for none."""
        return max(self._given_up_ns, max((gap.after_ns for gap in self._gaps.values()), default=0))

    def away_ns(self, number: int, time_ns: int) -> int | None:
        """How far from the lines of the run one is in time, None where it cannot be of it."""
        if number == self.last + 1:
            return abs(time_ns - self.last_ns)
        if number > self.last:
            fits = time_ns >= self.last_ns and number - self.last <= LONGEST_GAP
            return time_ns - self.last_ns if fits else None
        if number < self.first:
            fits = time_ns <= self.first_ns and self.first - number <= LONGEST_GAP
            return self.first_ns - time_ns if fits else None
        place = bisect_right(self._begins, number)
        before = self._gaps[self._begins[place - 1]] if place else None
        if before is not None and number <= before.last:
            return 0 if before.before_ns <= time_ns <= before.after_ns else None
        after = self._gaps[self._begins[place]] if place < len(self._begins) else None
        since_ns = self.first_ns if before is None else before.after_ns
        until_ns = self.last_ns if after is None else after.before_ns
        return 0 if since_ns <= time_ns <= until_ns else None

    def add(self, number: int, time_ns: int) -> None:
        """Take a line in that may be of the run."""
        if number > self.last:
            self._open(self.last + 1, _Gap(number - 1, self.last_ns, time_ns))
            self.last, self.last_ns = number, max(time_ns, self.last_ns)
            return
        if number < self.first:
            self._open(number + 1, _Gap(self.first - 1, time_ns, self.first_ns))
            self.first, self.first_ns = number, time_ns
            return
        place = bisect_right(self._begins, number) - 1
        begin = self._begins[place] if place >= 0 else 0
        gap = self._gaps.get(begin)
        if gap is None or number > gap.last:
            self.repeated += 1
            return
        del self._gaps[begin], self._begins[place]
        self.missing -= gap.last - begin + 1
        self._open(begin, _Gap(number - 1, gap.before_ns, time_ns))
        self._open(number + 1, _Gap(gap.last, time_ns, gap.after_ns))

    def _open(self, begin: int, gap: _Gap) -> None:
        if begin > gap.last:
            return
        self.missing += gap.last - begin + 1
        self._gaps[begin] = gap
        insort(self._begins, begin)
        if len(self._gaps) > GAPS_KEPT:
            oldest = next(iter(self._gaps))
            self._given_up_ns = max(self._given_up_ns, self._gaps.pop(oldest).after_ns)
            self._begins.remove(oldest)


class LineCounts(NamedTuple):
    """Of the lines of all runs of a sensor."""

    expected: int = 0  # from the first to the last of each run
    missing: int = 0
    repeated: int = 0
    missing_ns: int = 0  # time of the latest line behind a missing one, 0 for none

    def with_run(self, run: RunLines) -> "LineCounts":
        """With those of one more run."""
        return LineCounts(
            self.expected + run.last - run.first + 1,
            self.missing + run.missing,
            self.repeated + run.repeated,
            max(self.missing_ns, run.missing_ns),
        )


NOTHING_COUNTED: Final = LineCounts()


@dataclass(slots=True)
class LineNumbers:
    """Those of a sensor's runs."""

    _runs: list[RunLines] = field(default_factory=list)  # the one whose line came last at the end
    _before: LineCounts = NOTHING_COUNTED  # of runs beyond RUNS_KEPT

    @property
    def counts(self) -> LineCounts:
        """What came and what did not."""
        counts = self._before
        for run in self._runs:
            counts = counts.with_run(run)
        return counts

    def add(self, number: int, time_ns: int) -> None:
        """Take a line in."""
        nearest, nearest_ns = -1, -1
        for place in range(len(self._runs) - 1, -1, -1):
            away_ns = self._runs[place].away_ns(number, time_ns)
            if away_ns is not None and (nearest < 0 or away_ns < nearest_ns):
                nearest, nearest_ns = place, away_ns
        if nearest >= 0:
            run = self._runs[nearest]
            if nearest != len(self._runs) - 1:
                self._runs.append(self._runs.pop(nearest))
            run.add(number, time_ns)
            return
        self._runs.append(RunLines(number, number, time_ns, time_ns))
        if len(self._runs) > RUNS_KEPT:
            self._before = self._before.with_run(self._runs.pop(0))

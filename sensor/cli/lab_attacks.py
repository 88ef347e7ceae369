"""Attacks of the lab's runs, for a rehearsal: found by their truth, cut out of what the router saw."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from sensor.errors import InputError
from sensor.printable import printable

if TYPE_CHECKING:
    from flows.truth import FlowTruth
    from sensor.rehearsal.episode import AttackEpisode


@dataclass(slots=True)
class LabRuns:
    """Runs of the lab, whose attacks are cut out one run after the other."""

    runs: "tuple[tuple[str, Path, tuple[FlowTruth, ...]], ...]"  # name, capture, truth of its flows
    problems: list[str] = field(default_factory=list)  # captures that could not be read to their end
    left_out: list[str] = field(default_factory=list)  # attacks that could not be cut out, with the reason

    @property
    def names(self) -> tuple[str, ...]:
        """Of the runs."""
        return tuple(name for name, _, _ in self.runs)

    def episodes(self) -> "Iterator[AttackEpisode]":
        """All attacks. Raises InputError for a capture that cannot be read."""
        from sensor.rehearsal.cutting import cut_episodes
        from sensor.sources.captures.stream import CaptureStream

        for name, capture, truths in self.runs:
            stream = CaptureStream([str(capture)])
            cut = cut_episodes(stream, truths, name)
            self.problems += stream.problems
            kept = {episode.name for episode in cut}
            missing = sorted({truth.scenario for truth in truths if truth.attack} - kept)
            self.left_out += [f"{printable(attack, 40)} ({name}) has no IPv4" for attack in missing]
            yield from cut


def lab_runs_in(directory: Path) -> LabRuns:
    """The runs of the lab in a directory, or the run that it is. Raises InputError for what is none."""
    from sensor.cli.labels import stop
    from training.datasets.captures.lab_runs import lab_runs
    from training.datasets.captures.truth import UNKNOWN, truth_of
    from training.errors import DatasetError

    runs = []
    try:
        for run in lab_runs(directory, ""):
            assert run.truth is not None  # noqa: S101  a run of the lab has one
            told = tuple(truth for truth in truth_of(run.truth) if truth.technique != UNKNOWN)
            _refuse_addresses(run.truth, told)
            runs.append((run.path.parent.name, run.path, told))
    except DatasetError as error:
        raise stop(InputError, error) from error
    return LabRuns(tuple(runs))


def _refuse_addresses(path: Path, truths: "tuple[FlowTruth, ...]") -> None:
    """Raise InputError for a flow's end that is no address."""
    for truth in truths:
        for text in (truth.initiator, truth.target):
            try:
                ip_address(text)
            except ValueError as error:
                raise InputError(f"{path}: found {printable(text, 40)!r}, expected an address of a host") from error

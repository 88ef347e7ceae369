"""Traffic of a generator as labelled captures. The generator is handed in: this room knows no packets."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

from training.datasets.captures.index import LabelledCapture
from training.datasets.packed import unpacked_sha256


class TrafficGenerator(Protocol):
    """Makes traffic whose truth is known, the same for the same seed."""

    @property
    def scenarios(self) -> Collection[str]:
        """Names of what it can make."""

    def write(self, scenarios: Sequence[str], seed: int, minutes: float | None, capture: Path, truth: Path) -> None:
        """Write a capture of these scenarios side by side, and what each of its flows is (flows.truth).

        minutes: how long, None for as long as the longest. Raises OSError.
        """


def generated(
    generator: TrafficGenerator,
    network: str,
    scenarios: Sequence[str],
    seeds: Sequence[int],
    minutes: float | None,
    directory: Path,
) -> list[LabelledCapture]:
    """A capture for each seed, in a directory that is made when absent, all of one network. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    return [_capture(generator, network, scenarios, seed, minutes, directory) for seed in seeds]


def _capture(
    generator: TrafficGenerator,
    network: str,
    scenarios: Sequence[str],
    seed: int,
    minutes: float | None,
    directory: Path,
) -> LabelledCapture:
    capture, truth = directory / f"{network}-{seed}.pcap", directory / f"{network}-{seed}.csv"
    generator.write(scenarios, seed, minutes, capture, truth)
    return LabelledCapture(
        name=f"seed-{seed}",
        path=capture,
        kind="labelled",
        network=network,
        group=network,
        expect=frozenset(),
        family="",
        truth=truth,
        sha256=unpacked_sha256(capture),
    )

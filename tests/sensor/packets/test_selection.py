"""Which packets of an alert are kept: its beginning, its latest, and evenly chosen ones between, within its limits."""

import numpy as np
import pytest

from flows.block import Int64s
from sensor.packets.selection import PacketSelection, level_of


class Kept:
    """A selection, and which of the packets it was given are kept by its own account."""

    def __init__(self, max_packets: int, max_bytes: int = 1 << 40) -> None:
        self.selection = PacketSelection(max_packets, max_bytes)
        self.sizes: dict[int, int] = {}
        self.parts = 0
        self.given = 0

    def add(self, packets: int, size: int = 100) -> None:
        """A part of so many packets, numbered from the last one on, of a flow of its own."""
        positions: Int64s = np.arange(self.given, self.given + packets, dtype=np.int64)
        sizes = np.full(packets, size, dtype=np.int64)
        self.given += packets
        self.parts += 1
        self.sizes.update(zip(positions.tolist(), sizes.tolist(), strict=True))
        for position in self.selection.add(self.parts, self.parts, positions, sizes):
            del self.sizes[position]

    @property
    def positions(self) -> list[int]:
        return sorted(self.sizes)


def test_an_alert_within_its_limits_is_whole() -> None:
    kept = Kept(1000, 100_000)
    for packets in (1, 400, 99, 300, 200):
        kept.add(packets)
    assert kept.positions == list(range(1000))
    assert (kept.selection.packets, kept.selection.captured_bytes, kept.selection.flows) == (1000, 100_000, 5)


def test_of_a_long_alert_its_beginning_its_end_and_evenly_spread_parts_between_are_kept() -> None:
    kept = Kept(1000)
    for _ in range(100_000):
        kept.add(1)
    positions = kept.positions
    assert len(positions) == 1000 == kept.selection.packets
    assert positions[:500] == list(range(500))
    assert positions[-250:] == list(range(99_750, 100_000))
    gaps = np.diff(positions[499:-249])
    assert len(gaps) == 251
    assert gaps.max() <= 2 * np.median(gaps)


def test_of_parts_between_the_first_packets_stay() -> None:
    kept = Kept(1000)
    for _ in range(1000):
        kept.add(40)
    between = [position for position in kept.positions if 500 <= position < 39_750]
    begun = {position // 40 for position in between if position % 40 < 15}
    assert len(begun) >= 15
    assert sum(position % 40 >= 15 for position in between) <= 40  # of the part that was the latest but a few


def test_of_one_part_that_is_too_large_both_ends_are_kept() -> None:
    kept = Kept(100)
    kept.add(10_000)
    assert kept.positions == [*range(50), *range(9950, 10_000)]
    kept.add(10)
    assert kept.positions == [*range(50), *range(9960, 10_010)]


def test_a_part_that_is_too_large_does_not_push_out_all_others() -> None:
    kept = Kept(100)
    for _ in range(1000):
        kept.add(1)
    kept.add(10_000)
    positions = kept.positions
    assert len(positions) == 100
    assert positions[-25:] == list(range(10_975, 11_000))
    assert sum(50 <= position < 1000 for position in positions) == 25


def test_large_packets_are_held_to_the_bytes() -> None:
    kept = Kept(1000, 10_000)
    for _ in range(5000):
        kept.add(1, 1000)
    assert kept.positions[:5] == [0, 1, 2, 3, 4]
    assert kept.positions[-2:] == [4998, 4999]
    assert len(kept.positions) == 10


def test_what_could_not_be_kept_leaves_room() -> None:
    kept = Kept(100)
    for _ in range(20):
        kept.add(10)
    lost = {position: kept.sizes.pop(position) for position in kept.positions[-30:]}
    kept.selection.withdraw(lost)
    assert (kept.selection.packets, kept.selection.captured_bytes) == (70, 7000)
    kept.add(10)
    assert len(kept.positions) == kept.selection.packets == 80
    assert kept.selection.flows == len({position // 10 for position in kept.positions})


@pytest.mark.parametrize("seed", range(20))
def test_limits_hold_and_the_account_is_right_whatever_comes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    max_packets, max_bytes = int(rng.integers(1, 400)), int(rng.integers(50, 60_000))
    kept = Kept(max_packets, max_bytes)
    for _ in range(400):
        kept.add(int(rng.choice([1, 2, 30, 500], p=[0.6, 0.2, 0.17, 0.03])), int(rng.integers(40, 1500)))
        assert kept.selection.packets == len(kept.sizes) <= max_packets
        assert kept.selection.captured_bytes == sum(kept.sizes.values()) <= max_bytes
    assert kept.selection.packets >= min(max_packets, max_bytes // 1500) // 2


def test_odd_numbers_give_way_before_those_that_two_divides() -> None:
    assert [level_of(number) for number in (1, 2, 3, 4, 6, 8, 96)] == [0, 1, 0, 2, 1, 3, 5]

"""Packets of an attack among those of a site: the meter gets what it would of a capture in which all of them are."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flows.block import PacketBlock, block_of
from flows.meter import concatenate
from sensor.cli.build import build_meter
from sensor.cli.reading import capture_turns
from sensor.rehearsal.cutting import cut_episodes
from sensor.rehearsal.episode import AttackEpisode, made
from sensor.rehearsal.mixing import metered, mixed
from sensor.rehearsal.readdressing import moved
from sensor.rehearsal.site import CapturedSite
from sensor.settings.config import Config
from sensor.synth.generate import Traffic, generate
from sensor.synth.pcap import WHOLE, pcap_bytes
from sensor.synth.scenarios.guessing import SSH_GUESSING
from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.scenarios.portscan import PORTSCAN

SECOND_NS = 1_000_000_000
CONFIG = Config()


@pytest.fixture(scope="module")
def normal() -> Traffic:
    return generate([NORMAL], 3, 2.0)


@pytest.fixture(scope="module")
def site(normal: Traffic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of an office as a capture."""
    path = tmp_path_factory.mktemp("site") / "site.pcap"
    path.write_bytes(pcap_bytes(normal.packets, WHOLE, nanoseconds=True))
    return path


def in_blocks_of(block: PacketBlock, count: int) -> Iterator[PacketBlock]:
    for first in range(0, len(block), count):
        yield block.select(slice(first, first + count))


@pytest.mark.parametrize("after_s", [-3.0, 20.0, 118.0])
def test_it_is_what_the_meter_makes_of_one_capture_of_both(
    normal: Traffic, site: Path, after_s: float, tmp_path: Path
) -> None:
    scan = made(PORTSCAN)
    by_ns = normal.packets[0].ts_ns + int(after_s * SECOND_NS) - scan.packets[0].ts_ns
    scan = moved(scan, {}, 0, by_ns)
    both = tmp_path / "both.pcap"
    together = sorted((*normal.packets, *scan.packets), key=lambda packet: packet.ts_ns)
    both.write_bytes(pcap_bytes(together, WHOLE, nanoseconds=True))
    expected = concatenate([turn.records for turn in capture_turns(CONFIG, [str(both)])])
    blocks = mixed(CapturedSite([str(site)], None).blocks(), scan.block())
    found = concatenate(list(metered(blocks, build_meter(CONFIG))))
    assert np.array_equal(found.identity, expected.identity)
    assert np.array_equal(found.values, expected.values)


@pytest.mark.parametrize("count", [1, 7, 100_000])
def test_it_does_not_hang_on_the_blocks_that_the_site_comes_in(count: int) -> None:
    times = [0, 10, 10, 20, 30, 40]
    own = block_of([bytes([number]) * 60 for number in range(6)], times)
    added = block_of([bytes([100 + number]) * 60 for number in range(5)], [0, 10, 25, 40, 99])
    every = [
        (int(stamp), int(block.buffer[offset]))
        for block in mixed(in_blocks_of(own, count), added)
        for stamp, offset in zip(block.ts_ns, block.offset, strict=True)
    ]
    assert [stamp for stamp, _ in every] == sorted([*times, 0, 10, 25, 40, 99])
    assert sorted(number for _, number in every) == [*range(6), *range(100, 105)]


def test_a_site_is_read_again_and_again_and_no_further_than_wanted(site: Path, normal: Traffic) -> None:
    whole, part = CapturedSite([str(site)], None), CapturedSite([str(site)], None, most=500)
    for _ in range(2):
        assert sum(map(len, whole.blocks())) == len(normal.packets)
        assert sum(map(len, part.blocks())) == 500
    assert (whole.is_cut, part.is_cut) == (False, True)
    assert (part.first_ns, part.last_ns) == (normal.packets[0].ts_ns, normal.packets[499].ts_ns)
    assert part.problems == []


def test_packets_that_the_filter_excludes_are_not_put_in(site: Path) -> None:
    filtered = CapturedSite([str(site)], "tcp port 22")
    assert len(filtered.passed(made(SSH_GUESSING).block())) == len(made(SSH_GUESSING).packets)
    scan = made(PORTSCAN)
    assert 0 < len(filtered.passed(scan.block())) < 10


def test_an_attack_is_cut_out_of_a_capture_by_its_truth(tmp_path: Path) -> None:
    traffic = generate([NORMAL, PORTSCAN, SSH_GUESSING], 7, 2.0)
    path = tmp_path / "run.pcap"
    path.write_bytes(pcap_bytes(traffic.packets, WHOLE, nanoseconds=True))
    scan, guesses = cut_episodes(CapturedSite([str(path)], None).blocks(), traffic.truth, "run")
    assert [(own.name, own.technique, own.source) for own in (scan, guesses)] == [
        ("portscan", "T1046", "run"),
        ("ssh", "T1110.001", "run"),
    ]
    for own, scenario in ((scan, PORTSCAN), (guesses, SSH_GUESSING)):
        alone = generate([scenario], 7, 2.0)
        assert own.packets == alone.packets
        assert set(own.flows) == set(alone.truth)


def test_a_cut_attack_is_no_larger_than_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.rehearsal.cutting.MOST_PACKETS", 100)
    traffic = generate([PORTSCAN], 7)
    block = block_of([packet.frame for packet in traffic.packets], [packet.ts_ns for packet in traffic.packets])
    cut: list[AttackEpisode] = cut_episodes([block], traffic.truth, "run")
    assert len(cut[0].packets) == 100
    assert 40 < len(cut[0].flows) < 60

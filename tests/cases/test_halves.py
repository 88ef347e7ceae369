"""A tap of one direction and a sample of packets show halves of conversations: what has no answer there says nothing.

The traffic is that of ordinary offices (sensor.synth), whole of which nothing is alerted. That an answer is missing
from the capture is no act of anybody.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sensor.episodes.unopened import act_of
from sensor.episodes.view import AGREED, FEWEST, T_OF_HALVES, T_PASSED_OVER, hear, new_voices
from sensor.synth.generate import generate
from sensor.synth.pcap import pcap_bytes
from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.truth import Packet
from tests.support.command import flowvigil
from tests.support.packets import metered, tcp, udp

SEED = np.array([1, 2], dtype=np.uint64)


@pytest.fixture(scope="module")
def ordinary() -> tuple[Packet, ...]:
    return generate([NORMAL], seed=3, minutes=5).packets


def one_direction(packet: Packet) -> bool:
    """As one fibre of a link carries it: the lower address's packets."""
    return packet.frame[12:14] == b"\x08\x00" and packet.frame[26:30] < packet.frame[30:34]


def other_direction(packet: Packet) -> bool:
    return packet.frame[12:14] == b"\x08\x00" and packet.frame[26:30] > packet.frame[30:34]


@pytest.mark.parametrize("seen", [one_direction, other_direction, None], ids=["there", "back", "one in fifty"])
def test_ordinary_traffic_of_which_halves_are_seen_gives_no_alert(
    ordinary: tuple[Packet, ...], seen: Callable[[Packet], bool] | None, tmp_path: Path
) -> None:
    lots = random.Random(1)
    chosen = [packet for packet in ordinary if (seen(packet) if seen else lots.random() < 0.02)]
    capture = tmp_path / "halves.pcap"
    capture.write_bytes(pcap_bytes(chosen))
    result = flowvigil("read", str(capture))
    assert result.code == 0
    assert [json.loads(line)["message"] for line in result.stdout.splitlines()] == []
    assert "show one side of a conversation only" in result.stderr[-1]


def told(*flows: list) -> tuple[bool, int]:
    """Whether the view is taken for one of halves after these flows, and how many records said nothing."""
    voices, tally = new_voices()
    for flow in flows:
        batch = metered(flow, news_only=True)
        with np.errstate(over="ignore"):  # of the hash, which only interpreted kernels notice
            for i in range(len(batch)):
                hear(batch.identity, batch.values, i, act_of(batch.identity, batch.values, i), voices, tally, SEED)
    return bool(tally[T_OF_HALVES]), int(tally[T_PASSED_OVER])


def half(client: str, server: str, at: float = 0.0) -> list:
    return [tcp(client, server, "S", at=at), tcp(client, server, "PA", at=at + 0.1, payload=90)]


def whole(client: str, server: str) -> list:
    return [*half(client, server), tcp(server, client, "SA", at=0.05), tcp(server, client, "PA", at=0.2, payload=900)]


def test_one_host_that_sends_blindly_is_not_the_view() -> None:
    """Its data had no answers, so its records say nothing; an unanswered packet of another does."""
    blind = [half("10.0.0.66:7", f"10.0.1.{i}:80") for i in range(200)]
    others = [whole(f"10.0.0.{i}:8", "10.0.2.1:80") for i in range(3)]
    assert told(*blind, *others, [tcp("10.0.0.7:9", "10.0.2.9:22", "S")]) == (False, 200)


def test_many_that_send_blindly_to_one_host_are_not_the_view() -> None:
    forged = [half(f"10.1.{i // 250}.{i % 250}:7", "10.0.1.1:80") for i in range(500)]
    servers = [whole("10.0.0.1:8", f"10.0.2.{i}:80") for i in range(3)]
    assert told(*forged, *servers, [tcp("10.0.0.7:9", "10.0.2.9:22", "S")]) == (False, 500)


@pytest.mark.parametrize("at", [0.0, 3700.0], ids=["at once", "when an hour has passed"])
@pytest.mark.parametrize(
    ("source", "target", "evidence"),
    [("192.0.2.9:9", "10.0.2.1:22", True), ("10.0.0.1:9", "10.9.9.9:22", True), ("192.0.2.9:9", "10.9.9.9:22", False)],
    ids=["to one seen whole", "by one seen whole", "neither"],
)
def test_forged_halves_hide_nothing_that_is_done_by_or_to_who_is_seen_whole(
    source: str, target: str, evidence: bool, at: float
) -> None:
    """Data in the name of as many sources, each to an address that nobody has."""
    known = [whole(f"10.0.0.{host}:{9 + turn}", f"10.0.2.{host}:80") for host in range(3) for turn in range(AGREED)]
    forged = [half(f"10.1.0.{host}:7", f"10.2.0.{host}:80", at) for host in range(50)]
    assert told(*known, *forged, [tcp(source, target, "S", at=at + 1)]) == (True, 50 if evidence else 51)


def test_a_view_of_halves_is_told_after_few_hosts_and_forgotten_when_whole_ones_come() -> None:
    halves = [half(f"10.0.0.{i}:7", f"10.0.1.{i}:80") for i in range(FEWEST)]
    asked = [udp("10.0.0.9:5", "10.0.1.9:53", payload=30)]
    assert told(*halves[1:], asked) == (False, FEWEST - 1)
    assert told(*halves, asked) == (True, FEWEST + 1)
    assert told(*halves, *(whole(f"10.0.2.{i}:7", f"10.0.3.{i}:80") for i in range(FEWEST)), asked)[0] is False

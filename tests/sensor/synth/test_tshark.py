"""The made traffic as an independent program reads it: no malformed packet, no bad checksum, no broken TCP."""

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from sensor.synth.catalogue import ATTACKS, EVERYDAY
from sensor.synth.generate import SCENARIOS, generate
from sensor.synth.pcap import pcap_bytes, write_pcap
from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.scenarios.scenario import Scenario

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

CHECKS = [
    arg
    for layer in ("tcp", "udp", "ip")
    for arg in ("-o", f"{layer}.check_checksum:TRUE")
]  # fmt: skip
WRONG = " || ".join(
    (
        "_ws.malformed",
        "ip.checksum.status == 0",
        "tcp.checksum.status == 0",
        "udp.checksum.status == 0",
        "icmp.checksum.status == 0",
        "icmpv6.checksum.status == 0",
        "_ws.expert.severity >= 8388608",  # error
    )
)
TROUBLE = " || ".join(
    f"tcp.analysis.{what}"
    for what in (
        "retransmission",
        "out_of_order",
        "lost_segment",
        "ack_lost_segment",
        "duplicate_ack",
        "window_full",
        "zero_window",
        "reused_ports",
        "keep_alive",
    )
)


def capture(tmp_path: Path, scenarios: tuple[Scenario, ...]) -> Path:
    path = tmp_path / "whole.pcap"
    write_pcap(path, pcap_bytes(generate(scenarios, seed=11, minutes=3.0).packets, nanoseconds=True))
    return path


def tshark(path: Path, *arguments: str) -> list[str]:
    done = subprocess.run(
        ["tshark", "-n", "-r", str(path), *CHECKS, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines()


def test_no_packet_is_malformed_and_each_checksum_is_right(tmp_path: Path) -> None:
    path = capture(tmp_path, SCENARIOS)
    assert tshark(path, "-Y", WRONG) == []
    assert len(tshark(path, "-Y", "tcp.checksum.status == 1", "-T", "fields", "-e", "frame.number")) > 5000


def test_no_packet_of_the_other_scenarios_is_malformed_either(tmp_path: Path) -> None:
    assert tshark(capture(tmp_path, (*ATTACKS, *EVERYDAY)), "-Y", WRONG) == []


def test_normal_tcp_has_nothing_lost_repeated_or_out_of_order(tmp_path: Path) -> None:
    assert tshark(capture(tmp_path, (NORMAL,)), "-Y", TROUBLE) == []


def test_the_applications_are_recognised(tmp_path: Path) -> None:
    seen = Counter(
        layer
        for line in tshark(capture(tmp_path, (NORMAL,)), "-T", "fields", "-e", "frame.protocols")
        for layer in set(line.split(":"))
    )
    expected = {"arp", "dns", "http", "icmp", "icmpv6", "ipv6", "mdns", "ntp", "ssh", "tls"}
    assert expected <= set(seen)


def test_a_flood_repeats_only_the_answers_of_its_victim(tmp_path: Path) -> None:
    flags = set(tshark(capture(tmp_path, SCENARIOS), "-Y", TROUBLE, "-T", "fields", "-e", "tcp.flags.str"))
    assert flags == {"·······A··S·"}

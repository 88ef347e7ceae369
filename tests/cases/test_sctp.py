"""SCTP has ports: RFC 9260, 3.1 puts them into the common header of every packet, as TCP and UDP have theirs.

A scan by INIT of many ports of one host is as many flows, and an association is one flow, both ways. Without ports all
packets between two hosts were one flow, and no scan could be told.
"""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from flows.batch import DST_PORT, END_REASON, PROTOCOL, SNAPSHOT, SRC_PORT, FlowBatch
from flows.meter import Meter
from sensor.alerts.community_id import community_id
from sensor.alerts.endpoints import community_id_of, endpoints_of
from sensor.alerts.packet_filters import capture_filter, flow_filter
from sensor.synth.pcap import pcap_bytes
from tests.support.alerts import an_alert
from tests.support.packets import Packet, block, ip, metered

INIT, DATA, ABORT = 1, 0, 6
SCANNER, VICTIM, CLIENT, SERVER = "198.51.100.66", "10.20.0.10", "10.0.0.1", "10.0.0.2"
TSHARK = shutil.which("tshark")


def sctp(source, target, kind, *, at=0.0, value=16):
    """Packet of one chunk. source, target: (address, port); value: bytes of the chunk behind its header."""
    common = struct.pack("!HHII", source[1], target[1], 1, 0)
    return ip(source[0], target[0], 132, common + struct.pack("!BBH", kind, 0, 4 + value) + bytes(value), at=at)


def scan_and_two_associations():
    """500 ports asked and refused in 10 s, and two associations of five packets between two other hosts."""
    packets = []
    for port in range(1, 501):
        at = 0.02 * port
        packets.append(sctp((SCANNER, 40_000), (VICTIM, port), INIT, at=at))
        packets.append(sctp((VICTIM, port), (SCANNER, 40_000), ABORT, at=at + 0.005, value=0))
    for client_port in (50_000, 50_001):
        for number in range(5):
            ends = (CLIENT, client_port), (SERVER, 3868)
            source, target = ends if number % 2 == 0 else ends[::-1]
            packets.append(sctp(source, target, DATA, at=number, value=64))
    return sorted(packets, key=lambda packet: packet.ts_ns)


def flows_of(packets):
    """Final records."""
    batch = metered(packets, capacity=1024)
    final = batch.identity[:, END_REASON] != SNAPSHOT
    return FlowBatch(batch.identity[final], batch.values[final])


def test_each_port_of_a_scan_and_each_association_is_a_flow_of_both_directions():
    batch = flows_of(scan_and_two_associations())
    assert len(batch) == 502
    ends = {tuple(row) for row in batch.identity[:, [SRC_PORT, DST_PORT, PROTOCOL]].tolist()}
    scan = {(40_000, port, 132) for port in range(1, 501)}
    assert ends == scan | {(50_000, 3868, 132), (50_001, 3868, 132)}
    assert set(zip(batch.column("fwd_packets"), batch.column("bwd_packets"), strict=True)) == {(1, 1), (3, 2)}


def test_the_columns_of_bytes_and_headers_stay_those_of_tcp_and_udp():
    batch = flows_of([sctp((CLIENT, 1), (SERVER, 2), DATA, value=64)])
    assert batch.column("fwd_bytes").tolist() == batch.column("fwd_header_length").tolist() == [0]


def test_the_community_id_counts_the_ports():
    batch = metered([sctp((CLIENT, 50_000), (SERVER, 3868), DATA)])
    identity = batch.identity[0].tolist()
    assert [end.port for end in endpoints_of(identity, batch.values[0])] == [50_000, 3868]
    found = community_id_of(identity, batch.values[0])
    assert found == community_id(132, CLIENT, 50_000, SERVER, 3868) != community_id(132, CLIENT, 0, SERVER, 0)


def test_the_filters_of_an_alert_name_the_port():
    told = an_alert(protocol=132)
    assert f"sctp port {told.destination.port}" in capture_filter(told)
    assert f"sctp.port == {told.destination.port}" in flow_filter(told)


@pytest.mark.parametrize(("cut", "reason"), [(11, "headers cut short"), (12, None)])
def test_a_common_header_cut_short_is_counted(cut, reason):
    packet = sctp((CLIENT, 1), (SERVER, 2), DATA)
    whole = block([packet])
    whole.caplen[0] = 14 + 20 + cut
    meter = Meter(4)
    meter.feed(whole)
    assert (meter.stats.metered, meter.stats.undecoded) == ((0, {reason: 1}) if reason else (1, {}))


def test_a_packet_shorter_than_the_common_header_is_malformed():
    packet = ip(CLIENT, SERVER, 132, bytes(8))
    padded = Packet(packet.frame.ljust(60, b"\0"), packet.ts_ns)  # as Ethernet does, beyond what the IP header states
    meter = Meter(4)
    meter.feed(block([padded]))
    assert meter.stats.undecoded == {"malformed layer-4 header": 1}


@pytest.mark.skipif(TSHARK is None, reason="tshark is not installed")
def test_tshark_counts_the_same_conversations(tmp_path: Path):
    packets = scan_and_two_associations()
    capture = tmp_path / "sctp.pcap"
    capture.write_bytes(pcap_bytes([(packet.ts_ns, packet.frame) for packet in packets]))
    command = [TSHARK, "-r", str(capture), "-n", "-q", "-z", "conv,sctp"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    theirs = {frozenset((words[0], words[2])) for line in told.splitlines() if "<->" in (words := line.split())}
    batch = flows_of(packets)
    ours = set()
    for identity, values in zip(batch.identity.tolist(), batch.values, strict=True):
        ours.add(frozenset(f"{end.ip}:{end.port}" for end in endpoints_of(identity, values)))
    assert theirs == ours

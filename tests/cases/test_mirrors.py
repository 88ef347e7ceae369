"""Mirrored traffic: a connection inside a tunnel, as clouds and routers send what they copy.

With --decap its flow is that of the connection itself, 8 packets there and 6 back, 2,896 bytes back, in whatever the
mirror wraps it and whether or not its packets became fragments. Without, the run says that --decap would look inside.
"""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from flows.batch import DST_PORT, END_REASON, PROTOCOL, SNAPSHOT, SRC_PORT, FlowBatch
from flows.meter import Meter, concatenate
from sensor.progress.hints import hints
from sensor.progress.progress import Progress
from sensor.synth.pcap import pcap_bytes
from tests.support.command import flowvigil
from tests.support.packets import Packet, block, ip, tcp

CLIENT, SERVER = "172.31.5.10:42000", "172.31.9.20:5432"
SENDER, SENSOR = "172.31.0.1", "172.31.0.99"
LATER = "later fragment of a tunnel's packet"
MTU = 1500
TSHARK = shutil.which("tshark")


def connection():
    """8 packets there, with 200 bytes, and 6 back, two of them full (1,448 bytes)."""
    there = [("S", 0), ("A", 0), ("PA", 100), ("PA", 100), ("A", 0), ("A", 0), ("FA", 0), ("A", 0)]
    back = [("SA", 0), ("A", 0), ("A", 1448), ("PA", 1448), ("A", 0), ("FA", 0)]
    order = "TBTTBTBBTTBTBT"
    sides = {"T": iter(there), "B": iter(back)}
    packets = []
    for number, side in enumerate(order):
        flags, payload = next(sides[side])
        ends = (CLIENT, SERVER) if side == "T" else (SERVER, CLIENT)
        packets.append(tcp(*ends, flags, payload=payload, at=0.01 * number))
    return packets


def udp_tunnel(port, header):
    """How a mirror wraps a frame: behind a header, in a datagram to a port."""
    return lambda frame: struct.pack("!HHHH", 65_000, port, 8 + len(header) + len(frame), 0) + header + frame


VXLAN = b"\x08\x00\x00\x00\x00\x00\x07\x00"
GENEVE_OPTIONS = b"\x01\x08\x01\x01" + bytes(4) + b"\x01\x08\x02\x02" + bytes(8) + b"\x01\x08\x03\x01" + bytes(4)
GENEVE = b"\x07\x00\x08\x00\x00\x00\x07\x00" + GENEVE_OPTIONS
WRAPS = {
    "VXLAN": udp_tunnel(4789, VXLAN),
    "VXLAN of old Linux": udp_tunnel(8472, VXLAN),
    "TZSP": udp_tunnel(37008, b"\x01\x00\x00\x01\x01"),
    "TZSP with tags": udp_tunnel(37008, b"\x01\x00\x00\x01\x0a\x01\xc8\x00\x01"),
    "Geneve with options": lambda frame: udp_tunnel(6081, GENEVE)(frame[14:]),
}


def mirrored(wrap, packets):
    """The packets in a tunnel, in fragments where the outer packet would be longer than the link takes."""
    frames = []
    for number, packet in enumerate(packets):
        whole = ip(SENDER, SENSOR, 17, wrap(packet.frame)).frame
        frames += [Packet(frame, packet.ts_ns) for frame in in_fragments(whole, 1 + number)]
    return frames


def in_fragments(frame, identification):
    """An IPv4 frame in as many as a link of 1,500 bytes needs. RFC 791, 2.3."""
    header, content = frame[:34], frame[34:]
    if len(content) + 20 <= MTU:
        return [frame]
    room = (MTU - 20) // 8 * 8
    parts = [content[begin : begin + room] for begin in range(0, len(content), room)]
    frames = []
    for number, part in enumerate(parts):
        more = 0x2000 if number < len(parts) - 1 else 0
        length, place = 20 + len(part), more | number * room // 8
        fields = struct.pack("!HHH", length, identification, place)
        frames.append(header[:16] + fields + header[22:] + part)
    return frames


def metered(packets, **settings):
    """Final records and counts."""
    meter = Meter(64, **settings)
    batch = concatenate([meter.feed(block(packets)), meter.drain()])
    final = batch.identity[:, END_REASON] != SNAPSHOT
    return FlowBatch(batch.identity[final], batch.values[final]), meter.stats


@pytest.mark.parametrize("name", WRAPS)
def test_the_flow_is_the_connections_own_and_every_packet_is_accounted_for(name):
    packets = mirrored(WRAPS[name], connection())
    batch, stats = metered(packets, decap=True)
    assert batch.identity[:, [SRC_PORT, DST_PORT, PROTOCOL]].tolist() == [[42000, 5432, 6]]
    counts = [int(batch.column(name)[0]) for name in ("fwd_packets", "bwd_packets", "fwd_bytes", "bwd_bytes")]
    assert counts == [8, 6, 200, 2896]
    assert len(packets) == 16  # two of the 14 came in two fragments
    assert stats.undecoded == {LATER: 2}
    assert stats.packets == stats.metered + sum(stats.undecoded.values()) == 16


@pytest.mark.parametrize("name", WRAPS)
def test_without_looking_inside_the_packets_are_counted_as_a_tunnels(name):
    _, stats = metered(mirrored(WRAPS[name], connection()))
    assert stats.tunnelled == 14  # a later fragment is not: it has no header to tell a tunnel by


def test_a_run_says_how_many_packets_are_a_tunnels_and_what_would_look_inside(tmp_path: Path):
    capture = tmp_path / "mirror.pcap"
    packets = mirrored(WRAPS["VXLAN"], connection())
    capture.write_bytes(pcap_bytes([(packet.ts_ns, packet.frame) for packet in packets]))
    told = "flowvigil: 87 % of the packets are a tunnel's (mirrored traffic?): --decap looks into them"
    for command in ("flows", "read"):
        assert told in flowvigil(command, capture).stderr
        for quiet in (("-q",), ("--decap",)):
            assert not any("tunnel's (" in line for line in flowvigil(command, capture, *quiet).stderr)


@pytest.mark.parametrize(
    ("tunnelled", "packets", "told"),
    [(0, 0, False), (9, 9, False), (10, 10, True), (10, 1000, True), (10, 1001, False), (10**6, 10**8 + 1, False)],
)
def test_a_hint_needs_a_share_that_matters_and_more_than_a_few_packets(tunnelled, packets, told):
    assert bool(hints(Progress(packets=packets, tunnelled=tunnelled))) is told


@pytest.mark.skipif(TSHARK is None, reason="tshark is not installed")
@pytest.mark.parametrize("name", WRAPS)
def test_tshark_sees_the_same_connection_inside(name, tmp_path: Path):
    capture = tmp_path / "mirror.pcap"
    packets = mirrored(WRAPS[name], connection())
    capture.write_bytes(pcap_bytes([(packet.ts_ns, packet.frame) for packet in packets]))
    command = [
        TSHARK,
        "-d",
        "udp.port==8472,vxlan",
        "-r",
        str(capture),
        "-n",
        "-T",
        "fields",
        "-e",
        "tcp.srcport",
        "-e",
        "tcp.len",
        "-E",
        "separator=,",
    ]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    inside = [line.split(",") for line in told.splitlines() if not line.startswith(",")]
    sent = {port: [int(size) for source, size in inside if source == port] for port in ("42000", "5432")}
    assert [(len(sizes), sum(sizes)) for sizes in sent.values()] == [(8, 200), (6, 2896)]

"""The nine columns of a connection, from packets through the meter."""

import pytest
from scapy.layers.inet import ICMP, IP, UDP, fragment
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from flows.batch import END_REASON, SNAPSHOT
from flows.kdd.columns import FLAGS, PROTOCOLS, SERVICES, UNKNOWN, kdd_columns
from flows.kdd.meter import Connections
from tests.support.packets import EPOCH_NS, Packet, ip, metered, tcp, udp

NAMES = [column.name for column in kdd_columns(content=False)]
CLIENT, SERVER = "10.0.0.1:40000", "10.0.0.2:80"


def rows_of(packets, **settings):
    """Columns by name of each record, symbols as words, and whether the record is a flow's last."""
    batch = metered(packets, **settings)
    rows = [dict(zip(NAMES, row.tolist(), strict=True)) for row in Connections().columns(batch)]
    for row, reason in zip(rows, batch.identity[:, END_REASON], strict=True):
        row["flag"], row["service"] = FLAGS[int(row["flag"])], SERVICES[int(row["service"])]
        row["last"] = reason != SNAPSHOT
    return rows


def last_of(packets, **settings):
    return [row for row in rows_of(packets, **settings) if row["last"]]


def talk(*steps):
    """Packets of one conversation, a tenth of a second apart: "S" from the client, "<SA" from the server."""
    packets = []
    for i, step in enumerate(steps):
        ends = (SERVER, CLIENT) if step.startswith("<") else (CLIENT, SERVER)
        flags, _, payload = step.lstrip("<").partition("+")
        packets.append(tcp(*ends, flags, at=i / 10, payload=int(payload or 0)))
    return packets


OPEN = ("S", "<SA", "A")

# By the words of Zeek's conn.log documentation.
STATES = {
    "attempt seen, no reply": ("S0", ["S"]),
    "attempt repeated, no reply": ("S0", ["S", "S", "S"]),
    "established, not terminated": ("S1", [*OPEN, "PA+10", "<PA+20"]),
    "SYNs exchanged, nothing more": ("S1", ["S", "<SA"]),
    "close by the originator, no reply to it": ("S2", [*OPEN, "PA+10", "FA"]),
    "close by the responder, no reply to it": ("S3", [*OPEN, "PA+10", "<FA", "A"]),
    "established and terminated": ("SF", [*OPEN, "PA+10", "<PA+20", "FA", "<FA", "A"]),
    "terminated from the other side": ("SF", [*OPEN, "<FA", "FA", "<A"]),
    "attempt rejected": ("REJ", ["S", "<RA"]),
    "established, originator aborted": ("RSTO", [*OPEN, "PA+10", "R"]),
    "answered, originator aborted": ("RSTO", ["S", "<SA", "R"]),
    "established, responder aborted": ("RSTR", [*OPEN, "PA+10", "<R"]),
    "a lone FIN that a closed port resets": ("RSTR", ["F", "<RA"]),
    "SYN, then RST, no SYN-ACK": ("RSTOS0", ["S", "R"]),
    "SYN, then FIN, no SYN-ACK": ("SH", ["S", "F"]),
    "a lone FIN without reply": ("SH", ["F"]),
    "no SYN seen": ("OTH", ["PA+10", "<A", "PA+10"]),
    "no SYN seen, reset": ("OTH", ["PA+10", "<A", "<R"]),
    "SYN-ACK that nobody asked for, reset": ("OTH", ["<SA", "<R"]),
    "SYN answered without SYN": ("OTH", ["S", "<A"]),
    "no flags at all": ("OTH", [""]),
}


@pytest.mark.parametrize(("flag", "steps"), STATES.values(), ids=STATES)
def test_the_state_of_a_connection_is_zeeks(flag, steps):
    assert [row["flag"] for row in last_of(talk(*steps))] == [flag]


def test_every_state_is_covered():
    assert {flag for flag, _ in STATES.values()} == set(FLAGS)


def test_bytes_are_payload_by_direction_and_duration_whole_seconds():
    packets = [*talk(*OPEN, "PA+100", "<PA+2000", "PA+11"), tcp(CLIENT, SERVER, "A", at=3.99)]
    (row,) = last_of(packets)
    assert (row["src_bytes"], row["dst_bytes"], row["duration"]) == (111, 2000, 3)
    assert (PROTOCOLS[int(row["protocol_type"])], row["service"]) == ("tcp", "http")


def test_an_active_timeout_cuts_neither_the_duration_nor_the_opening_off():
    packets = [*talk(*OPEN), *(tcp(CLIENT, SERVER, "PA", at=at, payload=7) for at in range(20, 261, 20))]
    rows = rows_of(packets)
    assert {row["flag"] for row in rows} == {"S1"}
    assert [row["duration"] for row in rows if row["last"]] == [120, 260]
    # and it is one connection in the windows
    assert {row["dst_host_count"] for row in rows} == {1.0}
    # and no error before it is over
    assert [row["serror_rate"] for row in rows if row["last"]] == [0, 1]


def test_a_connection_that_goes_on_is_no_syn_error_and_one_that_was_never_acknowledged_is():
    established = rows_of([*talk(*OPEN), tcp(CLIENT, SERVER, "PA", at=5, payload=7)])
    assert [(row["flag"], row["serror_rate"], row["last"]) for row in established] == [
        ("S1", 0, False),
        ("S1", 1, True),
    ]
    assert {(row["flag"], row["serror_rate"]) for row in rows_of(talk("S", "<SA"))} == {("S1", 1)}


def test_land_is_one_address_and_one_port():
    def lands(source, target):
        return [row["land"] for row in last_of([tcp(source, target, "S")])]

    assert lands("10.0.0.1:80", "10.0.0.1:80") == [1]
    assert lands("10.0.0.1:80", "10.0.0.1:81") == lands("10.0.0.1:80", "10.0.0.2:80") == [0]
    assert [row["land"] for row in last_of([ip("10.0.0.1", "10.0.0.1", 1, bytes([8, 0]) + bytes(6))])] == [0]


def test_urgent_packets_of_both_directions_count():
    assert last_of(talk(*OPEN, "PAU+1", "<PAU+1", "PA+1", "AU"))[0]["urgent"] == 3


def fragments(frames):
    return [Packet(bytes(Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02") / f), EPOCH_NS) for f in frames]


def test_fragments_that_fit_are_not_wrong_in_whatever_order_they_come():
    first, *later = fragment(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(dport=53) / Raw(bytes(5000)), 1000)
    for parts in ([first, *later], [first, *later[::-1]], [first, *later[1:]]):
        assert [row["wrong_fragment"] for row in rows_of(fragments(parts))] == [0, 0]


def overlapping(offset, length):
    """A first fragment of 36 bytes, as teardrop sends it, and a later one."""
    start = IP(src="10.0.0.1", dst="10.0.0.2", id=242, proto=17, flags="MF")
    start /= UDP(sport=5, dport=99, len=1000) / Raw(bytes(28))
    rest = IP(src="10.0.0.1", dst="10.0.0.2", id=242, proto=17, frag=offset // 8) / Raw(bytes(length))
    return fragments([start, rest])


@pytest.mark.parametrize(("offset", "length", "wrong"), [(24, 4, 1), (32, 100, 1), (40, 100, 0), (65_528, 8, 1)])
def test_fragments_that_overlap_or_reach_too_far_are_wrong(offset, length, wrong):
    rows = rows_of(overlapping(offset, length))
    assert [row["wrong_fragment"] for row in rows] == [wrong, wrong]
    assert (rows[0]["service"], rows[0]["flag"]) == ("private", "SF")


def test_a_ping_of_death_has_a_wrong_fragment():
    big = IP(src="10.0.0.1", dst="10.0.0.2") / ICMP() / Raw(bytes(65_500))
    parts = fragment(big, 1480)
    parts.append(IP(src="10.0.0.1", dst="10.0.0.2", id=parts[0].id, proto=1, frag=65_120 // 8) / Raw(bytes(800)))
    row = rows_of(fragments(parts))[0]
    assert (row["wrong_fragment"], row["service"], row["src_bytes"]) == (1, "eco_i", 1480)


def test_icmp_has_the_bytes_of_its_first_message():
    packets = [ip("10.0.0.1", "10.0.0.2", 1, bytes([8, 0]) + bytes(62)), ip("10.0.0.2", "10.0.0.1", 1, bytes(99))]
    (row,) = last_of(packets)
    assert (row["service"], row["src_bytes"], row["dst_bytes"], row["flag"]) == ("eco_i", 64, 0, "SF")
    assert PROTOCOLS[int(row["protocol_type"])] == "icmp"


def test_a_connection_from_the_ftp_data_port_is_ftp_data():
    (row,) = last_of([tcp("10.0.0.2:20", "10.0.0.1:50000", "S")])
    assert row["service"] == "ftp_data"


def test_udp_and_unknown_protocols_end_well():
    (answered, unknown) = last_of([udp("10.0.0.1:5", "10.0.0.2:53", payload=30), ip("10.0.0.1", "10.0.0.2", 47, b"")])
    assert (answered["flag"], answered["service"], answered["src_bytes"]) == ("SF", "domain_u", 30)
    assert (unknown["flag"], unknown["protocol_type"], unknown["service"]) == ("SF", UNKNOWN, "other")

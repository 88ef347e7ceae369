"""The public collection of small captures: packets, bytes and five-tuples as tshark counts them, file by file.

Ours: every final record of a meter without decapsulation, packets and bytes summed by five-tuple. What counts on
tshark's side is defined in tests.support.tshark. Frames and their wire bytes, decoded or not, must agree too.

What tshark 4.0.17 said of each file is in tests/golden. It is asked anew of every file of which we say anything else,
and of one in EVERY of the others; of all by `make tshark`.
"""

import hashlib
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_REASON,
    IP_VERSION,
    PROTOCOL,
    SNAPSHOT,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    address,
)
from flows.meter import Meter, concatenate
from sensor.errors import InputError
from sensor.sources.captures.files import open_capture
from tests.support.tshark import TSHARK, Counts, read_with_tshark, tuple_of

pytestmark = [pytest.mark.skipif(TSHARK is None, reason="tshark is not installed"), pytest.mark.takes(15)]

SAID = Path(__file__).resolve().parents[2] / "golden" / "tshark-variety"  # name and digest_of() of a file a line
EVERY = int(os.environ.get("TSHARK_EVERY", "16"))

Totals = tuple[int, int, int]  # packets, bytes, five-tuples

# file -> ours, tshark's, why
DIFFERENCES: dict[str, tuple[Totals, Totals, str]] = {
    "tcpdump/802_15_4-data.pcap": ((0, 0, 0), (1, 0, 1), "6LoWPAN, whose IP header is compressed away"),
    "tcpdump/LINKTYPE_IPV6_invalid.pcap": (
        (1, 29, 1),
        (0, 0, 0),
        "an IPv4 packet under LINKTYPE_IPV6: the version field is believed, not the link type",
    ),
    "tcpdump/cve2015-0261-crash.pcap": ((1, 0, 1), (0, 0, 0), "SLIP, which tshark does not dissect"),
    "tcpdump/icmp6_nodeinfo_oobr.pcap": ((1, 0, 1), (0, 0, 0), "SLIP, which tshark does not dissect"),
    "tcpdump/heapoverflow-ip_demux_print.pcap": (
        (0, 0, 0),
        (1, 0, 1),
        "cut in the AH header, whose first byte tshark believes",
    ),
    "tcpdump/ipv6-rthdr-oobr.pcap": (
        (0, 0, 0),
        (1, 0, 1),
        "cut in the routing header, whose first byte tshark believes",
    ),
    "tcpdump/icmp-icmp_print-oobr-1.pcap": (
        (2, 0, 2),
        (1, 0, 1),
        "three bytes of ICMP: type and code are there, which is all that we want of it",
    ),
    "tcpdump/ipv6-too-long-jumbo.pcap": (
        (1, 0, 1),
        (0, 0, 0),
        "no payload length and a jumbo option of a wrong length: we take the length from the frame",
    ),
    "tcpdump/ipv6_missing_jumbo_payload_option.pcap": (
        (1, 0, 1),
        (0, 0, 0),
        "no payload length and no jumbo option: we take the length from the frame",
    ),
    "tcpdump/quic_32_bit_pointer_overflow.pcap": (
        (1, 58387, 1),
        (0, 0, 0),
        "the jumbo option claims 201,311,154 bytes: we take the length from the frame",
    ),
    "zeek/cisco-fabric-path.pcap": (
        (128, 0, 64),
        (72, 0, 64),
        "tshark takes the last four bytes of the inner frame for its check sequence and so misses part of a header",
    ),
    "zeek/ipv6-mobility-dst-opts.pcap": (
        (2, 8, 1),
        (1, 4, 1),
        "a malformed option ends tshark's dissection; we step over options by the length of their header",
    ),
    "zeek/pbb-recursive-frames.pcapng": ((0, 0, 0), (1, 1, 1), "48 frames in one another; we follow 16 headers"),
}
UNSUPPORTED = "tshark has no reader for this link type and shows nothing"
PSEUDO_HEADER = "the capture library takes the four bytes of the ATM pseudo-header off the length"
# file -> ours, tshark's frames and wire bytes, why
OTHER_FRAMES: dict[str, tuple[tuple[int, int], tuple[int, int], str]] = {
    **{
        name: (ours, (0, 0), UNSUPPORTED)
        for name, ours in {
            "libpcap/tests/filter/brcm-tag-stp.pcap": (4, 272),
            "libpcap/tests/filter/brcm-tag.pcap": (15, 3410),
            "tcpdump/brcm-tag-prepend.pcap": (15, 1386),
            "tcpdump/brcm-tag.pcap": (23, 4082),
            "tcpdump/dsa-high-vid.pcap": (4, 408),
            "tcpdump/dsa.pcap": (8, 722),
            "tcpdump/edsa-high-vid.pcap": (4, 424),
            "tcpdump/edsa.pcap": (10, 872),
            "tcpdump/frf16_magic_ie-oobr.pcap": (1, 262144),
            "tcpdump/hoobr_juniper3.pcap": (1, 262144),
            "tcpdump/juniper_es_oobr.pcap": (1, 262144),
            "tcpdump/juniper_monitor_invalid_cookie_length.pcap": (1, 82),
            "tcpdump/kday6.pcap": (1, 262144),
            "tcpdump/vtp_asan-2.pcap": (1, 262144),
            "tcpdump/vtp_asan-3.pcap": (1, 262144),
            "tcpdump/vtp_asan.pcap": (5, 524288),
        }.items()
    },
    **{
        f"gopacket/pcapgo/tests/{order}/test017.pcapng": ((0, 0), (4, 152), "tshark shows custom blocks as frames")
        for order in ("be", "le")
    },
    "ndpi/default/pcap/fuzz-2021-06-07-c6c72a0a56.pcap": (
        (1, 4093509168),
        (1, 2147483647),
        "tshark keeps lengths in 31 bits",
    ),
    "tcpdump/atm-heapoverflow.pcap": ((1, 262144), (1, 262140), PSEUDO_HEADER),
    "tcpdump/atm-oam-heapoverflow.pcap": ((1, 262144), (1, 262140), PSEUDO_HEADER),
    "tcpdump/atm-oam-loopback-print-overrun.pcap": ((1, 65622), (1, 65618), PSEUDO_HEADER),
}


@pytest.fixture(scope="module")
def captures(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The collection, unpacked, by name."""
    directory = tmp_path_factory.mktemp("captures")
    with tarfile.open(shared_data / "pcaps" / "variety.tar.xz") as archive:
        if hasattr(tarfile, "data_filter"):  # Python 3.11.4 and later
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(directory)  # noqa: S202  a collection of our own keeping
    root = directory / "variety"
    return {str(path.relative_to(root)): path for path in sorted(root.rglob("*")) if path.is_file()}


def test_each_file_agrees_with_tshark_or_is_explained(captures: dict[str, Path]) -> None:
    read = {name: read_with_the_meter(path) for name, path in captures.items()}
    said = dict(line.split("\t") for line in SAID.read_text(encoding="utf-8").splitlines())
    assert len(captures) == len(said) == 389
    asked = [name for number, name in enumerate(read) if number % EVERY == 0 or digest_of(read[name]) != said[name]]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        expected = dict(zip(asked, threads.map(read_with_tshark, map(captures.__getitem__, asked)), strict=True))
    assert {name: digest_of(counts) for name, counts in expected.items()} == {name: said[name] for name in asked}
    different, frames = {}, {}
    for name, tshark in expected.items():
        ours = read[name]
        if (ours.packets, ours.payload) != (tshark.packets, tshark.payload):
            different[name] = (ours.totals(), tshark.totals())
        if (ours.frames, ours.wire_bytes) != (tshark.frames, tshark.wire_bytes):
            frames[name] = ((ours.frames, ours.wire_bytes), (tshark.frames, tshark.wire_bytes))
    assert different == {name: row[:2] for name, row in DIFFERENCES.items()}
    assert frames == {name: row[:2] for name, row in OTHER_FRAMES.items()}
    # an agreement of empty tables would prove nothing
    assert sum(counts.packets.total() for counts in read.values()) > 3000


def digest_of(counts: Counts) -> str:
    """Digest of all that is compared."""
    content = (counts.frames, counts.wire_bytes, sorted(counts.packets.items()), sorted(counts.payload.items()))
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


def read_with_the_meter(path: Path) -> Counts:
    """Counts of one capture; none of a file that is no capture."""
    counts = Counts()
    try:
        source = open_capture(path)
    except InputError:
        return counts
    meter = Meter(1024)
    batch = concatenate([*[meter.feed(block) for block in source], meter.drain()])
    source.close()
    packets = batch.column("fwd_packets") + batch.column("bwd_packets")
    payload = batch.column("fwd_bytes") + batch.column("bwd_bytes")
    for row, count, size in zip(batch.identity.tolist(), packets.tolist(), payload.tolist(), strict=True):
        if row[END_REASON] == SNAPSHOT:
            continue
        version = row[IP_VERSION]
        key = tuple_of(
            address(row[SRC_HIGH], row[SRC_LOW], version),
            row[SRC_PORT],
            address(row[DST_HIGH], row[DST_LOW], version),
            row[DST_PORT],
            row[PROTOCOL],
        )
        counts.packets[key] += int(count)
        counts.payload[key] += int(size)
    counts.frames, counts.wire_bytes = meter.stats.packets, meter.stats.wire_bytes
    return counts

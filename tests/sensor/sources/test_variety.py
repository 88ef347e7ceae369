"""The public collection of small captures: as many packets as an independent reader counts in each."""

import csv
import tarfile
from pathlib import Path

import pytest

from sensor.errors import InputError
from sensor.sources.captures.files import CaptureFile
from tests.support.capture_bytes import Arriving

# What the collection's table leaves blank, or what is damaged: name -> how it ends, and packets before that.
DAMAGED = {
    "variety/libpcap/tests/shb-option-too-long.pcapng": ("corrupt at byte 0", 0),
    "variety/ndpi/default/pcap/fuzz-2021-10-13.pcap": ("truncated: the record at byte 237", 1),
    "variety/scapy/test/pcaps/bad_rsn_parsing_overrides_ssid.pcap": ("truncated: the record at byte 359", 1),
}
NO_CAPTURE = {"variety/ndpi/default/pcap/README.txt"}


def test_each_capture_gives_the_packets_it_holds(shared_data: Path) -> None:
    with (shared_data / "pcaps" / "variety.csv").open() as table:
        counts = {row["path"]: row["packets"] for row in csv.DictReader(table)}
    seen = set()
    with tarfile.open(shared_data / "pcaps" / "variety.tar.xz") as archive:
        for member in archive:
            if content := archive.extractfile(member):
                check(member.name, content.read(), counts[member.name])
                seen.add(member.name)
    assert seen == set(counts)
    assert len(seen) == 389


def check(name: str, content: bytes, count: str) -> None:
    if name in NO_CAPTURE:
        with pytest.raises(InputError, match="found a text file"):
            CaptureFile(Arriving(content), name)
        return
    source = CaptureFile(Arriving(content), name)
    packets = sum(len(block) for block in source)
    ending, before = DAMAGED.get(name, (None, packets))
    assert packets == before, name
    assert (source.problem or "").startswith(ending or ""), name
    assert source.problem is None or ending, name
    assert source.bytes_read == len(content), name
    if count:
        assert packets == int(count), name

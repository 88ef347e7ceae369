"""Captures from files and pipes: what is refused when opened, what is reported at the end, what is always delivered."""

import bz2
import gzip
import lzma
import os
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from io import FileIO
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from sensor.errors import InputError
from sensor.sources.captures.files import CaptureFile, captures_in, open_capture, skipped_in
from tests.support.capture_bytes import (
    Arriving,
    Packet,
    packet,
    packets_of,
    pcap,
    pcap_header,
    pcap_record,
    pcapng,
    read,
)

PACKETS = [packet(size, 1_700_000_000_000_000_000 + size * 1000) for size in (60, 0, 1514, 61, 64, 9000)]
CAPTURES = {
    "pcap": pcap(PACKETS),
    "pcap big-endian": pcap(PACKETS, order=">"),
    "pcapng": pcapng(PACKETS),
    "pcapng big-endian": pcapng(PACKETS, order=">"),
    "gzip": gzip.compress(pcapng(PACKETS), mtime=0),
    "zstd": zstandard.compress(pcapng(PACKETS)),
    "xz": lzma.compress(pcapng(PACKETS)),
    "bzip2": bz2.compress(pcapng(PACKETS)),
    "lz4": lz4.frame.compress(pcapng(PACKETS), content_checksum=True),
}
captures = st.sampled_from(sorted(CAPTURES)).map(CAPTURES.__getitem__)
pieces = st.lists(st.integers(1, 3000))


def outcome_of(content: bytes, sizes: Iterable[int] = ()) -> tuple[list[Packet], str | None] | str:
    """Packets and how the capture ended, or why it was refused."""
    try:
        return read(content, sizes)
    except InputError as refusal:
        return str(refusal)


@given(content=captures, sizes=pieces)
@example(content=CAPTURES["pcap"], sizes=[1] * 20_000)
@example(content=CAPTURES["pcapng"], sizes=[1] * 20_000)
@example(content=CAPTURES["gzip"], sizes=[1] * 20_000)
@example(content=CAPTURES["zstd"], sizes=[1] * 20_000)
@example(content=CAPTURES["xz"], sizes=[1] * 20_000)
@example(content=CAPTURES["bzip2"], sizes=[1] * 20_000)
@example(content=CAPTURES["lz4"], sizes=[1] * 20_000)
def test_packets_do_not_depend_on_how_the_bytes_arrive(content: bytes, sizes: list[int]) -> None:
    assert read(content, sizes) == (PACKETS, None)


@given(content=captures, data=st.data(), sizes=pieces)
def test_a_capture_cut_anywhere_gives_its_first_packets_and_one_line(
    content: bytes, data: st.DataObject, sizes: list[int]
) -> None:
    cut = data.draw(st.integers(0, len(content) - 1))
    outcome = outcome_of(content[:cut], sizes)
    assert outcome == outcome_of(content[:cut])
    if isinstance(outcome, str):
        assert "\n" not in outcome
        assert outcome.endswith(", expected a pcap or pcapng capture")
    else:
        packets, problem = outcome
        assert packets == PACKETS[: len(packets)]
        assert problem is None or problem.startswith("truncated: ")


@given(content=captures, data=st.data(), sizes=pieces)
def test_flipped_bytes_never_raise_and_read_the_same_however_they_arrive(
    content: bytes, data: st.DataObject, sizes: list[int]
) -> None:
    damaged = bytearray(content)
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        damaged[at] = data.draw(st.integers(0, 255))
    outcome = outcome_of(bytes(damaged), sizes)
    assert outcome == outcome_of(bytes(damaged))
    if not isinstance(outcome, str):
        packets, problem = outcome
        assert all(item.ts_ns >= 0 for item in packets)
        assert problem is None or "\n" not in problem


@given(content=st.binary(max_size=600), magic=st.sampled_from([CAPTURES["pcap"][:24], CAPTURES["pcapng"][:48]]))
def test_any_bytes_behind_a_header_end_without_an_exception(content: bytes, magic: bytes) -> None:
    packets, _ = read(magic + content)
    assert sum(len(item.frame) for item in packets) <= len(content)


def test_more_packets_than_a_block_and_a_buffer_hold_keep_their_order(tmp_path: Path) -> None:
    packets = [Packet(number.to_bytes(4, "big") * 10, number * 1000, 40) for number in range(50_000)]
    for name, content in (("a.pcap", pcap(packets)), ("a.pcapng", pcapng(packets))):
        (tmp_path / name).write_bytes(content)
        source = open_capture(tmp_path / name)
        assert packets_of(source) == packets
        assert source.problem is None
        assert source.bytes_read == source.size == len(content)


def test_progress_counts_the_bytes_of_a_gzip_file_as_stored(tmp_path: Path) -> None:
    content = gzip.compress(CAPTURES["pcap"])
    (tmp_path / "a.gz").write_bytes(content)
    source = open_capture(tmp_path / "a.gz")
    assert source.size == len(content)
    assert packets_of(source) == PACKETS
    assert source.bytes_read == len(content)


def test_gzip_members_are_one_capture_and_padding_is_none_of_it() -> None:
    whole = CAPTURES["pcap"]
    members = b"".join(gzip.compress(whole[at : at + 1000]) for at in range(0, len(whole), 1000))
    assert read(members + bytes(700)) == (PACKETS, None)
    assert read(members + bytes(700), [1] * 30_000) == (PACKETS, None)


def test_gzip_data_may_unpack_to_far_more_than_was_read() -> None:
    packets = [Packet(bytes(1000), number * 1000, 1000) for number in range(5000)]
    content = gzip.compress(pcap(packets))
    assert read(content) == (packets, None)
    assert read(content, [1] * len(content)) == (packets, None)


def test_packets_before_damage_in_gzip_data_are_delivered() -> None:
    content = gzip.compress(pcap([packet(60)] + PACKETS * 50))
    damaged = bytearray(content)
    damaged[len(content) - 6] ^= 0xFF  # in the checksum, behind all data
    packets, problem = read(bytes(damaged))
    assert len(packets) == 1 + 50 * len(PACKETS)
    assert problem == f"corrupt gzip data near byte {len(content) - 5}"
    packets, problem = read(content + b"more")
    assert len(packets) == 1 + 50 * len(PACKETS)
    assert problem is not None
    assert problem.startswith("corrupt gzip data near byte ")


def test_gzip_data_that_ends_early_is_truncated() -> None:
    content = gzip.compress(CAPTURES["pcap"])
    packets, problem = read(content[:-4])
    assert packets == PACKETS
    assert problem == f"truncated: the gzip data ends early, at byte {len(content) - 4}"


def test_a_read_error_is_reported_behind_what_was_read() -> None:
    class Failing(Arriving):
        def readinto(self, view: memoryview, /) -> int | None:
            if got := super().readinto(view):
                return got
            raise OSError(5, "Input/output error")

    source = CaptureFile(Failing(CAPTURES["pcap"], [200, 300]), "disk")
    assert packets_of(source) == PACKETS
    assert source.problem == f"unreadable after {len(CAPTURES['pcap'])} bytes: Input/output error"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"hello, gateway\n", "a text file"),
        ("ts,src,dst\n1,ä,ö\n".encode() * 50, "a text file"),
        (b"PK\x03\x04" + bytes(100), "a zip archive"),
        (b"snoop\0\0\0\0\0\0\x02\0\0\0\x04", "a snoop capture"),
        (b"\x28\xb5\x2f\xfd", "zstd of data that cannot be read (truncated: the zstd data ends early, at byte 4)"),
        (b"\x28\xb5\x2f\xfd\x08" + bytes(40), "zstd of data that cannot be read (corrupt zstd data near byte 0)"),
        (zstandard.compress(b"words " * 200), "zstd of a text file"),
        (zstandard.compress(CAPTURES["gzip"]), "zstd of a gzip file"),
        (lzma.compress(b"words " * 200), "xz of a text file"),
        (b"BZh91AY", "bzip2 of data that cannot be read (truncated: the bzip2 data ends early, at byte 7)"),
        (b"BZhello", "bzip2 of data that cannot be read (corrupt bzip2 data behind 0 decompressed bytes)"),
        (bytes(257) + b"ustar" + bytes(300), "a tar archive"),
        (gzip.compress(b"words " * 200, mtime=0), "gzip of a text file"),  # no time: ids are of the content
        (gzip.compress(b"", mtime=0), "gzip of an empty file"),
        (gzip.compress(CAPTURES["gzip"], mtime=0), "gzip of a gzip file"),
        (b"\x1f\x8b\x08", "gzip of data that cannot be read (truncated: the gzip data ends early, at byte 3)"),
        (b"\x1b[2J\0\xff\xfe\x07\x08\x09", "binary data beginning 1b 5b 32 4a 00 ff fe 07"),
        (CAPTURES["pcap"][:10], "a pcap header cut short after 10 of 24 bytes"),
        (CAPTURES["pcapng"][:27], "a pcapng header cut short after 27 of 28 bytes"),
        (b"\x0a\x0d\x0d\x0a" + bytes(40), "a pcapng header without byte order"),
        (CAPTURES["pcap"][:4] + b"\x07\0\0\0" + CAPTURES["pcap"][8:], "pcap version 7.0 instead of 2.4"),
    ],
)
def test_a_foreign_file_is_refused_with_what_it_seems_to_be(content: bytes, found: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(content)
    with pytest.raises(InputError) as refusal:
        open_capture(path)
    assert str(refusal.value) == f"{path}: found {found}, expected a pcap or pcapng capture"


def test_zstd_frames_follow_one_another_as_one_capture() -> None:
    content = CAPTURES["pcap"]
    packed = zstandard.compress(content[:300]) + zstandard.compress(content[300:])
    assert read(packed) == (PACKETS, None)
    packets, problem = read(packed[:-20])
    assert packets == PACKETS[: len(packets)]
    assert problem == f"truncated: the zstd data ends early, at byte {len(packed) - 20}"


def test_zstd_frames_without_data_are_passed_over() -> None:
    """As pzstd writes one before each frame, and a seekable file has one at its end. RFC 8878, 3.1.2."""
    content = CAPTURES["pcap"]
    first, table = (
        b"\x50\x2a\x4d\x18\x04\0\0\0size",
        b"\x5e\x2a\x4d\x18" + (70_000).to_bytes(4, "little") + bytes(70_000),
    )
    packed = first + zstandard.compress(content[:300]) + b"\x53\x2a\x4d\x18\0\0\0\0" + zstandard.compress(content[300:])
    assert read(packed + table) == (PACKETS, None)
    assert read(packed + table, [1] * 5000) == (PACKETS, None)
    assert read((packed + table)[:-3])[1] == f"truncated: the zstd data ends early, at byte {len(packed + table) - 3}"
    assert read(packed + table[:6])[1] is not None


def test_zstd_data_that_unpacks_to_much_is_held_in_small_parts() -> None:
    grown = pcap([packet(262_144)] * 400)  # 105 MB in a few kB
    packed = zstandard.ZstdCompressor(level=19).compress(grown)
    assert len(packed) < 40_000
    source = CaptureFile(Arriving(packed), "large")
    tracemalloc.start()
    assert sum(len(block) for block in source) == 400
    assert tracemalloc.get_traced_memory()[1] < 4_000_000
    tracemalloc.stop()


PACKERS = {
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "lz4": partial(lz4.frame.compress, content_checksum=True),
}


@pytest.mark.parametrize("name", PACKERS)
def test_streams_behind_one_another_are_one_capture(name: str) -> None:
    whole, pack = CAPTURES["pcap"], PACKERS[name]
    packed = b"".join(pack(whole[at : at + 1000]) for at in range(0, len(whole), 1000))
    assert read(packed + bytes(8)) == (PACKETS, None)
    assert read(packed, [1] * len(packed)) == (PACKETS, None)
    packets, problem = read(pack(whole)[:-3])
    assert packets == PACKETS[: len(packets)]
    assert problem == f"truncated: the {name} data ends early, at byte {len(pack(whole)) - 3}"
    packets, problem = read(pack(pcap(PACKETS * 50)) + b"more" * 8)
    assert len(packets) >= 49 * len(PACKETS)
    assert problem is not None
    assert problem.startswith(f"corrupt {name} data behind ")


@pytest.mark.parametrize("name", PACKERS)
def test_data_that_unpacks_to_much_is_held_in_parts(name: str) -> None:
    packed = PACKERS[name](pcap([packet(262_144)] * 60))
    source = CaptureFile(Arriving(packed), "large")
    tracemalloc.start()
    assert sum(len(block) for block in source) == 60
    assert tracemalloc.get_traced_memory()[1] < 4_000_000
    tracemalloc.stop()


def test_xz_data_that_asks_for_much_memory_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 29}]
    huge = lzma.LZMACompressor(check=lzma.CHECK_CRC32, filters=[{**filters[0], "dict_size": 1 << 20}])
    packed = bytearray(huge.compress(CAPTURES["pcap"]) + huge.flush())
    packed[16] = 39  # the size of the dictionary, 3 GiB; behind it stand padding and the block header's checksum
    size = (packed[12] + 1) * 4
    packed[12 + size - 4 : 12 + size] = zlib.crc32(packed[12 : 12 + size - 4]).to_bytes(4, "little")
    with pytest.raises(InputError, match="xz of data that cannot be read"):
        read(bytes(packed))


CONCATENATED = [
    pcap(PACKETS),
    pcap_header() + pcap_record(PACKETS[0]),
    pcap_header(order=">", magic=0xA1B23C4D, linktype=101) + pcap_record(PACKETS[1], order=">", unit_ns=1),
    pcap_header(),
    pcap_header(linktype=113) + pcap_record(PACKETS[2]),
]


@given(order=st.permutations(range(len(CONCATENATED))), sizes=pieces)
def test_captures_one_behind_another_in_a_file_are_read_with_their_own_headers(
    order: list[int], sizes: list[int]
) -> None:
    parts = [CONCATENATED[i] for i in order]
    alone = [item for part in parts for item in read(part)[0]]
    assert read(b"".join(parts), sizes) == (alone, None)
    assert {item.linktype for item in alone} == {1, 101, 113}


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_captures_of_one_packet_behind_one_another_are_no_block_each(
    pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """Each block costs as much as thousands of packets."""
    packets = [packet(60, number * 1000, linktype=1 + number % 2 * 100) for number in range(3000)]
    parts = [pcap_header(linktype=item.linktype) + pcap_record(item) for item in packets]
    (tmp_path / "many").write_bytes(b"".join(map(pack, parts)))
    source = open_capture(tmp_path / "many")
    blocks = list(source)
    assert (packets_of(blocks), source.problem) == (packets, None)
    assert len(blocks) < 20


def test_a_header_cut_short_behind_a_capture_is_told() -> None:
    packets, problem = read(CAPTURES["pcap"] + pcap_header()[:20])
    assert packets == PACKETS
    assert problem == f"truncated: the record at byte {len(CAPTURES['pcap'])} has 20 of at least 24 bytes"


def test_a_directory_stands_for_the_captures_in_it(tmp_path: Path) -> None:
    for name, content in [("b.pcap", "pcap"), ("a.pcapng.zst", "zstd"), ("c", "gzip"), (".hidden", "pcap")]:
        (tmp_path / name).write_bytes(CAPTURES[content])
    (tmp_path / "README").write_text("about these captures")
    (tmp_path / "below").mkdir()
    found = [str(tmp_path / name) for name in ("a.pcapng.zst", "b.pcap", "c")]
    assert captures_in([str(tmp_path), "-", "missing"]) == [*found, "-", "missing"]
    assert captures_in([str(tmp_path / "below")]) == [str(tmp_path / "below")]
    assert skipped_in([str(tmp_path), "-", "missing"]) == [str(tmp_path / "README")]


def test_a_directory_stands_for_what_is_below_it_and_a_loop_of_links_ends(tmp_path: Path) -> None:
    deep = tmp_path / "2026" / "eth0"
    deep.mkdir(parents=True)
    (deep / "a.pcap.xz").write_bytes(CAPTURES["xz"])
    (deep / "notes").write_text("about these captures")
    (deep / "up").symlink_to(tmp_path)
    (deep / "self").symlink_to(deep)
    (tmp_path / ".old").mkdir()
    (tmp_path / ".old" / "b.pcap").write_bytes(CAPTURES["pcap"])
    (found,) = captures_in([str(tmp_path)])
    assert Path(found).resolve() == (deep / "a.pcap.xz").resolve()
    (skipped,) = skipped_in([str(tmp_path)])
    assert Path(skipped).name == "notes"


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.pcap: found no such file, expected a pcap or pcapng capture$"):
        open_capture(tmp_path / "nothing.pcap")
    with pytest.raises(InputError, match=": found a directory without captures, expected"):
        open_capture(tmp_path)
    with pytest.raises(InputError, match=r": found what cannot be opened \(not a directory\), expected"):
        open_capture(Path(__file__) / "below")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.pcap"
    path.write_bytes(CAPTURES["pcap"])
    path.chmod(0)
    with pytest.raises(InputError, match=r"permission denied"):
        open_capture(path)


def test_a_capture_with_only_a_header_holds_no_packets() -> None:
    assert read(CAPTURES["pcap"][:24]) == ([], None)
    assert read(CAPTURES["pcapng"][:48]) == ([], None)


def test_a_fifo_is_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(CAPTURES["pcap"],))
    writer.start()
    source = open_capture(path)
    assert source.size is None
    assert packets_of(source) == PACKETS
    writer.join()
    source.close()


def test_standard_input_is_read_in_whatever_pieces_it_comes() -> None:
    program = """
from sensor.sources.captures.files import open_capture
source = open_capture("-")
print(sum(len(block) for block in source), source.size, source.bytes_read, source.problem)
"""
    content = CAPTURES["gzip"]
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdin is not None
        for at in range(0, len(content), 700):
            reader.stdin.write(content[at : at + 700])
            reader.stdin.flush()
        output, _ = reader.communicate(timeout=60)
    assert output.decode().split() == [str(len(PACKETS)), "None", str(len(content)), "None"]


def test_a_descriptor_that_does_not_block_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def write_late() -> None:
        for at in range(0, len(CAPTURES["pcap"]), 1000):
            time.sleep(0.01)
            os.write(writing, CAPTURES["pcap"][at : at + 1000])
        os.close(writing)

    writer = threading.Thread(target=write_late)
    writer.start()
    source = CaptureFile(FileIO(reading), "pipe")
    assert packets_of(source) == PACKETS
    source.close()
    writer.join()

"""Packets in files one after the other: all of them, once, in order; few files; none of another run touched."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.block import Int64s, PacketBlock, block_of
from sensor.errors import OutputError
from sensor.files.held import Held
from sensor.packets import packet_files
from sensor.packets.packet_files import PacketFiles
from sensor.packets.pcapng import PcapngWriter
from sensor.packets.rotation import RotatingWriter
from tests.support.capture_bytes import Packet, packets_of, read

pytestmark = pytest.mark.ux

SECOND = 10**9
T0 = 1_700_000_000 * SECOND
NAME = "eth0"


def of(block: PacketBlock, interface: int = 0) -> Int64s:
    return np.full(len(block), interface, dtype=np.int64)


def content(path: Path) -> list[Packet]:
    """Packets of one file, which is whole on its own."""
    packets, problem = read(path.read_bytes())
    assert problem is None
    return packets


def in_order_of_making(directory: Path) -> list[Path]:
    """Files of one plain name: their names sort as they were made."""
    return sorted(directory.iterdir())


def rotating(files: PacketFiles) -> RotatingWriter:
    writer = RotatingWriter(files, T0)
    writer.add_interface(NAME, 1)
    return writer


def written(files: PacketFiles, blocks: list[PacketBlock], step_ns: int = 0) -> RotatingWriter:
    writer = rotating(files)
    for block in blocks:
        writer.write(block, of(block), step_ns)
    writer.close()
    return writer


def ticking(at_s: list[float], size: int = 60) -> PacketBlock:
    """Packets of these seconds after the start, each with bytes of its own."""
    frames = [number.to_bytes(4, "big") + bytes(size - 4) for number in range(len(at_s))]
    return block_of(frames, [T0 + round(second * SECOND) for second in at_s])


frames = st.binary(min_size=1, max_size=300)
gaps_ns = st.one_of(st.integers(0, 10 * SECOND), st.integers(-SECOND // 2, 0), st.integers(-(10**13), 10**13))
some_packets = st.lists(st.tuples(frames, gaps_ns), min_size=1, max_size=12)


@settings(deadline=None)
@given(
    st.lists(some_packets, min_size=2, max_size=6),
    st.none() | st.integers(1, 1000),
    st.none() | st.integers(1, 20).map(lambda seconds: seconds * SECOND),
    st.none() | st.integers(1, 4),
)
def test_every_packet_is_in_one_file_in_order_and_the_files_are_bounded(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[list[tuple[bytes, int]]],
    size_bytes: int | None,
    every_ns: int | None,
    kept: int | None,
) -> None:
    directory = tmp_path_factory.mktemp("rotated")
    now_ns, blocks = T0, []
    for packets in drawn:
        stamps = []
        for _, gap_ns in packets:
            now_ns = max(0, now_ns + gap_ns)
            stamps.append(now_ns)
        blocks.append(block_of([frame for frame, _ in packets], stamps))
    writer = written(PacketFiles(directory / "a.pcapng", size_bytes, every_ns, kept), blocks)
    given_packets = packets_of(blocks)
    assert writer.packets == len(given_packets)
    found = [content(path) for path in in_order_of_making(directory)]
    together = [packet for packets in found for packet in packets]
    if kept is None:
        assert together == given_packets
    else:
        assert 1 <= len(found) <= kept
        assert together == given_packets[len(given_packets) - len(together) :]
    for path, packets in zip(in_order_of_making(directory), found, strict=True):
        assert packets or path.name == "a.pcapng"  # made at the start
        assert size_bytes is None or len(packets) <= 1 or path.stat().st_size <= size_bytes
        if every_ns is not None and len(packets) > 1:
            spread = max(packet.ts_ns for packet in packets) - min(packet.ts_ns for packet in packets)
            assert spread < 2 * every_ns  # an interval, and what is late by up to another one


def test_an_interval_has_a_file_and_one_without_packets_has_none(tmp_path: Path) -> None:
    block = ticking([0, 9.9, 9.7, 10, 12, 19.999999999, 55, 54.9, 60])
    written(PacketFiles(tmp_path / "a.pcapng", every_ns=10 * SECOND), [block])
    found = [[(packet.ts_ns - T0) / SECOND for packet in content(path)] for path in in_order_of_making(tmp_path)]
    assert found == [[0, 9.9, 9.7], [10, 12, 19.999999999], [55, 54.9], [60]]


def test_a_stamp_from_the_future_does_not_end_the_rotation(tmp_path: Path) -> None:
    century = 3e9
    written(PacketFiles(tmp_path / "a.pcapng", every_ns=SECOND), [ticking([0, century, 1, 2, 3])])
    assert [len(content(path)) for path in in_order_of_making(tmp_path)] == [1, 1, 1, 1, 1]


def test_a_file_is_filled_up_to_its_size_and_not_beyond(tmp_path: Path) -> None:
    each = 32 + 60
    rotating(PacketFiles(tmp_path / "measured")).close()
    header = (tmp_path / "measured").stat().st_size
    (tmp_path / "measured").unlink()
    written(PacketFiles(tmp_path / "a.pcapng", size_bytes=header + 3 * each), [ticking([0] * 7)])
    assert [path.stat().st_size for path in in_order_of_making(tmp_path)] == [
        header + 3 * each,
        header + 3 * each,
        header + each,
    ]


def test_a_file_that_is_full_takes_nothing_of_the_next_block(tmp_path: Path) -> None:
    written(PacketFiles(tmp_path / "a.pcapng", size_bytes=1), [ticking([0]), ticking([1]), ticking([2])])
    assert [len(content(path)) for path in in_order_of_making(tmp_path)] == [1, 1, 1]


def test_a_packet_larger_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    block = block_of([bytes(60), bytes(5000), bytes(60)], [T0] * 3)
    written(PacketFiles(tmp_path / "a.pcapng", size_bytes=1000), [block])
    assert [[len(packet.frame) for packet in content(path)] for path in in_order_of_making(tmp_path)] == [
        [60],
        [5000],
        [60],
    ]


def test_each_file_describes_all_interfaces(tmp_path: Path) -> None:
    writer = RotatingWriter(PacketFiles(tmp_path / "a.pcapng", size_bytes=300), T0)
    assert [writer.add_interface(name, kind) for name, kind in (("eth0", 1), ("tun0", 101))] == [0, 1]
    block = ticking([0, 1, 2, 3])
    interface_of = np.array([0, 1, 0, 1])
    writer.write(PacketBlock(**{**_fields(block), "linktype": np.array([1, 101, 1, 101])}), interface_of)
    writer.close()
    paths = in_order_of_making(tmp_path)
    assert len(paths) > 1
    assert [packet.linktype for path in paths for packet in content(path)] == [1, 101, 1, 101]
    assert all(path.read_bytes().count(name) == 1 for path in paths for name in (b"eth0", b"tun0"))


def _fields(block: PacketBlock) -> dict[str, Int64s]:
    return {name: getattr(block, name) for name in PacketBlock.__slots__}


# Names


def test_a_pattern_is_filled_in_with_the_local_wall_clock(tmp_path: Path) -> None:
    hour = 3600
    files = PacketFiles(tmp_path / "%Y-%m-%d_%H%M%S.pcapng", every_ns=60 * SECOND)
    written(files, [ticking([0, 65])], step_ns=hour * SECOND)
    times = (T0 // SECOND, T0 // SECOND + hour + 65)  # the first file is made before the clock was set
    names = [time.strftime("%Y-%m-%d_%H%M%S.pcapng", time.localtime(moment)) for moment in times]
    assert [path.name for path in in_order_of_making(tmp_path)] == names


def test_a_pattern_that_gives_the_same_name_again_is_numbered(tmp_path: Path) -> None:
    written(PacketFiles(tmp_path / "%Y.pcapng", every_ns=SECOND), [ticking([0, 1, 2])])
    year = time.strftime("%Y", time.localtime(T0 // SECOND))
    assert [path.name for path in in_order_of_making(tmp_path)] == [
        f"{year}.pcapng",
        f"{year}_00001.pcapng",
        f"{year}_00002.pcapng",
    ]


def test_without_an_interval_a_name_is_no_pattern(tmp_path: Path) -> None:
    written(PacketFiles(tmp_path / "%Y.pcapng", size_bytes=1), [ticking([0, 1])])
    assert [path.name for path in in_order_of_making(tmp_path)] == ["%Y.pcapng", "%Y_00001.pcapng"]


@pytest.mark.parametrize("pattern", ["%D", "a%D.pcapng", "%Y/a.pcapng", "%%/a.pcapng"])
def test_a_pattern_for_a_directory_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(OutputError, match="found a pattern"):
        RotatingWriter(PacketFiles(tmp_path / pattern, every_ns=SECOND), T0)
    assert not list(tmp_path.iterdir())


def test_a_percent_sign_that_is_no_conversion_stays(tmp_path: Path) -> None:
    (tmp_path / "100%").mkdir()
    written(PacketFiles(tmp_path / "100%" / "a.pcapng", every_ns=SECOND), [])
    assert (tmp_path / "100%" / "a.pcapng").exists()


# What was there before


def test_files_of_an_earlier_run_are_neither_written_to_nor_removed(tmp_path: Path) -> None:
    taken = [tmp_path / name for name in ("a.pcapng", "a_00001.pcapng", "a_00003.pcapng")]
    for path in taken:
        path.write_bytes(b"old")
    (tmp_path / "a_00005.pcapng").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "a_00006.pcapng")
    written(PacketFiles(tmp_path / "a.pcapng", every_ns=SECOND, files=2), [ticking([0, 1, 2, 3])])
    assert [path.read_bytes() for path in taken] == [b"old"] * 3
    assert not (tmp_path / "nowhere").exists()
    own = [path for path in in_order_of_making(tmp_path) if path.is_file() and path not in taken]
    assert [path.name for path in own] == ["a_00007.pcapng", "a_00008.pcapng"]
    assert [len(content(path)) for path in own] == [1, 1]


def test_an_own_file_that_was_replaced_is_not_removed(tmp_path: Path) -> None:
    writer = rotating(PacketFiles(tmp_path / "a.pcapng", every_ns=SECOND, files=1))
    (tmp_path / "a.pcapng").rename(tmp_path / "moved")
    (tmp_path / "a.pcapng").write_bytes(b"another's")
    block = ticking([0, 1, 2])
    writer.write(block, of(block))
    writer.close()
    assert (tmp_path / "a.pcapng").read_bytes() == b"another's"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pcapng", "a_00002.pcapng", "moved"]


def test_an_own_file_that_is_gone_is_no_error(tmp_path: Path) -> None:
    writer = rotating(PacketFiles(tmp_path / "a.pcapng", every_ns=SECOND, files=1))
    (tmp_path / "a.pcapng").unlink()
    block = ticking([0, 1])
    writer.write(block, of(block))
    writer.close()
    assert [len(content(path)) for path in tmp_path.iterdir()] == [1]


# What fails on the way


def test_a_directory_that_vanished_is_told_and_the_packets_written_are_counted(tmp_path: Path) -> None:
    directory = tmp_path / "gone"
    directory.mkdir()
    writer = rotating(PacketFiles(directory / "a.pcapng", every_ns=SECOND))
    directory.rename(tmp_path / "elsewhere")
    block = ticking([0, 0.5, 1, 2])
    with pytest.raises(OutputError, match=r"/gone/a_00001\.pcapng: packets cannot be written: no such file"):
        writer.write(block, of(block))
    assert writer.packets == len(content(tmp_path / "elsewhere" / "a.pcapng")) == 2
    writer.close()


def test_a_file_that_has_no_room_for_its_header_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = rotating(PacketFiles(tmp_path / "a.pcapng", every_ns=SECOND))
    block = ticking([0, 1])
    monkeypatch.setattr(PcapngWriter, "_describe", _full)
    with pytest.raises(OutputError, match="no space left"):
        writer.write(block, of(block))
    writer.close()
    assert [len(content(path)) for path in tmp_path.iterdir()] == [1]


def _full(_writer: object, _interface: int, _linktype: int) -> None:
    raise OutputError("packets cannot be written: no space left")


def test_a_file_that_cannot_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    writer = rotating(PacketFiles(tmp_path / "a.pcapng", every_ns=SECOND, files=1))
    monkeypatch.setattr(Held, "unlink", refused)
    block = ticking([0, 1])
    with pytest.raises(OutputError, match=r"a\.pcapng: cannot be removed: operation not permitted$"):
        writer.write(block, of(block))
    writer.close()


def test_a_name_whose_numbers_are_all_taken_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_files, "MAX_NUMBER", 2)
    writer = rotating(PacketFiles(tmp_path / "a.pcapng", every_ns=SECOND))
    block = ticking([0, 1, 2, 3])
    with pytest.raises(OutputError, match="found all numbers up to 2 taken"):
        writer.write(block, of(block))
    assert writer.packets == 3
    writer.close()


def test_where_the_file_of_the_moment_was_removed_the_next_one_begins(tmp_path: Path) -> None:
    writer = rotating(PacketFiles(tmp_path / "kept.pcapng", size_bytes=1 << 20))
    first, second = ticking([0.0]), ticking([1.0])
    writer.write(first, of(first))
    (tmp_path / "kept.pcapng").unlink()
    writer.write(second, of(second))
    writer.close()
    (left,) = in_order_of_making(tmp_path)
    assert content(left) == packets_of([second])

"""Who writes to a pipe waits for its reader, until that is called off, and writes to no file that took its place."""

import os
from pathlib import Path
from threading import Event, Thread, Timer

import pytest

from sensor.files.pipes import PipeStream
from sensor.files.special import open_special


@pytest.mark.parametrize("waits", [True, False])
def test_what_is_written_comes_whole_however_slowly_it_is_read(*, waits: bool) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, waits)
    content, found = os.urandom(300_000), bytearray()

    def read() -> None:
        while part := os.read(reader, 9_999):
            found.extend(part)

    thread = Thread(target=read)
    thread.start()
    stream = PipeStream(writer)
    assert stream.write(content) == stream.tell() == len(content)
    os.close(writer)
    thread.join(20.0)
    assert bytes(found) == content
    os.close(reader)


def test_a_reader_that_takes_nothing_is_waited_for_until_that_is_called_off() -> None:
    reader, writer = os.pipe()
    called_off = Event()
    Timer(0.1, called_off.set).start()
    with pytest.raises(TimeoutError, match="its reader takes nothing"):
        PipeStream(writer, called_off.is_set).write(bytes(1 << 20))
    os.close(reader)
    os.close(writer)


def test_a_reader_that_takes_something_is_waited_for_though_it_was_called_off() -> None:
    reader, writer = os.pipe()
    found = bytearray()

    def read() -> None:
        while part := os.read(reader, 20_000):
            found.extend(part)

    thread = Thread(target=read)
    thread.start()
    PipeStream(writer, lambda: True).write(bytes(500_000))
    os.close(writer)
    thread.join(20.0)
    assert len(found) == 500_000
    os.close(reader)


def test_a_file_that_has_taken_a_pipes_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("own")
    (tmp_path / "pipe").symlink_to(tmp_path / "file")
    with pytest.raises(OSError, match="a file has taken its place"):
        open_special(tmp_path / "pipe")
    assert (tmp_path / "file").read_text() == "own"

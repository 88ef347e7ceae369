"""A flow log while it is written: whole files only, within its bounds, and every record written, waiting or lost."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from flows.batch import FlowBatch
from sensor.errors import OutputError
from sensor.flow_log import file_writer, recorder
from sensor.flow_log.columns import JudgedRecords
from sensor.flow_log.directory import LogDirectory, make_directory
from sensor.flow_log.reading import FlowLog
from sensor.flow_log.recorder import FileLimits, FlowRecorder
from tests.support.flow_files import many_shapes
from tests.support.flow_logs import BY, judged, logged, moved, part, same, together
from tests.support.killed import kill, on_and_on
from tests.support.waiting import wait_until

LARGE = 1 << 40
FILES = FileLimits()


@contextmanager
def recording(directory: Path, limits: FileLimits = FILES, *, bound: int = LARGE) -> Iterator[FlowRecorder]:
    with FlowRecorder(LogDirectory(directory, bound), limits, {"sensor": "tested"}, waits=True) as started:
        yield started


def many(parts: int) -> list[JudgedRecords]:
    return [judged(moved(many_shapes(), 60 * number), seed=number) for number in range(parts)]


def read(directory: Path) -> FlowBatch:
    log = FlowLog([directory])
    found = together(list(log.batches()))
    assert not log.problems
    return found


def test_everything_handed_over_is_in_whole_files_at_the_end(tmp_path: Path) -> None:
    parts = many(5)
    with recording(tmp_path) as log:
        for one in parts:
            log.add(one)
    assert same(read(tmp_path), together([one.records for one in parts]))
    [path] = tmp_path.iterdir()
    state = log.state
    assert (state.files, state.records, state.waiting, state.lost) == (1, sum(map(len, parts)), 0, 0)
    assert state.bytes == path.stat().st_size
    assert path.stat().st_mode & 0o777 == 0o640
    assert log.problem is None


def test_a_file_follows_the_other_after_so_many_records(tmp_path: Path) -> None:
    parts = many(6)
    with recording(tmp_path, FileLimits(records=len(parts[0]) + 1)) as log:
        for one in parts:
            log.add(one)
    assert len(list(tmp_path.iterdir())) == log.state.files == 3
    assert same(read(tmp_path), together([one.records for one in parts]))


def test_a_file_is_finished_in_silence_when_its_time_is_over(tmp_path: Path) -> None:
    with recording(tmp_path, FileLimits(seconds=0.05)) as log:
        log.add(many(1)[0])
        wait_until(lambda: log.state.files == 1)
        assert len(read(tmp_path)) == len(many_shapes())


def test_a_file_is_finished_when_somebody_asks(tmp_path: Path) -> None:
    with recording(tmp_path) as log:
        log.finish_file()  # of nothing
        log.add(many(1)[0])
        log.finish_file()
        wait_until(lambda: log.state.files == 1)
        log.add(many(2)[1])
    assert log.state.files == 2


def test_who_has_enough_gets_no_more_and_nothing_older_gives_way(tmp_path: Path) -> None:
    first, second = many(2)
    with recording(tmp_path) as log:
        log.add(first)
        log.finish_file()
        log.take_no_more()
        log.add(second)
        wait_until(lambda: log.state.files == 1)
    assert same(read(tmp_path), first.records)
    assert (log.state.files, log.state.records, log.state.lost) == (1, len(first), 0)


def test_another_model_begins_another_file(tmp_path: Path) -> None:
    other = replace(BY, model="promoted", labels=("BENIGN", "Beacon"), detectors=("boosted",))
    with recording(tmp_path) as log:
        log.add(judged(many_shapes()))
        log.add(judged(moved(many_shapes(), 60), other))
    assert [said.by for said in FlowLog([tmp_path]).judged()] == [BY, other]


def test_the_oldest_files_go_first_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mine.parquet").write_bytes(bytes(1 << 20))
    (tmp_path / "flows-notes.txt").write_text("kept")
    with recording(tmp_path, FileLimits(records=1), bound=200_000) as log:
        for one in many(8):
            log.add(one)
    names = sorted(path.name for path in tmp_path.glob("flows-2*"))
    assert 0 < len(names) < 8
    assert log.state.files_deleted == 8 - len(names)
    assert sum((tmp_path / name).stat().st_size for name in names) <= 200_000
    assert [int(name.rpartition("-")[2].removesuffix(".parquet")) for name in names] == list(range(9 - len(names), 9))
    assert (tmp_path / "mine.parquet").exists()
    assert (tmp_path / "flows-notes.txt").exists()


def test_several_runs_share_a_directory(tmp_path: Path) -> None:
    with recording(tmp_path) as one, recording(tmp_path) as other:
        for first, second in zip(many(3), many(3), strict=True):
            one.add(first)
            other.add(second)
        wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
        with recording(tmp_path):  # a third that starts takes neither for a leftover
            pass
    assert len(list(tmp_path.glob("flows-*"))) == 2
    assert len(read(tmp_path)) == 6 * len(many_shapes())


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from sensor.flow_log.directory import LogDirectory
from sensor.flow_log.recorder import FileLimits, FlowRecorder
from tests.support.flow_files import many_shapes
from tests.support.flow_logs import judged, moved
recorder = FlowRecorder(LogDirectory(Path({directory!r}), 1 << 40), FileLimits(records=1), {{}}, waits=True)
recorder.__enter__()
for number in range(3):
    recorder.add(judged(moved(many_shapes(), 60 * number), seed=number))
while recorder.state.files < 3:
    pass
recorder._limits = FileLimits()
recorder.add(judged(moved(many_shapes(), 600)))
while not list(Path({directory!r}).glob(".flows-*")):
    pass
print("killed", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_is_killed_leaves_whole_files_and_a_leftover_that_the_next_removes(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[3])
    script = textwrap.dedent(KILLED.format(root=root, directory=str(tmp_path)))
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120, check=False)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert same(read(tmp_path), together([one.records for one in many(3)]))
    assert len(list(tmp_path.glob(".flows-*.unfinished"))) == 1
    (tmp_path / ".other.unfinished").touch()
    LogDirectory(tmp_path, LARGE)
    assert sorted(path.name for path in tmp_path.glob(".*")) == [".other.unfinished"]
    assert len(list(tmp_path.iterdir())) == 4


def test_what_the_disk_does_not_take_is_counted_and_the_next_file_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "RETRY_S", 0.0)
    full = [True]

    def write(sink: file_writer._Sink, octets: bytes) -> int:
        if full[0] and not sink.deaf and sink.tell() > 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return there(sink, octets)

    there = file_writer._Sink.write
    monkeypatch.setattr(file_writer._Sink, "write", write)
    parts = many(3)
    with recording(tmp_path, FileLimits(records=1)) as log:
        log.add(parts[0])
        wait_until(lambda: log.state.lost)
        assert not list(tmp_path.iterdir())
        full[0] = False
        log.add(parts[1])
        log.add(parts[2])
    assert log.problem == f"{tmp_path}: flows cannot be written: no space left"
    assert (log.state.lost, log.state.records) == (len(parts[0]), len(parts[1]) + len(parts[2]))
    assert same(read(tmp_path), together([parts[1].records, parts[2].records]))


def test_after_a_failure_nothing_is_tried_for_a_while_and_nobody_waits(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    directory.mkdir()
    with recording(directory, FileLimits(records=1)) as log:
        directory.rmdir()
        for one in many(4):
            log.add(one)
    assert log.state.lost == 4 * len(many_shapes())
    assert log.problem == f"{directory}: flows cannot be written: no such file or directory"


def test_a_full_queue_loses_what_comes_where_nobody_may_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "QUEUE_RECORDS", 2 * len(many_shapes()))
    log = FlowRecorder(LogDirectory(tmp_path, LARGE), FileLimits(), {}, waits=False)
    monkeypatch.setattr(log._thread, "is_alive", lambda: True)  # that has not come round to it yet
    for one in many(4):
        log.add(one)
    monkeypatch.undo()
    state = log.state
    assert (state.waiting, state.lost) == (2 * len(many_shapes()), 2 * len(many_shapes()))
    assert log.problem == f"{tmp_path}: flows came faster than the disk took them"
    with log:
        pass
    assert log.state.records == 2 * len(many_shapes())


def test_whoever_may_wait_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "QUEUE_RECORDS", 10)
    with recording(tmp_path) as log:
        for one in many(20):
            log.add(one)
    assert log.state.records == 20 * len(many_shapes())


def test_row_groups_are_of_bounded_size_and_keep_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "GROUP_RECORDS", 100)
    parts = many(7)
    with recording(tmp_path) as log:
        for one in parts:
            log.add(one)
    [file] = FlowLog([tmp_path]).files()
    assert file.fragment.metadata.num_row_groups == 4
    assert same(read(tmp_path), together([one.records for one in parts]))


def test_a_directory_that_cannot_be_used_is_refused_with_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "gone"):
        with pytest.raises(OutputError, match=f"flows cannot be kept in {path}: .*, expected a directory or a place"):
            LogDirectory(path, LARGE)
    with pytest.raises(OutputError, match="flows cannot be kept in"):
        make_directory(tmp_path / "file")
    make_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o750


def test_runs_that_begin_at_once_do_not_take_each_others_trials_for_leftovers(tmp_path: Path) -> None:
    others = [on_and_on(lambda _: LogDirectory(tmp_path, LARGE)) for _ in range(3)]
    for _ in range(300):
        LogDirectory(tmp_path, LARGE)
    for process, done in others:
        assert os.read(done, 1), "it has failed"
        kill(process, done)


def test_a_link_with_a_leftovers_name_is_let_be(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("kept")
    path = logged(tmp_path, judged(part(many_shapes(), 0, 5)))
    (tmp_path / f".{path.name}.unfinished").symlink_to(target)
    LogDirectory(tmp_path, LARGE)
    assert target.read_text() == "kept"
    assert os.path.islink(tmp_path / f".{path.name}.unfinished")

"""`flowvigil read --independent`: what each capture alone would give, whatever is killed, hangs or is no capture."""

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from sensor.jobs.run_directory import ALERTS
from sensor.synth.generate import SCENARIOS, generate
from sensor.synth.pcap import pcap_bytes, write_pcap
from tests.support.command import FLOWVIGIL, flowvigil, surroundings

pytestmark = pytest.mark.takes(60)

CAPTURES = 6
SEQUENCE = re.compile(rb'"sequence":(\d+)')
BEHIND = re.compile(rb'(?<=\},)(?="(?:threat|tls|flowvigil)":)')  # the object that stands behind `log`


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of captures of networks that have nothing to do with one another."""
    directory = tmp_path_factory.mktemp("captures")
    for seed in range(CAPTURES):
        write_pcap(directory / f"net-{seed}.pcap", pcap_bytes(generate(SCENARIOS, seed, 0.5).packets, 96))
    return directory


@pytest.fixture(scope="module")
def expected(captures: Path) -> bytes:
    """What each capture alone gives, one after the other, numbered through."""
    return one_by_one(sorted(captures.iterdir()))


def lines_alone(path: Path, known: dict[bytes, list[bytes]] = {}) -> list[bytes]:  # noqa: B006  kept on purpose
    """Lines of a capture, which is read once whatever its name."""
    content = path.read_bytes()
    if content not in known:
        known[content] = flowvigil("read", path).stdout.splitlines(keepends=True)
    return known[content]


def one_by_one(paths: Sequence[Path]) -> bytes:
    """Lines of each alone, one after the other, each with the path of its capture."""
    lines: list[bytes] = []
    for path in paths:
        before = len(lines)
        place = b'"log":{"file":{"path":"%b"}},' % os.fsencode(path)
        for line in lines_alone(path):
            number = SEQUENCE.search(line)
            assert number is not None
            numbered = SEQUENCE.sub(b'"sequence":%d' % (before + int(number[1])), line, count=1)
            lines.append(BEHIND.sub(place, numbered, count=1))
    return b"".join(lines)


@pytest.mark.parametrize("workers", ["1", "3"])
def test_each_capture_gives_what_it_gives_alone(captures: Path, expected: bytes, workers: str, tmp_path: Path) -> None:
    file = tmp_path / "alerts.jsonl"
    result = flowvigil("read", captures, "--independent", "--workers", workers, "-o", file)
    assert result.code == 0, result.stderr
    assert expected.count(b"\n") > CAPTURES
    assert result.stdout == file.read_bytes() == expected
    assert re.match(rf"flowvigil: read {CAPTURES} captures: [\d,]+ packets", result.stderr[-1])


def test_what_hangs_or_is_no_capture_is_named_and_costs_the_others_nothing(
    captures: Path, expected: bytes, tmp_path: Path
) -> None:
    silent, text, cut = tmp_path / "silent.pcap", tmp_path / "text.pcap", tmp_path / "cut.pcap"
    os.mkfifo(silent)
    text.write_text("no capture")
    cut.write_bytes((captures / "net-0.pcap").read_bytes()[:50_000])
    missing = tmp_path / "missing.pcap"
    with silent.open("r+b", buffering=0):  # somebody has it open to write, and never does
        patience = ("--set", "jobs.patience_s=5")
        result = flowvigil("read", silent, captures, text, cut, missing, "--independent", *patience)
    assert result.code == 6
    told = "\n".join(result.stderr)
    assert f"{silent}: set aside after 2 attempts: stood still for 5 s" in told
    assert f"{text}: " in told
    assert f"{cut}: cut off" in told or f"{cut}: truncated" in told or f"{cut}: " in told
    assert f"{missing}: " in told
    assert len(result.stderr) == len(set(result.stderr))
    assert result.stdout.startswith(expected)


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return []


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):  # it has ended
        os.kill(pid, number)


def read_with_kills(arguments: Sequence[str | Path], run: Path, chance: random.Random, *, of: str) -> int:
    """Run the command and kill -9 it (main), the process that has the pool, or those that read, at some moment.

    Not before another capture than those of earlier runs was read. run: its directory.
    """
    done = len(list(run.glob("ends/*/*.json")))
    process = subprocess.Popen(
        [*FLOWVIGIL, *map(str, arguments)], env=surroundings(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while len(list(run.glob("ends/*/*.json"))) <= done and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(chance.uniform(0, 0.2))
    for pool in children_of(process.pid):
        if of == "pool":
            kill(pool)
        elif of != "main":
            for reader in children_of(pool):
                kill(reader, signal.SIGTERM if of == "asked reader" else signal.SIGKILL)
    if of == "main":
        process.kill()
    assert process.stderr is not None
    said = process.stderr.read()
    assert b"Traceback" not in said, said
    return process.wait(60)


@pytest.mark.parametrize("of", ["pool", "asked reader"])
def test_a_process_that_is_killed_costs_nothing(captures: Path, expected: bytes, of: str, tmp_path: Path) -> None:
    run, file = tmp_path / "run", tmp_path / "alerts.jsonl"
    arguments = ("read", captures, "--independent", "--workers", "2", "--run", run, "-o", file, "-q")
    assert read_with_kills(arguments, run, random.Random(of), of=of) == 0
    assert file.read_bytes() == (run / ALERTS).read_bytes() == expected


def test_a_run_that_is_killed_goes_on_where_it_was(captures: Path, expected: bytes, tmp_path: Path) -> None:
    run, chance = tmp_path / "run", random.Random(7)
    arguments = ("read", captures, "--independent", "--workers", "2", "--run", run, "-q")
    read_with_kills(arguments, run, chance, of="main")
    code = read_with_kills((*arguments, "--resume"), run, chance, of="main")
    assert code in (0, -signal.SIGKILL)
    parts = {path: path.stat().st_mtime_ns for path in run.glob("ends/*/*.json")}
    result = flowvigil(*arguments, "--resume")
    assert result.code == 0, result.stderr
    assert (run / ALERTS).read_bytes() == expected
    for path, before in parts.items():  # what was done is not done again
        assert path.stat().st_mtime_ns == before
    assert not list(run.rglob("*.part"))


def test_a_capture_that_has_changed_is_read_again_and_a_new_one_too(captures: Path, tmp_path: Path) -> None:
    own = tmp_path / "captures"
    own.mkdir()
    for name in ("net-1.pcap", "net-2.pcap"):
        (own / name).write_bytes((captures / name).read_bytes())
    run = tmp_path / "run"
    file = tmp_path / "alerts.jsonl"
    assert flowvigil("read", own, "--independent", "--run", run, "-o", file).code == 0
    had = file.read_bytes()
    (own / "net-2.pcap").write_bytes((captures / "net-3.pcap").read_bytes())
    (own / "net-5.pcap").write_bytes((captures / "net-5.pcap").read_bytes())
    assert flowvigil("read", own, "--independent", "--run", run, "--resume", "-o", file).code == 0
    assert (run / ALERTS).read_bytes() == one_by_one(sorted(own.iterdir()))
    # the outputs get what they have not had, numbered on
    news = one_by_one([own / "net-1.pcap", captures / "net-2.pcap", own / "net-2.pcap", own / "net-5.pcap"])
    assert file.read_bytes() == had + b"".join(news.splitlines(keepends=True)[had.count(b"\n") :])


@pytest.fixture(scope="module")
def used(captures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a run that has ended."""
    run = tmp_path_factory.mktemp("used") / "run"
    assert flowvigil("read", captures / "net-0.pcap", "--independent", "--run", run).code == 0
    return run


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (("--resume",), 2, "--resume: expected it with --independent"),
        (("--independent", "--resume"), 2, "--resume: expected --run DIR with it"),
        (("--independent", "/dev/stdin"), 2, "found /dev/stdin, which is one stream"),
        (("--independent", "--keep-packets", "{captures}"), 7, "which is to be read, expected another directory"),
        (("--independent", "--run", "{used}"), 7, "found a run, expected an empty directory, or --resume"),
        (("--independent", "--run", "{used}", "--resume", "--set", "meter.idle_timeout_s=60"), 3, "of other settings"),
        (("--independent", "--run", "{used}", "--resume", "-m", "cic2017"), 3, "of another bundle"),
        (("--independent", "--run", "{empty}", "--resume"), 3, "expected one that was begun with --run"),
        (("--independent", "-m", "nosuch"), 4, "found no such directory"),
        (("--independent", "--filter", "prot 5"), 3, "prot 5"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    more: tuple[str, ...], code: int, words: str, captures: Path, used: Path, tmp_path: Path
) -> None:
    given = [word.format(used=used, empty=tmp_path / "empty", captures=captures) for word in more]
    result = flowvigil("read", captures / "net-0.pcap", *given)
    assert result.code == code, result.stderr
    assert words in "\n".join(result.stderr)


def test_two_runs_do_not_share_a_directory(captures: Path, tmp_path: Path) -> None:
    silent, run = tmp_path / "silent.pcap", tmp_path / "run"
    os.mkfifo(silent)
    with silent.open("r+b", buffering=0):
        command = [*FLOWVIGIL, "read", str(silent), "--independent", "--run", str(run), "-q"]
        first = subprocess.Popen(command, env=surroundings(), stderr=subprocess.PIPE)
        try:
            deadline = time.monotonic() + 60
            while not (run / "run.json").exists():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            second = flowvigil("read", captures, "--independent", "--run", run, "--resume")
            first.send_signal(signal.SIGINT)
            assert first.wait(30) == 130
        finally:
            first.kill()
            first.wait()
    assert second.code == 7
    assert "used by another process of flowvigil" in "\n".join(second.stderr)


def test_lines_that_an_output_lost_come_with_the_next_run(captures: Path, tmp_path: Path) -> None:
    run, file = tmp_path / "run", tmp_path / "alerts.jsonl"
    arguments = ("read", captures / "net-0.pcap", "--independent", "--run", run, "-q", "-o")
    assert flowvigil(*arguments, "/dev/full").code == 7
    assert flowvigil(*arguments, file, "--resume").code == 0
    assert file.read_bytes() == (run / ALERTS).read_bytes() != b""

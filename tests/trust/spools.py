"""What may be done to the spool of an output, before a run and while it runs, and what it costs."""

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from unittest import mock

from sensor.errors import OutputError
from sensor.outputs.delivery import Delivery
from sensor.outputs.outputs import write_all
from sensor.outputs.spool_directory import MARK
from sensor.outputs.transport import ANY_LENGTH
from tests.trust.claim import Claim, Outcome
from tests.trust.lines import LONG_S, alerts, files_end_at

OLD, WAITING, FRESH = 40, 20, 20  # lines: of an earlier run, of this one before and after the receiver is back
SMALL: Final = 6000  # bytes of a segment here, so that there are several
LONGEST_S: Final = 10.0  # that a run may take, whatever was done to its spool

Attack = Callable[[Path, random.Random], None]


class Receiver:
    """A transport with its receiver, which is away until it is there."""

    forever = tells_by_writing = acknowledges = False
    missing = 0
    poll_s: float | None = 0.05
    longest = ANY_LENGTH
    longest_pause_s = 0.2

    def __init__(self) -> None:
        self.there = False
        self.got: list[bytes] = []
        self._confirmed = 0

    def connect(self) -> None:
        if not self.there:
            raise ConnectionRefusedError("away")

    def offer(self, messages: Sequence[bytes]) -> None:
        self.got += messages
        self._confirmed += len(messages)

    def flush(self, wait_s: float) -> None: ...

    def idle(self) -> bool:
        return True

    def confirmed(self, now_s: float) -> int:  # noqa: ARG002  the contract's
        confirmed, self._confirmed = self._confirmed, 0
        return confirmed

    def finish(self, wait_s: float) -> int:  # noqa: ARG002  the contract's
        return self.confirmed(0.0)

    def break_off(self) -> None: ...


def segments(spool: Path) -> list[Path]:
    """What the sensor has written there."""
    return sorted(path for path in spool.glob("*.jsonl") if path.is_file())


def flip_bits(spool: Path, chance: random.Random) -> None:
    """Some bits of a segment are others."""
    path = chance.choice(segments(spool))
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 1, 3, 40))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def cut(spool: Path, chance: random.Random) -> None:
    """A segment ends anywhere."""
    path = chance.choice(segments(spool))
    os.truncate(path, chance.randrange(path.stat().st_size))


def zeros(spool: Path, chance: random.Random) -> None:
    """A block of a segment is gone."""
    path = chance.choice(segments(spool))
    content = bytearray(path.read_bytes())
    at = chance.randrange(len(content))
    content[at : at + 512] = bytes(len(content[at : at + 512]))
    path.write_bytes(content)


def append_rubbish(spool: Path, chance: random.Random) -> None:
    """Somebody else writes to a segment."""
    with chance.choice(segments(spool)).open("ab") as out:
        out.write(chance.choice((b"rubbish\n", b"half", b"\0" * 5000, b'{"forged":1}\n', b"\n\n\n")))


def hole(spool: Path, chance: random.Random) -> None:
    """A segment is missing."""
    chance.choice(segments(spool)).unlink()


def another_kind(path: Path, chance: random.Random) -> None:
    """Something in the place of a file: a pipe, a directory, a link, a device, a sparse gigabyte."""
    kind = chance.choice(("pipe", "directory", "link", "nowhere", "device", "sparse", "empty", "rubbish"))
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        (path / "below").mkdir(parents=True)
    elif kind == "sparse":
        path.touch()
        os.truncate(path, 3 << 30)
    elif kind in ("empty", "rubbish"):
        path.write_bytes(b"" if kind == "empty" else chance.randbytes(3000))
    else:
        path.symlink_to({"link": "/etc/passwd", "nowhere": "nowhere", "device": "/dev/zero"}[kind])


def another_segment(spool: Path, chance: random.Random) -> None:
    """Something else in the place of a segment."""
    another_kind(chance.choice(segments(spool)), chance)


def another_file(spool: Path, chance: random.Random) -> None:
    """Something else in the place of a file beside the segments."""
    name = chance.choice((MARK, f"{MARK}.new", "lock", "format", "format.new"))
    another_kind(spool / name, chance)


def next_segment(spool: Path, chance: random.Random) -> None:
    """Something where the next segments are to be."""
    last = int(segments(spool)[-1].stem)
    for number in range(last + 1, last + 4):
        another_kind(spool / f"{number:08d}.jsonl", chance)


def wrong_mark(spool: Path, chance: random.Random) -> None:
    """A mark that says anything."""
    first = segments(spool)[0]
    size = first.stat().st_size
    (spool / MARK).write_text(
        chance.choice(
            (
                f"{int(first.stem)} {size + 1}\n", f"{int(first.stem)} {size // 3}\n", f"{int(first.stem)} -5\n",
                f"-1 {size}\n", f"{10**11 + 1} 0\n", f"{10**40} {10**40}\n", "999999999 0\n", "1\n", "\u0661 \u0662\n",
                "x y\n", "1 0 00000000\n", f"{int(first.stem)} {size} deadbeef\n", "0 0\n", "nan inf\n", "", "\0" * 30,
            )
        ),
        encoding="utf-8",
    )  # fmt: skip


def foreign_names(spool: Path, chance: random.Random) -> None:
    """Names like those of segments."""
    name = chance.choice(
        (
            "9" * 200, "99999999999", "999999999999", "100000000000", "-0000001", "00000000", "0000001", "\u0661" * 8,
            "1e9", "+0000001", "00000001 ", " 0000001", "0x000001", "\u00b2" * 8, "00000001.jsonl",
        )
    )  # fmt: skip
    (spool / f"{name}.jsonl").write_bytes(chance.choice((b"", b"rubbish\n", b"half")))


def many_names(spool: Path, _chance: random.Random) -> None:
    """Hundreds of things that are none of ours."""
    for number in range(300):
        (spool / f"foreign-{number}.jsonl").touch()


def directory_removed(spool: Path, _chance: random.Random) -> None:
    """The spool is gone."""
    shutil.rmtree(spool)


def directory_replaced(spool: Path, chance: random.Random) -> None:
    """Another directory has its name."""
    spool.rename(spool.with_name(f"moved-{chance.random()}"))
    spool.mkdir()


# May be done at any time; those at the end cost what was in the spool without anybody being able to count it.
AT_ANY_TIME: Final[tuple[Attack, ...]] = (
    flip_bits, flip_bits, cut, zeros, append_rubbish, hole, another_segment, another_file, next_segment, wrong_mark,
    wrong_mark, foreign_names, many_names, directory_removed, directory_replaced,
)  # fmt: skip


def spool_attacks(scale: float) -> Outcome:
    """Each of them before a run and while it runs."""
    tries, failures, slowest_s = 0, [], 0.0
    for number in range(max(1, round(8 * scale))):
        for attack in AT_ANY_TIME:
            for running in (False, True):
                tries += 1
                began_s = time.monotonic()
                why = attacked(attack, random.Random(1000 * number + tries), running=running)
                slowest_s = max(slowest_s, time.monotonic() - began_s)
                if why:
                    when = "in a run" if running else "before a run"
                    failures.append(f"{attack.__name__} {when}, seed {1000 * number + tries}: {why}")
    for size in range(0, 20_000, max(1, round(400 / scale))):
        tries += 1
        why = full(size)
        if why:
            failures.append(f"{size} bytes of room for a segment: {why}")
    return Outcome(tries, failures, f"slowest {slowest_s:.1f} s")


def spooled(spool: Path, receiver: Receiver) -> Delivery:
    """An output with this spool."""
    return Delivery("receiver", receiver, None, queue_bytes=1 << 20, spool=spool, spool_bytes=8 << 20)


def attacked(attack: Attack, chance: random.Random, *, running: bool) -> str:
    """What is wrong after an attack, or ""."""
    with _spools() as directory:
        spool = directory / "spool"
        before = spooled(spool, Receiver())
        old = alerts(1, OLD)
        for first in range(0, OLD, 5):
            write_all((before,), old[first : first + 5])
            _until(lambda done=first + 5: before.state().spooled == done)
        before.begin_close(0.0)
        before.join()
        if not running:
            attack(spool, chance)
        receiver = Receiver()
        try:
            output = spooled(spool, receiver)
        except OutputError as error:
            return f"does not start: {error}"
        return _delivered(output, receiver, old, lambda: attack(spool, chance) if running else None)


def full(size: int) -> str:
    """What is wrong after a run whose disk takes no more than so many bytes of a segment, or ""."""
    with _spools() as directory:
        receiver = Receiver()
        output = spooled(directory / "spool", receiver)
        limit = ExitStack()
        limit.enter_context(files_end_at(size))
        try:
            why = _delivered(output, receiver, [], lambda: None)
        finally:
            limit.close()
        return why or (f"{output.status.lost} lines lost though memory had room" if output.status.lost else "")


def _delivered(output: Delivery, receiver: Receiver, old: list[bytes], attack: Callable[[], None]) -> str:
    """Write, attack, have the receiver back, write more and end; what is wrong, or ""."""
    began_s = time.monotonic()
    waiting, fresh = alerts(101, WAITING), alerts(201, FRESH)
    write_all((output,), waiting)
    _until(lambda: not output.state().queued or time.monotonic() > began_s + 1)
    attack()
    receiver.there = True
    write_all((output,), fresh)
    output.go_on()
    output.begin_close(LONG_S)
    output.join()
    known = [*old, *waiting, *fresh]
    if time.monotonic() - began_s > LONGEST_S:
        return f"took {time.monotonic() - began_s:.1f} s"
    if strange := [line for line in receiver.got if line not in known]:
        return f"sent {strange[0][:60]!r}, which nobody wrote"
    if [line for line in receiver.got if line in fresh] != fresh:
        return f"{FRESH - len(set(receiver.got) & set(fresh))} of {FRESH} lines written later did not arrive"
    if output.failed:
        return "the output is over"
    missing = len(known) - len(set(receiver.got))
    if missing and output.status.lost and "spool" not in output.status.spool_problem:
        return f"{missing} lines lost, and told {output.status.problem!r}"
    return ""


def _until(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + LONG_S
    while not true() and time.monotonic() < end_s:
        time.sleep(0.001)


@contextmanager
def _spools() -> Iterator[Path]:
    """A directory for spools of small segments."""
    with mock.patch("sensor.outputs.spool.SEGMENT_BYTES", SMALL), tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


CLAIMS: Final = (
    Claim(
        "spool-attacks",
        "Whatever is done to an output's spool, before a run or while it runs, costs at most what is in it: nothing "
        "is sent that nobody wrote, and every later line arrives.",
        "attacks",
        spool_attacks,
        alone=True,
        minutes=1.5,
    ),
)

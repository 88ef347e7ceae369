"""Many captures, each read for itself, while processes are killed and among captures that are meant to do harm."""

import gzip
import os
import re
import signal
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from random import Random

from sensor.jobs.run_directory import ALERTS
from tests.support.command import FLOWVIGIL, surroundings
from tests.trust.claim import Claim, Outcome
from tests.trust.kills import moved, write_synthetic

BASES = 8  # captures that all others are copies of, moved in time
SCENARIOS = ("portscan", "ssh-guessing", "udp-sweep", "echo-sweep")
PATIENCE_S = 5
LEAST_BYTES = 1 << 28  # that jobs.memory_bytes may be
FLOOD_FLOWS = 600_000
KILLS = {"run": 25, "pool": 50, "reader": 100}  # of each kind, as long as there is something to read
KILL_EVERY_S = 2.0
SETTLED_S, A_CAPTURE_S = 600.0, 0.5  # in which a run ends: at least, and more for each capture
_SEQUENCE = re.compile(rb'"sequence":\d+')


def many_captures(scale: float) -> Outcome:
    """Small captures in a run that is killed, or has its pool or a reader killed, every few seconds."""
    count, chance, failures = max(10, round(10_000 * scale)), Random(20), list[str]()
    wanted = {kind: max(3, round(number * scale)) for kind, number in KILLS.items()}
    kills = dict.fromkeys(wanted, 0)
    with tempfile.TemporaryDirectory(prefix="trust-islands-") as scratch:
        captures = Path(scratch) / "captures"
        captures.mkdir()
        make_captures(captures, count)
        began = time.monotonic()
        code, errors = ended_by_itself([captures, "--run", Path(scratch) / "undisturbed"], count)
        undisturbed_s = time.monotonic() - began
        failures += [f"the undisturbed run ended with {code}: {errors[-200:]}"] * (code != 0)
        expected = digest(Path(scratch) / "undisturbed" / ALERTS)
        run, output = Path(scratch) / "run", Path(scratch) / "alerts.jsonl"
        every_s, began = min(KILL_EVERY_S, undisturbed_s / 8), time.monotonic()
        code, errors = -1, "no run ended by itself"
        for _ in range(sum(wanted.values()) + 2):
            resumed = ["--resume"] * (run / "run.json").exists()  # it may be killed before it has begun
            with started_run([captures, "--run", run, "-o", output, *resumed]) as process:
                over = killed(process, chance, kills, wanted, every_s, settled_s(count))
            if over is not None:
                code, errors = over
                if code != 6:  # a reader was killed twice at one capture, which the next run reads
                    break
        disturbed_s = time.monotonic() - began
        failures += [f"the last run ended with {code}: {errors[-200:]}"] * (code != 0)
        if digest(run / ALERTS) != expected:
            failures.append("other lines than without kills")
        if len(list(run.glob("ends/*/*.json"))) != count:
            failures.append("not every capture has an end")
        if left := [path.name for path in run.rglob(".*")]:
            failures.append(f"left behind: {left[:3]}")
    parts = ", ".join(f"{number} of the {kind}" for kind, number in kills.items())
    figure = (
        f"{count:,} captures in {undisturbed_s:.0f} s, killed in {disturbed_s:.0f} s: {parts}; SHA-256 {expected[:12]}…"
    )
    return Outcome(sum(kills.values()), failures, figure)


def killed(
    process: "subprocess.Popen[bytes]",
    chance: Random,
    kills: dict[str, int],
    wanted: dict[str, int],
    every_s: float,
    settled_s: float,
) -> tuple[int, str] | None:
    """Kill something of a run now and then; exit code and stderr where it ended by itself, None where it did not."""
    deadline = time.monotonic() + settled_s
    while time.monotonic() < deadline:
        with suppress(subprocess.TimeoutExpired):
            errors = process.communicate(timeout=chance.uniform(0.3, 1.7) * every_s)[1]
            return process.returncode, errors.decode(errors="replace")
        due = [kind for kind, number in kills.items() if number < wanted[kind]]
        if not due:
            continue
        kind = chance.choice(due)
        pools = children_of(process.pid)
        victims = {"run": [process.pid], "pool": pools, "reader": [c for pool in pools for c in children_of(pool)]}[
            kind
        ]
        if not victims:
            continue
        kills[kind] += 1
        with suppress(ProcessLookupError):
            os.kill(chance.choice(victims), signal.SIGKILL)
        if kind == "run":
            process.communicate(timeout=60)
            return None
    process.kill()
    return process.wait(), f"not ended after {settled_s:.0f} s"


def settled_s(captures: int) -> float:
    """In how many seconds a run over so many small captures has ended, on a busy machine."""
    return SETTLED_S + A_CAPTURE_S * captures


def hostile_captures(scale: float) -> Outcome:
    """A thousand captures, twenty of which hang, swell, have their reader killed, are cut off or are none."""
    healthy, failures = max(4, round(980 * scale)), list[str]()
    each = 4 if scale >= 0.5 else 1
    with tempfile.TemporaryDirectory(prefix="trust-hostile-") as scratch, ExitStack() as stack:
        captures, room = Path(scratch) / "captures", Path(scratch)
        captures.mkdir()
        make_captures(captures, healthy)
        began = time.monotonic()
        code, errors = ended_by_itself([captures, "--run", room / "alone"], healthy)
        alone_s = time.monotonic() - began
        failures += [f"without hostile ones it ended with {code}: {errors[-200:]}"] * (code != 0)
        expected = without_numbers((room / "alone" / ALERTS).read_bytes())
        hostile = make_hostile(stack, room, (captures / "00000.pcap").read_bytes(), each)
        limit = LEAST_BYTES + (150 << 20)
        settings = [f"jobs.patience_s={PATIENCE_S}", f"jobs.memory_bytes={limit}"]
        options: list[str | Path] = [
            "--run",
            room / "run",
            *(word for setting in settings for word in ("--set", setting)),
        ]
        stop = threading.Event()
        killer = threading.Thread(
            target=kill_readers_of, args=([path for path, way in hostile.items() if way == "SIGKILL"], stop)
        )
        killer.start()
        began = time.monotonic()
        try:
            names = list(hostile)
            half = len(names) // 2
            code, errors = ended_by_itself([*names[:half], captures, *names[half:], *options], healthy + len(names))
        finally:
            stop.set()
            killer.join()
        taken_s = time.monotonic() - began
        if code != 6:
            failures.append(f"it ended with {code}")
        told = errors.splitlines()
        for path, way in hostile.items():
            if not any(str(path) in line and way in line for line in told):
                failures.append(f"{path.name} is not named ({way or 'damaged'})")
        lines = (room / "run" / ALERTS).read_bytes().splitlines(keepends=True)
        own = b"".join(line for line in lines if str(captures).encode() in line)
        if without_numbers(own) != expected:
            failures.append("the others have other lines than without hostile ones")
    figure = (
        f"{healthy + len(hostile):,} captures, {len(hostile)} hostile: {taken_s:.0f} s, without them {alone_s:.0f} s"
    )
    return Outcome(len(hostile), failures, figure)


def make_hostile(stack: ExitStack, room: Path, capture: bytes, each: int) -> dict[Path, str]:
    """So many of five kinds, with what is to be told of them; in the order in which they are to be named."""
    silent = [fifo(stack, room / f"silent-{number}.pcap", b"") for number in range(each)]
    stalled = [fifo(stack, room / f"stalled-{number}.pcap", capture[: len(capture) // 2]) for number in range(each)]
    dying = [fifo(stack, room / f"dying-{number}.pcap", b"") for number in range(each)]
    swelling = [room / f"flood-{number}.pcap.gz" for number in range(each)]
    damaged = [room / "text.pcap", *(room / f"cut-{number}.pcap.gz" for number in range(each - 1))]
    flood, packed = gzip.compress(flood_of(FLOOD_FLOWS), 1), gzip.compress(capture)
    for path in swelling:
        path.write_bytes(flood)
    damaged[0].write_text("no capture\n")
    for number, path in enumerate(damaged[1:], 1):
        path.write_bytes(packed[: len(packed) * number // each])
    told = ((silent, "stood still"), (stalled, "stood still"), (dying, "SIGKILL"), (swelling, "MB of memory"))
    return {path: way for paths, way in (*told, (damaged, "")) for path in paths}


def make_captures(directory: Path, count: int) -> None:
    """So many small captures with an attack each, no two alike."""
    bases = []
    for seed, scenario in zip(range(BASES), SCENARIOS * BASES, strict=False):
        base = directory.parent / f"base-{seed}.pcap"
        write_synthetic(base, "--scenario", scenario, "--minutes", "0.2", "--seed", str(seed))
        bases.append(base.read_bytes())
    for number in range(count):
        content = moved(bases[number % BASES], 60 * (number // BASES))
        (directory / f"{number:05}.pcap").write_bytes(content)


def flood_of(flows: int) -> bytes:
    """SYNs from as many forged addresses, each a flow, as a capture."""
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 64, 1)
    ethernet = bytes(12) + b"\x08\x00"
    tail = struct.pack(">4sHHIIBBHHH", bytes((10, 0, 0, 1)), 40_000, 80, 1, 0, 0x50, 0x02, 1024, 0, 0)
    packets = [header]
    for number in range(flows):
        ip = struct.pack(">BBHHHBBHI", 0x45, 0, 40, 0, 0, 64, 6, 0, 0x2D000000 + number * 7)
        packets.append(struct.pack("<IIII", 1_770_000_000 + number // 50_000, number % 50_000 * 20, 54, 54))
        packets.append(ethernet + ip + tail)
    return b"".join(packets)


def fifo(stack: ExitStack, path: Path, beginning: bytes) -> Path:
    """A pipe that somebody has open to write, and after its beginning never does."""
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    stack.callback(os.close, descriptor)
    if beginning:
        os.write(descriptor, beginning[:60_000])
    return path


def kill_readers_of(paths: Sequence[Path], stop: threading.Event) -> None:
    """Kill whatever of our own opens one of these for reading."""
    wanted = {str(path) for path in paths}
    while not stop.wait(0.05):
        for process in Path("/proc").glob("[0-9]*"):
            if int(process.name) == os.getpid():
                continue
            with suppress(OSError):
                if any(os.readlink(entry) in wanted for entry in (process / "fd").iterdir()):
                    os.kill(int(process.name), signal.SIGKILL)


def ended_by_itself(arguments: Sequence[str | Path], captures: int) -> tuple[int, str]:
    """The exit code and stderr of a run over so many captures that nobody kills."""
    with started_run(arguments) as process:
        try:
            errors = process.communicate(timeout=settled_s(captures))[1]
        except subprocess.TimeoutExpired:
            return -1, f"not ended after {settled_s(captures):.0f} s"
    return process.returncode, errors.decode(errors="replace")


@contextmanager
def started_run(arguments: Sequence[str | Path]) -> Iterator["subprocess.Popen[bytes]"]:
    """`read --independent` of these, gone at the end."""
    command = [*FLOWVIGIL, "read", *map(str, arguments), "--independent", "-q"]
    process = subprocess.Popen(command, env=surroundings(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def children_of(pid: int) -> list[int]:
    """Processes that a process has made."""
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def digest(path: Path) -> str:
    """SHA-256 of a file; of one that is not there nothing."""
    return sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def without_numbers(lines: bytes) -> bytes:
    """Lines without their numbers, which go on over the captures before."""
    return _SEQUENCE.sub(b'"sequence":0', lines)


CLAIMS = (
    Claim(
        "many-captures",
        "Ten thousand captures read each for itself end with the same lines, byte for byte, however often the run, its "
        "pool and its readers are killed on the spot and it goes on.",
        "kills",
        many_captures,
        minutes=15,
        alone=True,
        long=True,
    ),
    Claim(
        "hostile-captures",
        "Of a thousand captures read each for itself, twenty that hang, swell, have their reader killed, are cut off "
        "or are none are named; the others give what they give without them, and the run ends by itself with code 6.",
        "hostile captures",
        hostile_captures,
        minutes=3,
        alone=True,
    ),
)

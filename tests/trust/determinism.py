"""The claim that alerts and flows are a function of the packets: the same bytes whatever the circumstances of a run.

What is drawn anew for each run: how the packets come (a file, packed, standard input or a pipe in pieces with delays,
captures merged, a live capture in blocks of any size), how many of them are read and judged at once, whether side by
side, hash seeds, threads of libraries, what memory holds before it is used, the core, and stops in between.
"""

import gzip
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import zstandard

from sensor.process.kernel_cache import VARIABLE
from sensor.synth.generate import SCENARIOS, generate
from sensor.synth.pcap import pcap_bytes
from sensor.synth.truth import Packet
from tests.support import capture_bytes as form
from tests.trust.claim import Claim, Outcome

REPOSITORY: Final = Path(__file__).resolve().parents[2]
RUNS: Final = 100  # at scale 1
LIVE_SHARE: Final = 0.3  # of the runs, by live captures
MINUTES: Final = 1.5  # of traffic
# `read`, with as many bytes of a capture, and records to be judged, at once as the environment says.
READ: Final = """
import os, sys
import sensor.sources.captures.files as files
import sensor.run.ahead as ahead
import sensor.run.detection as detection
size = int(os.environ["TRIAL_BUFFER"])
files.open_capture.__defaults__ = tuple(
    size if value == files.BUFFER_BYTES else value for value in files.open_capture.__defaults__
)
ahead.RECORDS = detection._RECORDS = int(os.environ["TRIAL_RECORDS"])
from sensor.__main__ import main
main()
"""
LIBRARIES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
ZONES: Final = ("UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia")


@dataclass
class Trial:
    """One run and what was drawn for it."""

    chance: random.Random
    scratch: Path
    packets: Sequence[Packet]
    words: list[str] = field(default_factory=list)
    alerts: str = ""  # SHA-256 of the alerts alone

    def environment(self) -> dict[str, str]:
        """Variables that must not matter."""
        chance = self.chance
        threads = {name: str(chance.randint(1, 8)) for name in LIBRARIES}
        return {
            **os.environ, **threads, "PYTHONHASHSEED": str(chance.randrange(1 << 32)),
            "MALLOC_PERTURB_": str(chance.randrange(256)), "MALLOC_ARENA_MAX": str(chance.randint(1, 4)),
            "TZ": chance.choice(ZONES), "LC_ALL": chance.choice(("C", "C.UTF-8", "POSIX")),
            "TRIAL_BUFFER": str(chance.choice((70_000, 100_001, 1 << 20, 1 << 23))),
            "TRIAL_RECORDS": str(chance.choice((50, 333, 1024, 8192))), "COLUMNS": str(chance.randint(20, 300)),
        }  # fmt: skip

    def draw(self, name: str, choices: Sequence[str]) -> str:
        """One of the choices, which is told where the run differs."""
        chosen = self.chance.choice(choices)
        self.words.append(f"{name} {chosen}")
        return chosen

    def read(self) -> str:
        """SHA-256 of the alerts and flows of `read`."""
        out = self.scratch / "alerts.jsonl"
        out.unlink(missing_ok=True)
        way = self.draw("by", ("file", "gzip", "zstd", "pcapng", "stdin", "pipe", "merged"))
        command = [sys.executable, "-c", READ, "read", "-q", "-o", str(out), "--set", "episodes.flows_per_alert=20"]
        command += ["--workers", self.draw("with workers:", ("1", "2"))]
        if hasattr(os, "sched_setaffinity"):
            command = ["taskset", "-c", str(self.chance.choice(sorted(os.sched_getaffinity(0)))), *command]
        names, feed = self.inputs(way)
        process = subprocess.Popen(
            [*command, *names], env=self.environment(), cwd=REPOSITORY, stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin
        assert process.stderr
        if feed is not None:
            threading.Thread(target=feed, args=(process.stdin,), daemon=True).start()
        if self.chance.random() < 0.3:
            self.stop_now_and_then(process)
        said = process.stderr.read()
        if process.wait(timeout=300):
            raise RuntimeError(said.decode())
        content = out.read_bytes()
        lines = content.splitlines(keepends=True)
        self.alerts = digest_of(b"".join(line for line in lines if b'"kind":"alert"' in line))
        return digest_of(content)

    def inputs(self, way: str) -> tuple[list[str], Callable[..., None] | None]:
        """Names of the captures, and what feeds the process's standard input or a pipe."""
        content = pcap_bytes(self.packets, nanoseconds=True)
        path = self.scratch / "packets"
        path.unlink(missing_ok=True)
        if way == "merged":
            return list(self.shares(self.chance.randint(2, 5))), None
        if way == "stdin":
            return ["-"], lambda stdin: trickle(stdin, content, self.chance)
        if way == "pipe":
            os.mkfifo(path)
            return [str(path)], lambda _stdin: write_pipe(path, content, self.chance)
        packed = {
            "file": lambda: content, "gzip": lambda: gzip.compress(content, 1),
            "zstd": lambda: zstandard.ZstdCompressor().compress(content),
            "pcapng": lambda: form.pcapng([form.Packet(f, ts_ns, len(f)) for ts_ns, f in self.packets], digits=9),
        }  # fmt: skip
        path.write_bytes(packed[way]())
        return [str(path)], None

    def shares(self, count: int) -> Iterator[str]:
        """The packets over so many captures, by chance."""
        groups: list[list[Packet]] = [[] for _ in range(count)]
        for packet in self.packets:
            groups[self.chance.randrange(count)].append(packet)
        for number, group in enumerate(groups):
            path = self.scratch / f"share-{number}.pcap"
            path.write_bytes(pcap_bytes(group, nanoseconds=True))
            yield str(path)

    def stop_now_and_then(self, process: "subprocess.Popen[bytes]") -> None:
        """Stop the process for moments while it runs."""
        self.words.append("with stops")
        for _ in range(self.chance.randint(1, 5)):
            time.sleep(self.chance.random() * 0.4)
            if process.poll() is None:
                process.send_signal(signal.SIGSTOP)
                time.sleep(self.chance.random() * 0.1)
                process.send_signal(signal.SIGCONT)

    def live(self) -> str:
        """SHA-256 of the alerts of a live capture of the same packets."""
        workers = self.draw("live with workers:", ("1", "2", "3", "4"))
        path = self.scratch / "live.pcap"
        path.write_bytes(pcap_bytes(self.packets, nanoseconds=True))
        command = [sys.executable, "-m", "tests.trust.live_trial", str(path), workers, str(self.chance.randrange(1000))]
        done = subprocess.run(
            command, env=self.environment(), cwd=REPOSITORY, capture_output=True, timeout=300, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr.decode()[-500:])
        self.alerts = done.stdout.decode().strip()
        return self.alerts


def digest_of(content: bytes) -> str:
    """SHA-256, and how many lines there were."""
    return f"{hashlib.sha256(content).hexdigest()} of {content.count(chr(10).encode())} lines"


def trickle(stream: "object", content: bytes, chance: random.Random) -> None:
    """Write in pieces of any size, with pauses."""
    largest = chance.choice((100, 5_000, 200_000))
    at = 0
    while at < len(content):
        size = chance.randint(1, largest)
        stream.write(content[at : at + size])  # type: ignore[attr-defined]
        at += size
        if chance.random() < 0.01:
            time.sleep(chance.random() * 0.01)
    stream.close()  # type: ignore[attr-defined]


def write_pipe(path: Path, content: bytes, chance: random.Random) -> None:
    """The same into a named pipe."""
    with path.open("wb", buffering=0) as stream:
        trickle(stream, content, chance)


def kernel_directory() -> str:
    """Where commands keep their kernels: numba may be here already, and READ loads it before the command chooses."""
    code = "import os; from sensor.process.kernel_cache import use_kernel_cache; use_kernel_cache(); "
    code += f"print(os.environ['{VARIABLE}'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def try_one_result(scale: float) -> Outcome:
    """So many runs; how `read` and a live capture each give more than one result."""
    os.environ[VARIABLE] = kernel_directory()
    packets = generate(SCENARIOS, 3, MINUTES).packets
    runs = max(2, round(RUNS * scale))
    found: dict[str, dict[str, list[str]]] = {"read": {}, "live": {}}
    alerts = Counter[str]()  # of both
    with tempfile.TemporaryDirectory(prefix="flowvigil-result-") as scratch:
        for number in range(runs):
            trial = Trial(random.Random(number), Path(scratch), packets)
            kind = "live" if number < runs * LIVE_SHARE else "read"
            result = trial.live() if kind == "live" else trial.read()
            found[kind].setdefault(result, []).append(f"run {number} ({', '.join(trial.words)})")
            alerts[trial.alerts] += 1
    failures = []
    for kind, results in found.items():
        usual = max(results.values(), key=len, default=[])
        failures += [
            f"{kind}: another result in {words}" for same in results.values() if same is not usual for words in same
        ]
    if len(alerts) > 1 and not failures:
        failures.append("a live capture has other alerts than read")
    counts = Counter(len(results) for results in found.values() if results)
    lines = next(iter(found["read"]), "nothing")
    return Outcome(runs, failures, f"SHA-256 {lines[:12]}… in every run" if set(counts) == {1} else f"{found.keys()}")


CLAIMS: Final = (
    Claim(
        "one-result",
        "The same packets give the same alerts and flows, byte for byte, however they come and are cut, whatever the "
        "threads, number of capture workers, hash seeds, delays and stops.",
        "runs",
        try_one_result,
        minutes=3.0,
    ),
)

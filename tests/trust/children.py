"""Processes that a command makes: however one ends it is known, its packets are accounted for, and none is left."""

import os
import random
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.support.namespaces import inside, joined_namespaces
from tests.support.packets import tcp
from tests.support.sensors import Watch, watching
from tests.trust.claim import Claim, NotTriedError, Outcome

PACKETS: Final = 3_000  # of a burst, which a worker has in its ring, in its meter or told of when it ends
FLOWS: Final = 300
NOTICED_S: Final = 1.0
ENDED_S: Final = 20.0  # on a busy machine


def signalled(number: signal.Signals) -> Callable[[int], None]:
    return lambda pid: os.kill(pid, number)


# How a worker ends, and whether the watch goes on, or has all workers end in order, so that nothing is lost.
WAYS: Final = {
    number.name: (signalled(number), number in {signal.SIGTERM, signal.SIGSTOP})
    for number in (
        signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGSTOP, signal.SIGABRT, signal.SIGBUS,
        signal.SIGXCPU, signal.SIGALRM,
    )
}  # fmt: skip


def worker_ends(scale: float) -> Outcome:
    """Ways of ending by numbers of workers, each with a burst of packets under way."""
    if os.geteuid():
        raise NotTriedError("needs root")
    chance, tries, failures, longest = random.Random(18), 0, [], 0.0
    with joined_namespaces() as namespaces, bursts(namespaces[0]) as send:
        for _ in range(max(1, round(scale))):
            for workers in (2, 4):
                for way in WAYS:
                    tries += 1
                    try:
                        longest = max(longest, end_one(namespaces[1], workers, way, chance, send))
                    except AssertionError as error:
                        failures.append(f"{way} of {workers}: {' '.join(str(error).split())[:300]}")
    return Outcome(tries, failures, f"noticed after {longest:.2f} s at most, every packet accounted for")


def end_one(namespace: str, workers: int, way: str, chance: random.Random, send: Callable[[], int]) -> float:
    """End one worker of a watch; seconds until that was told. Raises AssertionError."""
    act, harmless = WAYS[way]
    settings = ("--set", f"capture.workers={workers}", "--set", "stats.interval_s=1")
    with TemporaryDirectory() as name, watching(namespace, Path(name), *settings, write=False) as watch:
        Path(name).chmod(0o755)
        processes = children(watch.process.pid)
        assert len(processes) == workers, processes
        sent = send()
        time.sleep(chance.random() * 0.08)  # the kernel hands packets over after up to 0.05 s
        chosen = chance.choice(processes)
        act(chosen)
        acted = time.monotonic()
        seconds = told_after(watch, acted)
        assert seconds <= NOTICED_S, f"noticed after {seconds:.2f} s"
        if way == "SIGSTOP":
            assert state(chosen) not in "TZX", "it does not go on"
            watch.tell(signal.SIGTERM)
        gone_after(watch, acted, processes)
        check_account(watch, sent, harmless=harmless)
        assert watch.process.returncode == (0 if way == "SIGSTOP" else 5), watch.process.returncode
        return seconds


def told_after(watch: Watch, acted: float) -> float:
    """Seconds until an event about a worker stands in the file."""
    while time.monotonic() - acted < ENDED_S:
        if any(record["event"]["action"].startswith("worker-") for record in watch.records("sensor")):
            return time.monotonic() - acted
        time.sleep(0.01)
    raise AssertionError(f"nothing was told of it within {ENDED_S:.0f} s")


def gone_after(watch: Watch, acted: float, processes: list[int]) -> None:
    """Wait until the watch has ended; meanwhile no worker may be a zombie for long, and none may stay."""
    dead_s: dict[int, float] = {}
    while watch.process.poll() is None:
        now = time.monotonic()
        assert now - acted < ENDED_S, "the watch does not end"
        for pid in processes:
            if state(pid) == "Z":
                assert now - dead_s.setdefault(pid, now) < NOTICED_S, f"{pid} is a zombie"
        time.sleep(0.02)
    stderr = watch.process.communicate()[1].decode()
    assert "Traceback" not in stderr, stderr
    assert not [pid for pid in processes if state(pid) not in "ZX"], "a worker is left"


def check_account(watch: Watch, sent: int, *, harmless: bool) -> None:
    """Every packet that was sent is in the last account, and those that are lost are told of by number."""
    last = watch.records("stats")[-1]["flowvigil"]
    assert last["final"], last
    parts = last["metered"] + last["filtered"] + last["shed"] + last["dropped"] + sum(last["undecoded"].values())
    assert last["received"] == sent == parts, last
    assert last["waiting"] == last["difference"] == 0, last
    lost = last.get("lost_with_worker", 0)
    assert last["dropped"] == lost, last
    told = [record["flowvigil"]["message"] for record in watch.records("sensor")]
    if harmless:
        assert not lost, last
    else:
        number = re.search(r"\((.*)\): (no|[\d,]+) packets? ", " ".join(told))
        assert number, told
        assert int(number[2].replace("no", "0").replace(",", "")) == lost, (told, last)


@contextmanager
def bursts(namespace: str) -> Iterator[Callable[[], int]]:
    """Sends PACKETS at once from one end of a cable; says how many."""
    frames = []
    for number in range(PACKETS):
        flow = number % FLOWS
        ends = (f"10.7.0.{flow % 200 + 1}:{20000 + flow}", "10.8.0.1:443")
        flags = "S" if number < FLOWS else "PA"
        frames.append(tcp(*(ends if number // FLOWS % 2 == 0 else ends[::-1]), flags, payload=40).frame)
    with inside(namespace), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as packets:
        packets.bind(("fv0", 0))

        def send() -> int:
            for frame in frames:
                packets.send(frame)
            return len(frames)

        yield send


def parent_killed(scale: float) -> Outcome:
    """A watch of several workers is killed at a random moment: each of them ends with it."""
    if os.geteuid():
        raise NotTriedError("needs root")
    chance, failures, longest = random.Random(18), [], 0.0
    tries = max(1, round(20 * scale))
    with joined_namespaces() as namespaces, bursts(namespaces[0]) as send:
        for number in range(tries):
            settings = ("--set", f"capture.workers={chance.choice((2, 4))}")
            with TemporaryDirectory() as name, watching(namespaces[1], Path(name), *settings, write=False) as watch:
                processes = children(watch.process.pid)
                send()
                if number % 2:  # also one that stands still
                    os.kill(processes[0], signal.SIGSTOP)
                time.sleep(chance.random() * 0.1)
                watch.tell(signal.SIGKILL)
                killed = time.monotonic()
                while any(state(pid) not in "ZX" for pid in processes) and time.monotonic() - killed < 5:
                    time.sleep(0.005)
                seconds = time.monotonic() - killed
                longest = max(longest, seconds)
                if seconds > NOTICED_S:
                    failures.append(f"try {number}: a worker lived for {seconds:.1f} s")
                    for pid in processes:
                        with suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
    return Outcome(tries, failures, f"gone after {longest:.3f} s at most")


# What neither a watch nor a worker may end by, each followed by SIGCONT after a while.
PASSING: Final = (
    signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU,
    signal.SIGPIPE, signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH, signal.SIGURG, signal.SIGCHLD,
)  # fmt: skip
LONG_S: Final = 10.5  # longer than a worker may be silent


def passing_signals(scale: float) -> Outcome:
    """Signals to a watch and its workers at random moments, one of them, some or all at once, with packets coming."""
    if os.geteuid():
        raise NotTriedError("needs root")
    chance, tries, failures = random.Random(18), 0, []
    with joined_namespaces() as namespaces, bursts(namespaces[0]) as send:
        for number in range(max(1, round(6 * scale))):
            workers = (2, 4, 1)[number % 3]
            try:
                tries += pass_signals(namespaces[1], workers, chance, send, longest_s=0.0 if number % 3 else LONG_S)
            except AssertionError as error:
                failures.append(f"{workers} workers: {' '.join(str(error).split())[:300]}")
    return Outcome(tries, failures, "all packets metered, every watch ended in order")


def pass_signals(namespace: str, workers: int, chance: random.Random, send: Callable[[], int], longest_s: float) -> int:
    """Send signals to one watch, which then ends in order; how many. Raises AssertionError."""
    settings = ("--set", f"capture.workers={workers}", "--set", "stats.interval_s=1")
    with TemporaryDirectory() as name, watching(namespace, Path(name), *settings, write=False) as watch:
        Path(name).chmod(0o755)
        own = watch.process.pid
        all_of_them = [own, *children(own)]
        pauses = [*(chance.choice((0.05, 0.4, 0.9)) for _ in range(12)), *([longest_s] if longest_s else [])]
        sent = 0
        for pause_s in pauses:
            sent += send()
            whole = pause_s == longest_s
            number = signal.SIGSTOP if whole or chance.random() < 0.5 else chance.choice(PASSING)
            chosen = all_of_them if whole else chance.sample(all_of_them, chance.randint(1, len(all_of_them)))
            for pid in chosen:
                if number not in (signal.SIGHUP, signal.SIGUSR1) or pid == own:
                    os.kill(pid, number)
            time.sleep(pause_s)
            for pid in sorted(chosen) if whole else chosen:  # the watch first: its workers have told nothing yet
                os.kill(pid, signal.SIGCONT)
            time.sleep(chance.random() * 0.3)
        assert watch.process.poll() is None, watch.process.communicate()
        watch.tell(signal.SIGTERM)
        gone_after(watch, time.monotonic(), all_of_them[1:])
        check_account(watch, sent, harmless=True)
        assert watch.process.returncode == 0, watch.process.returncode
        return len(pauses)


def children(pid: int) -> list[int]:
    """Processes that a process has made, without those that have ended."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found if state(int(child)) not in "ZX"]


def state(pid: int) -> str:
    """Of a process, a letter of proc_pid_stat(5); X where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


CLAIMS: Final = (
    Claim(
        "worker-ends",
        "A capture worker that ends in any way is noticed within a second and reaped, and each of its packets is in "
        "the account or in the event that tells of the loss.",
        "workers ended",
        worker_ends,
        alone=True,
        minutes=1.5,
        needs="root",
    ),
    Claim(
        "parent-killed",
        "A watch that is killed on the spot leaves no worker behind, be it one that stands still.",
        "kills",
        parent_killed,
        alone=True,
        minutes=0.8,
        needs="root",
    ),
    Claim(
        "passing-signals",
        "What stops a watch or its workers and lets them go on, and signals that ask for nothing, cost no packet.",
        "signals",
        passing_signals,
        minutes=1.2,
        needs="root",
    ),
)

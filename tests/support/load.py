"""Load on a cable: packets sent at a rate by tcpreplay, and a count of them that owes nothing to the sensor."""

import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.capture_bytes import Packet, pcap
from tests.support.namespaces import inside
from tests.support.packets import tcp

SOL_PACKET, PACKET_STATISTICS, ETH_P_ALL = 263, 6, 3


FRAME_BYTES = 96


def sessions(path: Path, flows: int = 400, packets: int = 24, *, closed: bool = False) -> Path:
    """Capture of TCP segments that keep FRAME_BYTES on the wire: `flows` sessions side by side, data both ways.

    closed: they end with a FIN each way, so that over and over they are new flows, each of which is scored.
    """
    frames = []
    for number in range(packets):
        for flow in range(flows):
            client, server = f"10.7.{flow // 200}.{flow % 200 + 1}:{20000 + flow}", "10.8.0.1:443"
            ends = (client, server) if number % 2 == 0 else (server, client)
            flags = {0: "S", 1: "SA"} | ({packets - 3: "FA", packets - 2: "FA"} if closed else {})
            frames.append(tcp(*ends, flags.get(number, "PA"), payload=FRAME_BYTES - 54).frame)
    path.write_bytes(pcap([Packet(frame, i * 1000, len(frame)) for i, frame in enumerate(frames)]))
    return path


def replay(namespace: str, interface: str, capture: Path, *, packets_per_s: int, packets: int) -> int:
    """Send a capture over and over at a rate; returns how many packets were sent. Skips without tcpreplay."""
    if shutil.which("tcpreplay") is None:
        pytest.skip("needs tcpreplay")
    arguments = ["--preload-pcap", "--no-flow-stats", "--loop=0", f"--limit={packets}", f"--pps={packets_per_s}"]
    run = subprocess.run(
        ["ip", "netns", "exec", namespace, "tcpreplay", "-i", interface, *arguments, str(capture)],
        capture_output=True,
        text=True,
        timeout=30 + 3 * packets / packets_per_s,
        check=True,
    )
    found = re.search(r"Actual: (\d+) packets", run.stdout)
    assert found, run
    return int(found[1])


@contextmanager
def counted(namespace: str, interface: str) -> Iterator[list[int]]:
    """Counts what arrives at an interface with a socket that keeps nothing; the list holds the number afterwards."""
    count: list[int] = []
    with inside(namespace), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as packets:
        packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        packets.bind((interface, ETH_P_ALL))
        yield count
        # of the socket's two counters the first includes the second, what its buffer did not take
        received, _dropped = struct.unpack("II", packets.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        count.append(received)


@contextmanager
def stopped(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Keep every thread of a process stopped; it goes on afterwards."""
    os.killpg(process.pid, signal.SIGSTOP)
    deadline = time.monotonic() + 30
    while any(state != "T" for state in _thread_states(process.pid)):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGCONT)


def _thread_states(pid: int) -> list[str]:
    """State of each thread, a letter of proc_pid_stat(5)."""
    return [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]


@contextmanager
def throttled(process: "subprocess.Popen[bytes]", share: float, period_s: float = 0.05) -> Iterator[None]:
    """Stop and continue a process so that it runs for `share` of the time."""
    ended = threading.Event()

    def alternate() -> None:
        while not ended.is_set():
            os.killpg(process.pid, signal.SIGCONT)
            time.sleep(share * period_s)
            os.killpg(process.pid, signal.SIGSTOP)
            time.sleep((1 - share) * period_s)
        os.killpg(process.pid, signal.SIGCONT)

    thread = threading.Thread(target=alternate)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

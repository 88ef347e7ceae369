"""The other meters, each in its own environment or from the system's packages, over the same capture in one run."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.process import REPOSITORY, Usage, best_of, run

ENVIRONMENTS = REPOSITORY / ".venv" / "bench"

NFSTREAM = """
import sys
from nfstream import NFStreamer
if __name__ == "__main__":
    print(sum(1 for _ in NFStreamer(source=sys.argv[1], statistical_analysis=True, n_dissections=0, n_meters=1)))
"""
# As published, the command of 0.2.0 writes an empty file with a current scapy; its classes work when called directly.
CICFLOWMETER = """
import sys
from scapy.all import PcapReader
from cicflowmeter.flow_session import FlowSession
FlowSession.output_mode, FlowSession.output = "csv", sys.argv[2]
session = FlowSession()
for packet in PcapReader(sys.argv[1]):
    session.on_packet_received(packet)
session.garbage_collect(None)
print(session.packets_count)
"""


@dataclass(frozen=True)
class Peer:
    """Another meter. share: part of the capture's packets that it is given, since the slow ones would take hours."""

    name: str
    columns: str
    share: float
    command: Callable[[Path, Path], list[str]]


def environment(name: str, *requirements: str) -> str:
    """Interpreter of an environment that holds these packages and what they need, nothing else; made once."""
    home = ENVIRONMENTS / name
    python = str(home / "bin" / "python")
    if not (home / "installed").exists():
        run([sys.executable, "-m", "venv", str(home)])
        run([python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *requirements])
        (home / "installed").touch()
    return python


def from_pypi(package: str, code: str, capture: Path, scratch: Path) -> list[str]:
    """Command that runs code in an environment of its own that holds the package."""
    return [environment(package, package), "-c", code, str(capture), str(scratch / f"{package}.csv")]


def installed(program: str, *arguments: str) -> list[str]:
    """Command of a program of the system. Raises FileNotFoundError where it is missing."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if path is None:
        raise FileNotFoundError(f"{program} is not installed")
    return [path, *arguments]


PEERS: tuple[Peer, ...] = (
    Peer(
        "softflowd",
        "counters only",
        1,
        lambda capture, scratch: installed(
            *("softflowd", "-r", str(capture), "-d", "-m", "131072", "-n", "127.0.0.1:9", "-c", "none"),
            *("-p", str(scratch / "softflowd.pid")),
        ),
    ),
    Peer("argus", "counters only", 1, lambda capture, _: installed("argus", "-r", str(capture), "-w", "/dev/null")),
    Peer("nfstream", "77", 1, lambda capture, scratch: from_pypi("nfstream", NFSTREAM, capture, scratch)),
    Peer(
        "tshark",
        "conversations",
        0.1,
        lambda capture, _: installed("tshark", "-n", "-r", str(capture), "-q", "-z", "conv,ip"),
    ),
    Peer(
        "cicflowmeter (Python)",
        "82",
        0.01,
        lambda capture, scratch: from_pypi("cicflowmeter", CICFLOWMETER, capture, scratch),
    ),
)


def measured(peer: Peer, capture: Path, scratch: Path, repeats: int) -> Usage | str:
    """What a peer used over a capture, or why it could not be measured."""
    try:
        return best_of(repeats, peer.command(capture, scratch))
    except (OSError, RuntimeError) as error:
        return str(error)

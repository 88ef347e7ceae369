"""`flowvigil rehearse IFACE`: heard for a while, without privileges from then on, and nothing sent or left behind."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.synth.generate import generate
from sensor.synth.pcap import WHOLE, pcap_bytes
from sensor.synth.scenarios.normal import NORMAL
from tests.support.command import ended, started
from tests.support.namespaces import inside

pytestmark = [pytest.mark.live, pytest.mark.ux]

NOBODY = pwd.getpwnam("nobody").pw_uid


@pytest.fixture
def traffic(tmp_path: Path) -> Path:
    """An office's minutes, as a capture to be sent."""
    if shutil.which("tcpreplay") is None:
        pytest.skip("needs tcpreplay")
    path = tmp_path / "office.pcap"
    path.write_bytes(pcap_bytes(generate([NORMAL], 3, 3.0).packets, WHOLE))
    return path


def sent_by(namespace: str, interface: str) -> int:
    """Packets that an interface has sent."""
    with inside(namespace):
        lines = Path("/proc/thread-self/net/dev").read_text().splitlines()
    words = next(line.split() for line in lines if line.strip().startswith(f"{interface}:"))
    return int(words[10])


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that another user may write into, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        yield Path(directory)


def listening_in(directory: Path, namespace: str, *options: str) -> tuple[subprocess.Popen[bytes], Path]:
    """The command once it listens, and the file that it writes to."""
    around = {"TMPDIR": str(directory), "SUDO_UID": "", "SUDO_GID": ""}
    command = started("rehearse", "fv1", *options, "--set", "process.user=nobody", namespace=namespace, **around)
    deadline = time.monotonic() + 60
    while not (kept := list(directory.glob("flowvigil-*/*.pcapng"))):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return command, kept[0]


def test_attacks_are_rehearsed_in_what_an_interface_hears_and_nothing_is_sent(
    namespaces: tuple[str, str], traffic: Path, open_directory: Path
) -> None:
    left, right = namespaces
    command, kept = listening_in(open_directory, right, "--for", "15s", "--json")
    assert (kept.stat().st_uid, kept.parent.stat().st_mode & 0o777) == (NOBODY, 0o700)
    before = sent_by(right, "fv1")
    replay = ["ip", "netns", "exec", left, "tcpreplay", "-q", "-i", "fv0", "--multiplier", "40", str(traffic)]
    subprocess.run(replay, check=True, capture_output=True, timeout=60)
    stdout, stderr = command.communicate(timeout=120)
    result = ended(command.returncode, stdout, stderr)
    assert sent_by(right, "fv1") == before
    assert os.listdir(open_directory) == []
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert (result.code, records[-1]["kind"]) == (0, "all"), result
    assert records[-1]["packets"] > 3000
    assert records[-1]["found"] > 15


def test_an_interrupt_ends_the_listening_and_silence_is_refused(
    namespaces: tuple[str, str], open_directory: Path
) -> None:
    command, _ = listening_in(open_directory, namespaces[1], "--for", "1h")
    time.sleep(0.5)
    command.send_signal(signal.SIGINT)
    stdout, stderr = command.communicate(timeout=60)
    result = ended(command.returncode, stdout, stderr)
    assert (result.code, result.stdout) == (6, b"")
    assert "fv1: found 0 packets and no flow in them" in result.stderr[-1]
    assert os.listdir(open_directory) == []

"""`flowvigil rehearse IFACE`: heard for a while, without privileges from then on, and nothing sent or left behind."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from sensor.synth.generate import generate
from sensor.synth.pcap import WHOLE, pcap_bytes
from sensor.synth.scenarios.normal import NORMAL
from tests.support.command import ended, started
from tests.support.namespaces import inside

pytestmark = [pytest.mark.live, pytest.mark.ux]


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


def test_attacks_are_rehearsed_in_what_an_interface_hears_and_nothing_is_sent(
    namespaces: tuple[str, str], traffic: Path
) -> None:
    left, right = namespaces
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        command = started("rehearse", "fv1", "--for", "8s", "--json", "--set", "process.user=nobody",
                          namespace=right, TMPDIR=directory, SUDO_UID="", SUDO_GID="")  # fmt: skip
        deadline = time.monotonic() + 60
        while not (kept := list(Path(directory).glob("flowvigil-*/*.pcapng"))) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (kept[0].stat().st_uid, kept[0].parent.stat().st_mode & 0o777) == (65534, 0o700)
        before = sent_by(right, "fv1")
        replay = ["ip", "netns", "exec", left, "tcpreplay", "-q", "-i", "fv0", "--multiplier", "40", str(traffic)]
        subprocess.run(replay, check=True, capture_output=True, timeout=60)
        result = ended(command.wait(120), *command.communicate())
        assert sent_by(right, "fv1") == before
        assert os.listdir(directory) == []
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert (result.code, records[-1]["kind"]) == (0, "all"), result
    assert records[-1]["packets"] > 3000
    assert records[-1]["found"] > 15

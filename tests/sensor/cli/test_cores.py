"""One stream of captures on several cores: the bytes of one core, and one line where something is wrong."""

import gzip
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from sensor.synth.catalogue import dns_tunnel, http_flood, udp_sweep
from sensor.synth.generate import generate
from sensor.synth.pcap import pcap_bytes
from tests.support.command import DEMO, flowvigil, launched, surroundings

pytestmark = pytest.mark.ux

NAMES = ("--set", "meter.seen_names=true", "--set", "episodes.flows_per_alert=5")
PATIENCE_S = 60.0


def read(*arguments: str | Path, cores: int, code: int = 0) -> tuple[bytes, list[str]]:
    """Lines and words of a read."""
    done = flowvigil("read", "--workers", str(cores), "--json", *arguments)
    assert done.code == code, done
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captures of one time: the demo, which is cut short, and what is no capture at all."""
    directory = tmp_path_factory.mktemp("hostile")
    whole = gzip.decompress(DEMO.read_bytes())
    (directory / "cut.pcap").write_bytes(whole[: len(whole) - 7])
    (directory / "b.pcap.gz").write_bytes(DEMO.read_bytes())
    (directory / "bomb.pcap.gz").write_bytes(gzip.compress(whole[:24] + b"\xff" * 1000))
    return directory


@pytest.mark.parametrize("more", [(), NAMES, ("--filter", "tcp"), ("-m", "cic2017")])
def test_two_cores_give_the_bytes_of_one(more: tuple[str, ...]) -> None:
    alone, said = read(DEMO, *more, cores=1)
    assert alone.count(b"\n") > 3
    beside, words = read(DEMO, *more, cores=2)
    assert beside == alone
    assert [line.rsplit(", ", 1)[0] for line in words] == [line.rsplit(", ", 1)[0] for line in said]  # not the time


def test_what_cannot_be_read_is_told_as_on_one_core(hostile: Path) -> None:
    alone, said = read(hostile, cores=1, code=6)
    assert any("cut.pcap" in line for line in said)
    assert any("bomb.pcap.gz" in line for line in said)
    beside, words = read(hostile, cores=2, code=6)
    assert beside == alone
    assert [line for line in words if ".pcap" in line] == [line for line in said if ".pcap" in line]
    missing = flowvigil("read", "nosuch.pcap", "--workers", "2")
    assert (missing.code, len(missing.stderr)) == (6, 1)


def test_packets_of_alerts_and_flows_are_kept_as_on_one_core(tmp_path: Path) -> None:
    for cores in (1, 2):
        kept, flows = tmp_path / f"kept-{cores}", tmp_path / f"flows-{cores}"
        read(DEMO, "--keep-packets", kept, cores=cores)
        read(DEMO, "--flows", flows, cores=cores)
    kept = [{path.name: path.read_bytes() for path in (tmp_path / f"kept-{n}").iterdir()} for n in (1, 2)]
    assert len(kept[0]) > 3
    assert kept[0] == kept[1]
    tables = [flowvigil("flows", tmp_path / f"flows-{n}", "--limit", "100000").stdout for n in (1, 2)]
    assert tables[0].count(b"\n") > 1000
    assert tables[0] == tables[1]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_in_order_and_leaves_whole_lines(sent: signal.Signals, tmp_path: Path) -> None:
    captures = tmp_path / "captures"
    captures.mkdir()
    for number in range(100):
        shutil.copy(DEMO, captures / f"{number}.pcap.gz")
    file = tmp_path / "alerts.jsonl"
    process = launched(
        ("read", captures, "--workers", "2", "-o", file), (), surroundings(), start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE_S
    while not (file.exists() and file.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, sent)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, said
    assert "Traceback" not in said.decode()
    assert file.read_bytes().endswith(b"\n")


def test_floods_sweeps_and_tunnels_give_the_same_on_two_cores(tmp_path: Path) -> None:
    capture = tmp_path / "made.pcap"
    made = generate([udp_sweep(), http_flood(), dns_tunnel()], seed=5, minutes=3.0)
    capture.write_bytes(pcap_bytes(made.packets))
    alone, _ = read(capture, *NAMES, cores=1)
    assert alone.count(b"\n") > 3
    assert read(capture, *NAMES, cores=2)[0] == alone


def test_a_page_about_captures_is_the_same_on_two_cores(tmp_path: Path) -> None:
    pages = []
    for cores in (1, 2):
        page = tmp_path / "page.html"
        assert flowvigil("report", "--workers", str(cores), DEMO, "-o", page).code == 0
        pages.append(page.read_bytes())
    assert pages[0].count(b"\n") > 50
    assert pages[0] == pages[1]

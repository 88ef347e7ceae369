"""A running watch takes another bundle: no packet is lost, and what is open stays open."""

import os
import shutil
import signal
import socket
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.cli.build import bundle_path
from sensor.files.exchange import exchange
from tests.support.load import replay, sessions
from tests.support.namespaces import SCANNER, SERVER, inside, ip
from tests.support.sensors import Watch, watching

pytestmark = pytest.mark.live

EXCHANGES = 6
RATE, PACKETS = 4_000, 40_000


@pytest.fixture
def bundles() -> Iterator[Path]:
    """A directory of everybody's, as the outputs are opened anew, with two bundles in it: site and other."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        shutil.copytree(bundle_path(Path("default")), Path(name) / "site")
        shutil.copytree(bundle_path(Path("cic2017")), Path(name) / "other")
        yield Path(name)


def knock(namespace: str, ports: range) -> None:
    """Try many ports of the server, which refuses."""
    with inside(namespace):
        for port in ports:
            with socket.socket() as knocking:
                knocking.settimeout(0.2)
                knocking.connect_ex((SERVER, port))
            time.sleep(0.001)


def events(watch: Watch, action: str) -> list[str]:
    return [record["flowvigil"]["message"] for record in watch.records("sensor") if record["event"]["action"] == action]


def wait_for_events(watch: Watch, action: str, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(events(watch, action)) < count:
        assert time.monotonic() < deadline, watch.told()[-3000:]
        assert watch.process.poll() is None
        time.sleep(0.02)


@pytest.mark.real_start
def test_bundles_exchanged_under_load_lose_no_packet_and_no_open_alert(
    cable: tuple[str, str], tmp_path: Path, bundles: Path
) -> None:
    left, right = cable
    capture = sessions(tmp_path / "load.pcap", flows=50, closed=True)
    options = ("-m", str(bundles / "site"), "--set", "stats.metrics_port=19124", "--set", "stats.interval_s=1")
    sent: list[int] = []
    with watching(right, bundles, *options, write=False) as watch:
        load = threading.Thread(
            target=lambda: sent.append(replay(left, "fv0", capture, packets_per_s=RATE, packets=PACKETS))
        )
        load.start()
        knock(left, range(1000, 1300))
        watch.wait_for("alert", 20, action="opened")
        for number in range(1, EXCHANGES + 1):
            exchange(bundles / "site", bundles / "other")
            watch.tell(signal.SIGHUP)
            wait_for_events(watch, "bundle-exchanged", number)
            knock(left, range(1300 + 60 * number, 1360 + 60 * number))
        ip("-n", right, "link", "set", "lo", "up")
        with inside(right), urllib.request.urlopen("http://127.0.0.1:19124/metrics", timeout=5) as answer:
            metrics = answer.read().decode()
        load.join()
        time.sleep(0.5)
        result = watch.stop()
    assert result.code == 0, result
    told = events(watch, "bundle-exchanged")
    assert len(told) == EXCHANGES
    assert all("judges from now on, instead of" in message for message in told)
    assert max(float(message.rpartition("took ")[2].removesuffix(" ms")) for message in told) < 250
    last = watch.records("stats")[-1]["flowvigil"]
    assert last["difference"] == last["dropped"] == last["shed"] == 0
    assert last["received"] >= sent[0] + 2 * (300 + 60 * EXCHANGES)
    assert all(record["flowvigil"]["difference"] == 0 for record in watch.records("stats"))
    alerts = [alert for alert in watch.records("alert") if alert["source"]["ip"] == SCANNER]
    (identifier,) = {alert["event"]["id"] for alert in alerts}
    assert alerts[0]["event"]["action"] == "opened"
    assert alerts[-1]["event"]["action"] == "closed"
    assert alerts[0]["flowvigil"]["model"]["id"] == "default"
    assert 'model="default ' in metrics, metrics
    assert identifier


def test_a_bundle_that_cannot_be_taken_is_told_and_the_other_judges_on(cable: tuple[str, str], bundles: Path) -> None:
    left, right = cable
    with watching(right, bundles, "-m", str(bundles / "site"), write=False) as watch:
        (bundles / "other" / "weights.safetensors").write_bytes(b"no weights")
        exchange(bundles / "site", bundles / "other")
        watch.tell(signal.SIGHUP)
        wait_for_events(watch, "bundle-kept", 1)
        exchange(bundles / "site", bundles / "other")
        watch.tell(signal.SIGHUP)  # it is what judges: no news
        (bundles / "site").chmod(0o700)
        if os.geteuid() == 0:
            watch.tell(signal.SIGHUP)
            wait_for_events(watch, "bundle-kept", 2)
        knock(left, range(1000, 1300))
        alert = watch.wait_for("alert", 20, action="opened")
        result = watch.stop()
    assert result.code == 0
    first, second = events(watch, "bundle-kept")
    assert "weights.safetensors has sha256" in first
    assert "may not read it" in second
    assert events(watch, "bundle-exchanged") == []
    assert alert["flowvigil"]["model"]["id"] == "default"

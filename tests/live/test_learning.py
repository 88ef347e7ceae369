"""A site learnt from an interface: stopped and continued, and beside a watch that takes the new bundle over."""

import json
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sensor.errors import INTERRUPTED
from tests.support.command import started
from tests.support.load import replay, sessions
from tests.support.sensors import Watch, notified, watching

pytest.importorskip("sklearn")
pytestmark = [pytest.mark.live, pytest.mark.takes(25)]

RATE = 1000  # packets a second: sessions end each 1.2 s


@pytest.fixture
def directory() -> Iterator[Path]:
    """Everybody's, as the bundle is written when the privileges have gone."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@contextmanager
def traffic(left: str, directory: Path, seconds: float) -> Iterator[None]:
    """Sessions that end, over and over."""
    capture = sessions(directory / "load.pcap", flows=50, closed=True)
    load = threading.Thread(
        target=replay, args=(left, "fv0", capture), kwargs={"packets_per_s": RATE, "packets": round(RATE * seconds)}
    )
    load.start()
    try:
        yield
    finally:
        load.join()


def events(watch: Watch, action: str) -> list[str]:
    return [record["flowvigil"]["message"] for record in watch.records("sensor") if record["event"]["action"] == action]


def test_a_baseline_of_an_interface_is_stopped_and_goes_on(cable: tuple[str, str], directory: Path) -> None:
    left, right = cable
    command = ("baseline", "default", "fv1", "-o", directory / "site", "--for", "5s")
    with traffic(left, directory, 11):
        with notified() as ready:
            first = started(*command, namespace=right, NOTIFY_SOCKET=ready.name)
            ready.wait("READY=1", first)  # while kernels are compiled an interrupt ends it and says no more
        unfinished = directory / "site.unfinished"
        deadline = time.monotonic() + 20
        while not any(unfinished.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        first.send_signal(signal.SIGINT)
        _, told = first.communicate(timeout=30)
        assert first.returncode == INTERRUPTED, told
        assert b"the same command goes on" in told
        assert not (directory / "site").exists()
        second = started(*command, namespace=right)
        stdout, told = second.communicate(timeout=40)
    assert second.returncode == 0, told
    assert b"\nlearnt from" in stdout
    assert b"none of which are there" not in stdout
    learned = json.loads((directory / "site" / "manifest.json").read_text())["site"]["learned"]
    assert learned["networks"] == ["10.7.0.0/24", "10.8.0.0/24"]
    assert {entry.name for entry in directory.iterdir()} == {"site", "load.pcap"}


@pytest.mark.real_start
def test_a_watch_learns_the_site_takes_it_over_and_keeps_it(cable: tuple[str, str], directory: Path) -> None:
    left, right = cable
    settings, site = directory / "flowvigil.yaml", directory / "site"
    settings.write_text("stats: {interval_s: 1}\n")
    options = ("-c", str(settings), "--set", "process.user=root", "--learn", str(site), "--learn-for", "4s")
    with traffic(left, directory, 9), watching(right, directory, *options, write=False) as watch:
        deadline = time.monotonic() + 40
        while not events(watch, "bundle-exchanged"):
            assert time.monotonic() < deadline, watch.told()[-2000:]
            assert watch.process.poll() is None, watch.process.communicate()
            time.sleep(0.05)
        assert "bundle site (" in events(watch, "bundle-exchanged")[0]
        for text in ("stats: {interval_s: 1}\n", "stats: {interval_s: 1}\nepisodes: {quiet_s: 200}\n"):
            settings.write_text(text)
            reloads = len(events(watch, "reloaded"))
            watch.tell(signal.SIGHUP)
            while len(events(watch, "reloaded")) == reloads:
                assert time.monotonic() < deadline, watch.told()[-2000:]
                time.sleep(0.05)
        time.sleep(1.5)  # for a bundle that would be taken
        result = watch.stop()
    assert result.code == 0, result
    assert len(events(watch, "bundle-exchanged")) == 1  # nothing put the old one back
    assert events(watch, "bundle-kept") == []
    assert not any("only a restart" in message for message in events(watch, "reloaded"))
    last = watch.records("stats")[-1]["flowvigil"]
    assert last["difference"] == last["dropped"] == last["shed"] == 0
    assert (directory / "site.html").exists()
    assert not (directory / "site.unfinished").exists()
    with watching(right, directory, *options, write=False) as again:
        result = again.stop()
    assert result.code == 0
    assert any("site was learnt and judges" in line for line in result.stderr)
    assert not (directory / "site.unfinished").exists()

"""Notes of a site beside a running watch: taken over at SIGHUP, refused where wrong, written from its terminal."""

import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.site.file import read_notes
from tests.support.namespaces import SCANNER, SERVER, inside, ip
from tests.support.sensors import Watch, watching
from tests.support.tmux import LONG_S, opened

pytestmark = [pytest.mark.live, pytest.mark.takes(60)]


@pytest.fixture
def cable(namespaces: tuple[str, str]) -> tuple[str, str]:
    """The two namespaces with addresses: a scanner on the left, a server on the right."""
    left, right = namespaces
    ip("-n", left, "address", "add", f"{SCANNER}/24", "dev", "fv0")
    ip("-n", right, "address", "add", f"{SERVER}/24", "dev", "fv1")
    return left, right


@pytest.fixture
def site() -> Iterator[Path]:
    """Notes in a directory that anybody may read and only its owner may write."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "site.yaml"
        path.parent.chmod(0o755)
        path.write_text("# ours\nhome: [10.99.0.0/16]\n")
        path.chmod(0o644)
        yield path


def scan(namespace: str, first: int) -> None:
    """Knock at a hundred ports of the server, all of them closed."""
    with inside(namespace):
        for port in range(first, first + 100):
            with socket.socket() as knocking:
                knocking.connect_ex((SERVER, port))
            time.sleep(0.002)


def reloads(watch: Watch) -> list[str]:
    return [event["flowvigil"]["message"] for event in watch.records("sensor")]


def reloaded(watch: Watch) -> str:
    """What a SIGHUP brought."""
    before = len(reloads(watch))
    watch.tell(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while len(reloads(watch)) == before:
        assert time.monotonic() < deadline, watch.told()
        time.sleep(0.02)
    return reloads(watch)[before]


def last_alert(watch: Watch, more_than: int) -> dict[str, object]:
    """The newest alert, once there are more than so many."""
    deadline = time.monotonic() + 20
    while len(watch.records("alert")) <= more_than:
        assert time.monotonic() < deadline, watch.told()
        time.sleep(0.05)
    return watch.records("alert")[-1]


def test_a_running_watch_takes_notes_over_and_a_broken_file_changes_nothing(
    cable: tuple[str, str], site: Path, tmp_path: Path
) -> None:
    left, right = cable
    # As root, who may open the alerts again.
    with watching(right, tmp_path, "--site", str(site), "--set", "process.user=root", write=False) as watch:
        scan(left, 1000)
        first = last_alert(watch, 0)
        assert "muted" not in first["flowvigil"]  # type: ignore[operator]
        assert first["network"]["direction"] == "internal"  # type: ignore[index]
        site.write_text(f"home: [10.99.0.0/16]\nassets:\n  - {{name: scan-1, address: {SCANNER}, role: scanner}}\n")
        assert reloaded(watch).endswith(f" reopened, no rules and 1 asset of {site}")
        site.write_text("rules: {}\n")
        broken = reloaded(watch)
        assert broken.startswith(f"not taken over: {site}:1:8: rules: expected a list")
        told = len(watch.records("alert"))
        threading.Thread(target=scan, args=(left, 2000)).start()
        time.sleep(2)
        result = watch.stop()
    last = watch.records("alert")[-1]
    assert len(watch.records("alert")) > told
    assert last["flowvigil"]["muted"]["by"] == "scanner scan-1"
    assert last["event"]["severity"] == 1
    assert [alert["event"]["sequence"] for alert in watch.records("alert")] == list(
        range(1, len(watch.records("alert")) + 1)
    )
    account = watch.records("stats")[-1]["flowvigil"]
    assert account["dropped"] == account["difference"] == 0
    assert account["alerts"]["muted"] == 0  # it was opened before anybody said so
    assert result.code == 0


def test_notes_that_a_sensor_without_privileges_may_not_read_are_not_taken_over(
    cable: tuple[str, str], site: Path, tmp_path: Path
) -> None:
    _, right = cable
    site.chmod(0o600)
    with watching(right, tmp_path, "--site", str(site), write=False) as watch:
        assert reloaded(watch) == f"not taken over: {site}: permission denied, expected notes of a site"
        assert watch.stop().code == 0


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
@pytest.mark.parametrize("user", ["root", "nobody"])
def test_m_in_a_watch_writes_a_rule_where_its_user_may_and_says_where_not(
    cable: tuple[str, str], site: Path, tmp_path: Path, user: str
) -> None:
    left, right = cable
    before = f"ip netns exec {right}"
    with opened(tmp_path) as pane:
        pane.run("resize-window", "-x", "160", "-y", "30")
        options = ("--site", str(site), "--set", f"process.user={user}")
        pane.start("watch", "-i", "fv1", *options, before=before)
        pane.shows("no alert so far", within_s=LONG_S)
        if user == "nobody":
            pane.shows(f"no rule can be written: no file may be made in {site.parent}; m hides on this screen alone")
        scan(left, 1000)
        pane.shows("1 of 1", SCANNER, within_s=30)
        pane.keys("m")
        if user == "nobody":
            pane.shows("mute: s source", SCANNER)
            pane.keys("s")
            pane.shows("1 muted", "no rule can be written")
            assert read_notes(site).rules == ()
        else:
            pane.shows(f"{SCANNER} → {SERVER}", "is meant to be, because:")
            pane.keys("our audit", "Enter")
            pane.shows("1 muted by site notes (n shows them)", "rule added")
            assert site.read_text().startswith("# ours\nhome: [10.99.0.0/16]\nrules:\n  - source: 10.99.0.1\n")
            (rule,) = read_notes(site).rules
            assert rule.why == "our audit"
            pane.keys("n")
            pane.shows("muted by rule 10.99.0.1 -> 10.99.0.2, T1046: our audit")
        pane.keys("q")
        pane.shows("End this watch?")
        pane.keys("y")
        pane.shows("code=0", within_s=30)

"""`--independent --scheduler`: a cluster gives the same bytes as this machine, whatever is killed."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from sensor.cli import extras
from sensor.cli.cluster_carrier import checked_scheduler
from sensor.jobs.run_directory import ALERTS
from sensor.settings.config import Config
from sensor.synth.generate import SCENARIOS, generate
from sensor.synth.pcap import pcap_bytes, write_pcap
from tests.support.certificates import Authority
from tests.support.clusters import Cluster
from tests.support.command import flowvigil, started, surroundings

pytest.importorskip("distributed", reason="needs the extra cluster")
pytestmark = pytest.mark.takes(45)

NO_FILES = ("--set", "jobs.tls_ca=nosuch.pem", "--set", "jobs.tls_cert=nosuch.pem")


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("captures")
    for seed in range(5):
        write_pcap(directory / f"net-{seed}.pcap", pcap_bytes(generate(SCENARIOS, seed, 0.3).packets, 96))
    return directory


@pytest.fixture(scope="module")
def expected(captures: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What this machine gives."""
    file = tmp_path_factory.mktemp("expected") / "alerts.jsonl"
    assert flowvigil("read", captures, "--independent", "--workers", "1", "-q", "-o", file).code == 0
    return file.read_bytes()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers on a machine that has another name."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "sitecustomize.py").write_text("import socket\nsocket.gethostname = lambda: 'worker-7'\n")
    paths = f"{elsewhere}:{surroundings()['PYTHONPATH']}"
    with Cluster(tmp_path_factory.mktemp("cluster"), 2, PYTHONPATH=paths) as both:
        yield both


def test_a_cluster_whose_worker_and_main_process_are_killed_gives_the_same_bytes(
    cluster: Cluster, captures: Path, expected: bytes, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    arguments = ("read", captures, "--independent", "--scheduler", cluster.address, "--run", run)
    with started(*arguments, "-q") as first:
        wait_for_ends(run, 1, first)
        cluster.kill_worker()
        cluster.keep_up()
        wait_for_ends(run, 2, first)
        first.kill()
    result = flowvigil(*arguments, "--resume", "-o", tmp_path / "alerts.jsonl")
    assert result.code == 0, result.stderr
    assert (run / ALERTS).read_bytes() == expected
    told = "\n".join(result.stderr)
    assert "dashboard: http://127.0.0.1:" in told
    assert "MB/s while reading" in told


def wait_for_ends(run: Path, number: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while len(list(run.glob("ends/*/*.json"))) < number and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_cluster_makes_tables_and_pages(cluster: Cluster, captures: Path, tmp_path: Path) -> None:
    cluster.keep_up()
    capture, here, there, page = captures / "net-0.pcap", *(tmp_path / name for name in ("a.csv", "b.csv", "c.html"))
    by_cluster = (capture, "--independent", "-q", "--scheduler", cluster.address, "-o")
    for arguments in (
        ("flows", capture, "-q", "-o", here),
        ("flows", *by_cluster, there),
        ("report", *by_cluster, page),
    ):
        result = flowvigil(*arguments)
        assert (result.code, result.stderr) == (0, [])
    header, *rows = here.read_text().splitlines()
    assert there.read_text().splitlines() == [f"{header},capture", *(f"{row},{capture}" for row in rows)]
    assert f"{capture}" in page.read_text()


def test_a_scheduler_that_is_gone_ends_the_run_which_goes_on_later(
    cluster: Cluster, captures: Path, expected: bytes, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    arguments = ("read", captures, "--independent", "--scheduler", cluster.address, "--run", run, "-q")
    with started(*arguments, "--set", "jobs.reconnect_s=1") as first:
        wait_for_ends(run, 1, first)
        cluster.kill_scheduler()
        _, said = first.communicate(timeout=60)
    assert first.returncode == 8
    assert b"the scheduler has been gone for 1 s" in said
    assert b"stopped by the user" not in said
    assert b"Traceback" not in said
    cluster.keep_up()
    assert flowvigil(*arguments, "--resume").code == 0
    assert (run / ALERTS).read_bytes() == expected


def test_tls_is_spoken_with_the_files_of_the_settings(captures: Path, expected: bytes, tmp_path: Path) -> None:
    identity = Authority(tmp_path / "authority").identity("cluster.example")
    files = {"ca": identity.ca, "cert": identity.certificate, "key": identity.key}
    places = tmp_path / "processes"
    places.mkdir()
    with Cluster(places, 1, tls=identity) as cluster:
        settings = [word for name, file in files.items() for word in ("--set", f"jobs.tls_{name}={file}")]
        alone = ("read", captures, "--independent", "-q", "--scheduler", cluster.address)
        result = flowvigil(*alone, *settings)
        without = flowvigil(*alone)
        plain = flowvigil(*alone[:-1], cluster.address.replace("tls", "tcp"), "--set", "jobs.reconnect_s=1")
    assert result.code == 0, result.stderr
    assert result.stdout == expected
    assert (without.code, plain.code) == (3, 8)
    assert "found none, which tls:// needs" in "\n".join(without.stderr)


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (("--scheduler", "tcp://127.0.0.1:1"), 2, "--scheduler: expected it with --independent"),
        (("--independent", "--scheduler", "127.0.0.1:8786"), 2, "expected tcp://HOST:PORT or tls://HOST:PORT"),
        (("--independent", "--scheduler", "tcp://127.0.0.1:99999"), 2, "expected tcp://HOST:PORT or tls://HOST:PORT"),
        (("--independent", "--scheduler", "tcp://127.0.0.1:1", "--workers", "2"), 2, "has workers of its own"),
        (("--independent", "--scheduler", "tcp://192.0.2.1:8786"), 3, "expected tls://, or jobs.plain_scheduler"),
        (
            ("--independent", "--scheduler", "tls://127.0.0.1:1", *NO_FILES),
            3,
            "cannot be used (no such file or directory)",
        ),
        (
            ("--independent", "--scheduler", "tcp://127.0.0.1:1", "--set", "jobs.reconnect_s=1"),
            8,
            "tcp://127.0.0.1:1: connection refused, expected a Dask scheduler",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(more: tuple[str, ...], code: int, words: str, captures: Path) -> None:
    result = flowvigil("read", captures, *more)
    assert result.code == code, result.stderr
    assert words in "\n".join(result.stderr)
    assert len(result.stderr) == 1


def test_without_the_extra_one_line_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _name: None)
    with pytest.raises(typer.BadParameter, match=r"needs distributed: pip install 'flowvigil\[cluster\]'"):
        checked_scheduler("tcp://127.0.0.1:8786", Config())


def test_nothing_of_dask_is_loaded_before_it_is_asked_for() -> None:
    load = "import sensor.cli.islands, sensor.jobs.cluster, sensor.jobs.on_worker, sys"
    program = f"{load}; sys.exit(any(name.partition('.')[0] in ('dask', 'distributed') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

"""Kernels are compiled once, for whoever needs them, and never before what is cheap to refuse has been refused.

Each command is started anew: the question is whether it chose its cache before the compiler was there.
"""

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from models.bundle import save_bundle
from sensor.api.listening import ListenAddress, listening_socket
from sensor.cli.kernels import JUDGING, SERVING, of_bundle
from sensor.packets.pcapng import interface_description, section_header
from tests.support.command import DEMO, FLOWVIGIL, Result, ended, flowvigil, surroundings
from tests.support.context_bundles import context_hybrid
from tests.support.kdd_tables import as_kdd_text, kdd_table, recipe_text
from training.datasets.packed import sha256_of

ANSWER_CPU_S = 4.0  # of a refusal, on a slow machine; compiling takes several times as long
BOUND = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
PLAIN = () if os.name == "nt" or os.geteuid() else BOUND
FIRST_RUN = "first run: compiling kernels"
KEPT, FOUND = b"[cache] data saved", b"[cache] data loaded"  # what numba says with NUMBA_DEBUG_CACHE

pytestmark = pytest.mark.takes(60)

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
unprivileged = pytest.mark.skipif(bool(PLAIN) and shutil.which("setpriv") is None, reason="needs setpriv (util-linux)")


def run(cache: Path, *arguments: str | Path, prefix: tuple[str, ...] = (), **environment: str) -> Result:
    """Run a command to its end with a cache of its own."""
    done = subprocess.run(
        [*prefix, *FLOWVIGIL, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=900,
        env=surroundings(XDG_CACHE_HOME=str(cache), **environment),
        check=False,
    )
    return ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds all kernels."""
    cache = tmp_path_factory.mktemp("warm")
    result = run(cache, "warm-up")
    assert result.code == 0
    assert FIRST_RUN in result.stderr[0]
    assert "kept in" in result.stderr[1]
    return cache


@pytest.fixture
def partly_warm(warm: Path, tmp_path: Path) -> Path:
    """A cache in which the kernels of context and of models are missing, so that they are compiled."""
    cache = tmp_path / "cache"
    shutil.copytree(warm, cache)
    (kernels,) = (cache / "flowvigil").iterdir()
    for path in kernels.iterdir():
        if path.is_file():  # a mark of what is compiled
            path.unlink()
        elif path.name.startswith(("flows.context", "models")):
            shutil.rmtree(path)
    return cache


@pytest.fixture
def pcapng(tmp_path: Path) -> Path:
    """A capture of the other format, empty."""
    path = tmp_path / "empty.pcapng"
    path.write_bytes(section_header() + interface_description("", 1))
    return path


def test_what_is_compiled_already_is_not_compiled_again(warm: Path) -> None:
    result = run(warm, "warm-up", NUMBA_DEBUG_CACHE="1")
    assert (result.code, result.stdout) == (0, b"")
    assert "already" in result.stderr[0]
    assert run(warm, "warm-up", "-q").stderr == []


def test_where_nothing_can_be_kept_warming_up_fails(tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("")
    result = run(tmp_path / "in the way", "warm-up", "-q")
    assert (result.code, len(result.stderr)) == (7, 1)
    assert "no cache for compiled kernels" in result.stderr[0]


@pytest.mark.parametrize(
    "command",
    [
        "read {demo} -q",
        "read {demo} -q --filter tcp",
        "read {pcapng} -q",
        "read {demo} -q --keep-packets {tmp}/kept",
        "read {demo} -q -m cic2017",
        "read {demo} -q -m nsl-kdd-flow",
        "flows {demo} -q -o {tmp}/flows.csv",
        "flows {demo} -q -o {tmp}/flows.csv --compat cicflowmeter-v4",
        "report {demo} -q -o {tmp}/page.html",
        "check",
    ],
)
def test_after_warming_up_no_command_compiles(warm: Path, tmp_path: Path, pcapng: Path, command: str) -> None:
    words = [word.format(demo=DEMO, pcapng=pcapng, tmp=tmp_path) for word in command.split()]
    result = run(warm, *words, NUMBA_DEBUG_CACHE="1")
    assert result.code in (0, 5)  # 5: check, where packets may not be captured
    assert FOUND in result.stdout
    assert KEPT not in result.stdout
    assert not [line for line in result.stderr if FIRST_RUN in line]


@pytest.mark.parametrize("bundle", ["default", "cic2017", "nsl-kdd", "nsl-kdd-flow"])
def test_after_warming_up_the_api_compiles_nothing(warm: Path, tmp_path: Path, bundle: str) -> None:
    pytest.importorskip("flask_openapi3")
    with served(warm, tmp_path / "api.sock", "-m", bundle) as (output, errors):
        pass
    assert FOUND in output.read_bytes()
    assert KEPT not in output.read_bytes()
    assert FIRST_RUN not in errors.read_text()


def test_kernels_of_context_are_compiled_once(partly_warm: Path, tmp_path: Path) -> None:
    save_bundle(tmp_path / "bundle", context_hybrid(), {})
    command = ("read", DEMO, "-q", "-m", tmp_path / "bundle")
    first, again = (run(partly_warm, *command, NUMBA_DEBUG_CACHE="1") for _ in range(2))
    assert first.code == again.code == 0
    assert KEPT in first.stdout
    assert FOUND in again.stdout
    assert KEPT not in again.stdout
    assert not [line for line in again.stderr if FIRST_RUN in line]


@pytest.mark.parametrize("bundle", ["shipped", "unmasked"])
def test_warming_up_compiles_what_serves_a_shipped_bundle_with_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: str
) -> None:
    pytest.importorskip("flask_openapi3")
    place = tmp_path / bundle
    save_bundle(place, context_hybrid(masked=bundle == "shipped"), {})
    compiled: list[str] = []
    warming = import_module("sensor.cli.warm_up")  # the package has the command of that name
    monkeypatch.setattr(warming, "kernels_are_compiled", compiled.append)
    warming._compile_for("shipped", place)
    assert compiled == [of_bundle(kernels, Path("shipped")).name for kernels in (SERVING, JUDGING)]


def test_the_api_keeps_what_it_compiles(partly_warm: Path, tmp_path: Path) -> None:
    pytest.importorskip("flask_openapi3")
    for expected in (True, False):
        with served(partly_warm, tmp_path / "api.sock") as (output, errors):
            pass
        assert (KEPT in output.read_bytes()) is expected
        assert (FIRST_RUN in errors.read_text()) is expected


class served:  # noqa: N801  # used as a function
    """`flowvigil serve` until it listens; its stdout and stderr as files."""

    def __init__(self, cache: Path, place: Path, *arguments: str) -> None:
        self._place, self._arguments = place, arguments
        self._environment = surroundings(XDG_CACHE_HOME=str(cache), NUMBA_DEBUG_CACHE="1")
        self._files = place.with_name("stdout"), place.with_name("stderr")

    def __enter__(self) -> tuple[Path, Path]:
        with self._files[0].open("wb") as output, self._files[1].open("wb") as errors:
            command = [*FLOWVIGIL, "serve", "--listen", f"unix:{self._place}", *self._arguments]
            self._process = subprocess.Popen(command, stdout=output, stderr=errors, env=self._environment)
        deadline = time.monotonic() + 900
        while "scoring" not in self._files[1].read_text() and time.monotonic() < deadline:
            assert self._process.poll() is None, self._files[1].read_text()
            time.sleep(0.05)
        return self._files

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        assert self._process.wait(timeout=60) == 0


def test_training_and_evaluating_compile_once(partly_warm: Path, tmp_path: Path) -> None:
    pytest.importorskip("polars")
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    digest = sha256_of(as_kdd_text(kdd_table(), tmp_path / "train.txt"))
    as_kdd_text(kdd_table(seed=2), tmp_path / "test.txt")
    (tmp_path / "small.yaml").write_text(recipe_text(digest), encoding="utf-8")
    train = ("train", tmp_path / "small.yaml", "-o", tmp_path / "bundle", "--data", tmp_path)
    evaluate = ("evaluate", tmp_path / "bundle", tmp_path / "test.txt")
    for command in (train, evaluate):
        first = run(partly_warm, *command, NUMBA_DEBUG_CACHE="1")
        assert KEPT in first.stdout or command is evaluate
        shutil.rmtree(tmp_path / "bundle", ignore_errors=True) if command is train else None
        again = run(partly_warm, *command, NUMBA_DEBUG_CACHE="1")
        assert again.code == 0, again.stderr
        assert FOUND in again.stdout
        assert KEPT not in again.stdout


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens at."""
    with listening_socket(ListenAddress("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """A directory that is none."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file"


@pytest.mark.parametrize(
    ("code", "command"),
    [
        (6, "read {tmp}/nosuch.pcap"),
        (6, "read {tmp}/nosuch.pcap {tmp}/another.pcap"),
        (6, "read {file}"),
        (3, "read {demo} --filter tcp\xa0porrt"),
        (7, "read {demo} -o {file}/alerts.jsonl"),
        (7, "read {demo} -o {tmp}/nosuch/alerts.jsonl"),
        (7, "read {demo} --keep-packets {demo}"),
        (4, "read {demo} -m nosuch"),
        (6, "flows {tmp}/nosuch.pcap"),
        (7, "flows {demo} -o {tmp}/nosuch/flows.csv"),
        (3, "flows {demo} --filter porrt"),
        (6, "report {tmp}/nosuch.pcap -o {tmp}/page.html"),
        (7, "report {demo} -o {file}/page.html"),
        (3, "serve --listen 127.0.0.1:{taken}"),
        (3, "serve --listen unix:{file}/api.sock"),
        (4, "serve -m nosuch"),
        (4, "evaluate nosuch {tmp}/nosuch.csv"),
        pytest.param(5, "watch -i nosuch0", marks=linux),
        pytest.param(4, "watch -i lo -m nosuch", marks=linux),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_compiled(
    tmp_path: Path, nowhere: Path, taken: int, code: int, command: str
) -> None:
    words = [
        word.replace("\xa0", " ").format(demo=DEMO, tmp=tmp_path, file=nowhere, taken=taken)
        for word in command.split(" ")
    ]
    refused_at_once(tmp_path / "cold", code, *words)


@linux
@unprivileged
def test_who_may_not_capture_is_told_before_anything_is_compiled(tmp_path: Path) -> None:
    refused_at_once(tmp_path / "cold", 5, "watch", "-i", "lo", prefix=PLAIN)


@linux
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root, to capture")
@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (3, "--filter porrt"),
        (7, "-o {file}/alerts.jsonl"),
        (7, "-o {file}.nosuch/alerts.jsonl"),
        (7, "--write {file}/kept.pcapng"),
        (7, "--write {file}.nosuch/kept.pcapng"),
        (3, "--set stats.metrics_port={taken}"),
        (3, "--set attach.socket={file}"),
    ],
)
def test_what_a_watch_cannot_have_is_told_before_anything_is_compiled(
    tmp_path: Path, nowhere: Path, taken: int, code: int, arguments: str
) -> None:
    words = [word.format(file=nowhere, taken=taken) for word in arguments.split()]
    refused_at_once(tmp_path / "cold", code, "watch", "-i", "lo", *words)


def refused_at_once(cold: Path, code: int, *words: str | Path, prefix: tuple[str, ...] = ()) -> None:
    """It is refused as where all is compiled, and nothing was compiled for it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = run(cold, *words, prefix=prefix)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (result.code, result.stderr) == (code, flowvigil(*words, prefix=prefix).stderr)
    assert not [line for line in result.stderr if FIRST_RUN in line]
    assert not list(cold.rglob("*.nbk"))
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < ANSWER_CPU_S


@pytest.mark.parametrize("word", ["-", "{pipe}"])
def test_what_can_be_read_only_once_is_not_looked_at_beforehand(warm: Path, tmp_path: Path, word: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [*FLOWVIGIL, "flows", word.format(pipe=pipe), "-q"]
    environment = surroundings(XDG_CACHE_HOME=str(warm))
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    content = DEMO.read_bytes()
    if word != "-":
        pipe.write_bytes(content)
    table, said = process.communicate(content if word == "-" else None, timeout=900)
    assert (process.returncode, said) == (0, b"")
    assert table.count(b"\n") > 1000

"""flowvigil baseline as a user meets it: what it learns from, what it writes, and what it refuses or is stopped at."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

from flows.columns import feature_contract
from flows.context.columns import context_contract
from models.bundle import load_bundle
from models.fusion import Hybrid
from sensor.baseline.learning import Asked
from sensor.cli.baseline import _learn, _put
from sensor.cli.build import bundle_path, load_model
from sensor.cli.memory_option import within_memory
from sensor.errors import INPUT, INTERRUPTED, MODEL, OUTPUT, USAGE, OutputError
from sensor.settings.config import Config
from sensor.synth.generate import generate
from sensor.synth.pcap import WHOLE, pcap_bytes
from sensor.synth.scenarios.guessing import SSH_GUESSING
from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.scenarios.portscan import PORTSCAN
from tests.support.command import Result, alerts_of, flowvigil, started, surroundings
from tests.support.killed import killed_after
from training import memory

pytest.importorskip("sklearn")
pytestmark = [pytest.mark.ux, pytest.mark.takes(30)]

MINUTES = 14.0  # of an office's traffic: enough rows for a forest


def capture(path: Path, minutes: float, seed: int = 3) -> Path:
    path.write_bytes(pcap_bytes(generate([NORMAL], seed, minutes).packets, WHOLE, nanoseconds=True))
    return path


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An office's ordinary minutes."""
    return capture(tmp_path_factory.mktemp("traffic") / "normal.pcap", MINUTES)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a minute of it."""
    return capture(tmp_path_factory.mktemp("traffic") / "short.pcap", 0.5)


@pytest.fixture(scope="module")
def learnt(normal: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """A baseline of it with a page, and the directory that both are in."""
    directory = tmp_path_factory.mktemp("learnt")
    return flowvigil(
        "baseline", "default", normal, "-o", directory / "site", "--page", directory / "site.html"
    ), directory


@pytest.fixture
def site(learnt: tuple[Result, Path], tmp_path: Path) -> Path:
    """A copy of what it wrote."""
    return shutil.copytree(learnt[1] / "site", tmp_path / "site")


def manifest(bundle: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((bundle / "manifest.json").read_text())
    return read


def loaded(bundle: Path) -> Hybrid:
    return load_bundle(bundle, feature_contract(), context_contract())


def names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()}


def test_what_was_learnt_is_told_and_the_bundle_judges(learnt: tuple[Result, Path], short: Path) -> None:
    result, directory = learnt
    assert result.code == 0, result
    lines = result.stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == ["learnt", "alerts", "a", "thresholds", "warming"]
    assert "in 14 min; " in lines[0]
    assert names(directory) == {"site", "site.html"}
    assert (directory / "site").stat().st_mode & 0o777 == 0o755
    read = flowvigil("read", short, "-m", directory / "site")
    assert read.code == 0
    assert all(line["flowvigil"]["model"]["id"] == "site" for line in alerts_of(read.stdout))
    assert read.stderr[0].startswith("flowvigil: warming: the site was learnt from ")
    assert "extrapolated" in read.stderr[0]
    quiet = flowvigil("read", short, "-m", directory / "site", "-q")
    assert (quiet.stdout, quiet.stderr) == (read.stdout, [])


def test_check_says_in_one_line_what_the_bundle_knows_of_its_site(learnt: tuple[Result, Path]) -> None:
    result = flowvigil("check", "--json", "--set", f"detection.bundle={learnt[1] / 'site'}")
    (bundle,) = (record for record in alerts_of(result.stdout) if record["check"] == "bundle")
    (line,) = bundle["detail"]
    assert line.startswith("site learnt up to 20")
    for words in ("UTC from 1,", "in 14 min; asked for 1 alert a day, expected ", "; warming: budget"):
        assert words in line


def test_the_page_has_no_script_and_nothing_from_elsewhere(learnt: tuple[Result, Path]) -> None:
    page = (learnt[1] / "site.html").read_text(encoding="utf-8")
    for heading in ("What was learnt from", "What is asked of an alert now", "Services", "Hosts", "Rhythms"):
        assert f">{heading}</h2>" in page
    assert "<script" not in page.lower()
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page
    assert "http://" not in page
    assert "src=" not in page


def test_a_capture_a_flow_log_and_stdin_teach_the_same(
    learnt: tuple[Result, Path], normal: Path, tmp_path: Path
) -> None:
    assert flowvigil("read", normal, "-q", "--flows", tmp_path / "log").code == 0
    parts = tmp_path / "log" / "flows-*.parquet"
    assert flowvigil("baseline", "default", parts, "-o", tmp_path / "site", "-q", "--memory", "1G").code == 0
    mine, log = loaded(learnt[1] / "site"), loaded(tmp_path / "site")
    assert log.site == mine.site
    assert log.sha256 == mine.sha256
    result = flowvigil("baseline", "default", "-", "-o", tmp_path / "piped", stdin=normal.read_bytes())
    assert result.code == 0
    assert loaded(tmp_path / "piped").site == mine.site


def test_a_flow_table_teaches_too_and_says_what_it_lacks(normal: Path, tmp_path: Path) -> None:
    (tmp_path / "flows" / "day=1").mkdir(parents=True)
    assert flowvigil("flows", normal, "-q", "-o", tmp_path / "flows" / "day=1" / "part-0.parquet").code == 0
    result = flowvigil("baseline", "default", tmp_path / "flows", "-o", tmp_path / "site")
    assert result.code == 0
    assert any("a flow table has no reports of flows that went on" in line for line in result.stderr)
    assert loaded(tmp_path / "site").site is not None


def test_again_weeks_later_nothing_of_the_old_site_is_left(site: Path, tmp_path: Path) -> None:
    """Habits, levels, thresholds and cuts of a site that was noisy, and of another network."""
    old = manifest(site)
    old["site"]["habits"] = [
        {
            "kind": "scan",
            "source": "10.0.0.5",
            "destination": None,
            "port": 0,
            "protocol": 6,
            "level": 2.0,
            "share": 1.0,
        }
    ]
    old["site"]["levels"] = {"scan": 4.0}
    old["site"]["flows_between_false_openings"] = 1e11
    old["site"]["learned"]["networks"] = ["203.0.113.0/24"]
    for threshold in old["thresholds"]:
        threshold["known"] = 4 * threshold["known"]
    (site / "manifest.json").write_text(json.dumps(old))
    result = flowvigil("baseline", site, capture(tmp_path / "later.pcap", MINUTES, seed=4), "-o", site)
    assert result.code == 0, result
    assert any(
        line.startswith("flowvigil: another network? site was learnt in 203.0.113.0/24") for line in result.stderr
    )
    now, first = loaded(site).site, load_model(Config())
    assert now is not None
    assert (now.habits, now.levels) == ((), {})
    assert now.flows_between_false_openings < 1e7
    assert dict(now.shipped) == dict(first.thresholds)
    for rate, (known, novel) in loaded(site).thresholds.items():
        assert known <= 4.001 * first.thresholds[rate][0]
        assert novel <= 4.001 * first.thresholds[rate][1]
    assert manifest(tmp_path / "site.previous")["site"]["levels"] == {"scan": 4.0}
    assert manifest(site)["about"]["site"]["of"]["model_id"] == "site"


def test_what_the_notes_mute_uses_up_no_budget_and_is_counted(tmp_path: Path) -> None:
    traffic = generate([NORMAL, PORTSCAN], 5, 2.0)
    scanned = tmp_path / "scanned.pcap"
    scanned.write_bytes(pcap_bytes(traffic.packets, WHOLE, nanoseconds=True))
    alerts = alerts_of(flowvigil("read", scanned, "-q").stdout)
    sources = {alert["source"]["ip"] for alert in alerts if alert["event"].get("action") == "opened"}
    notes = tmp_path / "site.yaml"
    notes.write_text("rules:\n" + "".join(f"  - {{source: {source}, why: a test}}\n" for source in sorted(sources)))
    plain = flowvigil("baseline", "default", scanned, "-o", tmp_path / "one")
    assert plain.code == INPUT  # it is attacked for all that anybody knows
    noted = flowvigil("baseline", "default", scanned, "-o", tmp_path / "two", "--site", notes)
    assert noted.code == 0, noted
    assert "before none, and " in noted.stdout.decode()
    assert "muted by site notes" in noted.stdout.decode()


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", INPUT, "found an empty file"),
        (b"no capture at all\n", INPUT, "found a text file"),
        (None, INPUT, "no such file"),
        (pcap_bytes([], WHOLE, nanoseconds=True), INPUT, "found no flow in it; expected traffic of the site"),
        (
            pcap_bytes(generate([NORMAL], 3, 0.2).packets[:1], WHOLE, nanoseconds=True),
            INPUT,
            "found flows of one moment alone",
        ),
    ],
    ids=["empty", "foreign", "missing", "no packet", "one packet"],
)
def test_what_teaches_nothing_is_refused(tmp_path: Path, content: bytes | None, code: int, words: str) -> None:
    source = tmp_path / "source.pcap"
    if content is not None:
        source.write_bytes(content)
    result = flowvigil("baseline", "default", source, "-o", tmp_path / "site", "-q")
    assert (result.code, len(result.stderr)) == (code, 1)
    assert words in result.stderr[0]
    assert names(tmp_path) <= {"source.pcap"}


def test_most_of_it_attack_is_refused_and_some_is_told(tmp_path: Path) -> None:
    attacked, some = tmp_path / "attacked.pcap", tmp_path / "some.pcap"
    attacked.write_bytes(pcap_bytes(generate([PORTSCAN], 5, 0.5).packets, WHOLE, nanoseconds=True))
    result = flowvigil("baseline", "default", attacked, "-o", tmp_path / "site", "-q")
    assert (result.code, len(result.stderr)) == (INPUT, 1)
    assert "% of the flows are of what is told as alerts: found attacks" in result.stderr[0]
    assert not (tmp_path / "site").exists()
    some.write_bytes(pcap_bytes(generate([NORMAL, SSH_GUESSING], 5, 4.0).packets, WHOLE, nanoseconds=True))
    result = flowvigil("baseline", "default", some, "-o", tmp_path / "site", "-q")
    assert result.code == 0
    assert "they were not learnt as normal" in result.stderr[0]


@pytest.mark.parametrize("asked", ["0", "-1", "nan", "inf", "10001", "many"])
def test_alerts_a_day_that_nobody_can_ask_for(asked: str, short: Path, tmp_path: Path) -> None:
    result = flowvigil("baseline", "default", short, "-o", tmp_path / "site", "--alerts-per-day", asked)
    assert result.code == USAGE
    assert "--alerts-per-day" in result.stderr[-1]


def test_files_that_are_no_flow_log_are_named_where_nothing_is_left_to_learn_from(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for name in ("one.parquet", "two.parquet"):
        (tmp_path / "logs" / name).write_text("junk\n")
    run = flowvigil("baseline", "default", tmp_path / "logs", "-o", tmp_path / "site")
    assert run.code == INPUT
    named = [line for line in run.stderr if "expected a Parquet file of flows" in line]
    assert len(named) == 2  # each once, however often the log was gone through
    assert any("found no flow in it" in line for line in run.stderr)


@pytest.mark.parametrize("logged", [False, True], ids=["captures", "a flow log"])
def test_a_full_directory_for_temporary_files_is_named(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, logged: bool
) -> None:
    def full(_file: int, _first: int, _size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    source = short
    if logged:
        source = tmp_path / "log"
        assert flowvigil("read", short, "-q", "--flows", source).code == 0
    config = Config()
    hybrid, asked = load_model(config), Asked(1.0, 1, habits=True)
    monkeypatch.setattr(memory, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    (tmp_path / "out").mkdir()
    named = f"^{tempfile.gettempdir()}: rows cannot be kept there .*: no space left; TMPDIR chooses"
    with pytest.raises(OutputError, match=named), within_memory(None):
        _learn(config, hybrid, None, [str(source)], asked, tmp_path / "out" / "site", lambda _: None)


def test_captures_and_flow_logs_do_not_mix(short: Path, tmp_path: Path) -> None:
    assert flowvigil("read", short, "-q", "--flows", tmp_path / "log").code == 0
    result = flowvigil("baseline", "default", short, tmp_path / "log", "-o", tmp_path / "site")
    assert result.code == USAGE
    assert "expected one kind at a time" in result.stderr[-1]


def test_an_output_that_is_something_else_stays_as_it_is(short: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years")
    (tmp_path / "file").write_text("file")
    for output, words in (
        ("home", "found 'thesis.tex' there"),
        ("file", "is no directory"),
        ("none/site", "there is no directory"),
        ("/proc/site", "cannot be"),
        ("/dev/null", "is no directory"),
    ):
        result = flowvigil("baseline", "default", short, "-o", tmp_path / output)
        assert (result.code, words in result.stderr[-1]) == (OUTPUT, True), result
    assert names(tmp_path) == {"home", "file"}
    assert names(tmp_path / "home") == {"thesis.tex"}


def test_a_bundle_that_cannot_judge_it_is_refused(short: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{}")
    for bundle in ("nosuch", tmp_path / "broken", "nsl-kdd"):
        result = flowvigil("baseline", bundle, short, "-o", tmp_path / "site")
        assert result.code == MODEL, result
        assert not (tmp_path / "site").exists()


def test_a_copy_of_a_shipped_bundle_may_be_replaced(short: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(bundle_path(None), tmp_path / "site")
    assert flowvigil("baseline", copied, short, "-o", copied, "-q").code == 0
    assert names(tmp_path) == {"site", "site.previous"}


@pytest.mark.real_start
def test_without_scikit_learn_it_says_what_to_install(short: Path, tmp_path: Path) -> None:
    """As where the extra is not installed."""
    program = (
        "import importlib.util as u, sys; found = u.find_spec;"
        "u.find_spec = lambda name, *rest: None if name == 'sklearn' else found(name, *rest);"
        "from sensor.__main__ import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, "baseline", "default", str(short), "-o", str(tmp_path / "site")],
        capture_output=True, text=True, env=surroundings(), check=False,
    )  # fmt: skip
    assert result.returncode == USAGE
    assert "a baseline needs scikit-learn: pip install 'flowvigil[home]'" in result.stderr


@pytest.mark.parametrize(
    ("number", "at"),
    [
        (signal.SIGINT, "metering"),
        (signal.SIGTERM, "judging"),
        (signal.SIGINT, "fitting"),
        (signal.SIGTERM, "choosing"),
    ],
)
def test_an_interrupt_leaves_nothing_behind(number: signal.Signals, at: str, normal: Path, tmp_path: Path) -> None:
    process = started("baseline", "default", normal, "-o", tmp_path / "site", "--page", tmp_path / "site.html")
    assert process.stderr is not None
    if at != "metering":
        while at.encode() not in (line := process.stderr.readline()):
            assert line, "it ended"
    else:
        time.sleep(0.3)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED, stderr
    assert b"Traceback" not in stderr
    assert names(tmp_path) == set()


@pytest.mark.parametrize("there", [False, True], ids=["new", "replaced"])
def test_killed_at_any_moment_the_name_leads_to_a_whole_bundle_or_a_new_one_to_none(
    there: bool, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    bundles = [load_model(Config()), load_model(Config(detection={"bundle": "cic2017"}))]  # type: ignore[arg-type]
    chance = Random(7)

    def act(number: int) -> None:
        if not there and site.exists():
            site.rename(tmp_path / f"away-{number}-{os.getpid()}")
        _put(site, bundles[number % 2], {}, lambda _: None)

    act(0)
    for _ in range(15):
        killed_after(act, chance, 0.08)
        if there or names(tmp_path) & {"site"}:
            loaded(site)
    _put(site, bundles[0], {}, lambda _: None)
    loaded(site)
    assert {name for name in names(tmp_path) if not name.startswith("away-")} - {"site.previous"} == {"site"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="a small file system takes root to mount")
def test_a_full_disk_is_one_line_and_leaves_nothing(normal: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], check=True)
    try:
        result = flowvigil("baseline", "default", normal, "-o", small / "site", "-q")
        left = names(small)
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert (result.code, len(result.stderr), left) == (OUTPUT, 1, set()), result
    assert "no space left" in result.stderr[0].lower()


def test_two_at_once_do_not_mix_and_the_second_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sensor.files.replacing import ReplacedDirectory

    hybrid, told = load_model(Config()), list[str]()
    with ExitStack() as other:
        other.enter_context(ReplacedDirectory(tmp_path / "other").locked())  # a promotion that compares for minutes

        def progress(line: str) -> None:
            told.append(line)
            other.close()

        _put(tmp_path / "site", hybrid, {}, progress)
    assert loaded(tmp_path / "site").model_id == hybrid.model_id
    assert told == [f"waiting for another process, which replaces a bundle in {tmp_path}"]
    monkeypatch.setattr("sensor.cli.bundle_output.LONGEST_WAIT_S", 0.0)
    with ReplacedDirectory(tmp_path / "site").locked(), pytest.raises(OutputError, match="another process"):
        _put(tmp_path / "site", hybrid, {}, lambda _: None)

"""A site that is learnt beside a watch: which settings hold before and after, whatever is read again meanwhile."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sensor.cli.baseline import _heard
from sensor.cli.build import build_judge, load_model
from sensor.cli.flags import Flags
from sensor.cli.learning_live import LearnedSite, has_site, refuse_settings
from sensor.cli.reload import taken_episode_settings
from sensor.cli.watch import learned_beside
from sensor.errors import CAPTURE, INTERRUPTED, OK, ConfigError
from sensor.process.privileges import User
from sensor.run.new_bundle import NewBundle
from sensor.settings.config import Config
from tests.models.test_site import SITE
from tests.support.flow_files import many_shapes
from tests.support.flow_logs import judged, logged, moved
from tests.support.waiting import wait_until


def config(**sections: Any) -> Config:
    return Config.model_validate(sections)


class Settings:
    """Settings that change between two readings."""

    def __init__(self) -> None:
        self.now = config()

    def __call__(self) -> Config:
        return self.now


def learned(output: Path, settings: Settings, *, learnt: bool = False) -> LearnedSite:
    return LearnedSite(output, 60.0, 1.0, settings, learnt=learnt)


def test_once_it_is_learnt_settings_that_are_read_again_name_its_bundle(tmp_path: Path) -> None:
    settings = Settings()
    site = learned(tmp_path / "site", settings)
    assert site.settings().detection.bundle is None
    site.learnt = True
    for now in (config(), config(detection={"bundle": "cic2017"}), config(episodes={"quiet_s": 200})):
        settings.now = now
        assert site.settings().detection.bundle == tmp_path / "site"
        assert site.settings().flow_log.directory == tmp_path / "site.unfinished"  # as at the start
        assert site.settings().episodes.quiet_s == now.episodes.quiet_s


def test_the_flows_to_learn_from_are_where_the_settings_said_at_the_start(tmp_path: Path) -> None:
    settings = Settings()
    settings.now = config(flow_log={"directory": tmp_path / "log"})
    site = learned(tmp_path / "site", settings)
    assert site.settings().flow_log.directory == tmp_path / "log"
    settings.now = config(flow_log={"directory": tmp_path / "other"})
    assert site.settings().flow_log.directory == tmp_path / "other"  # of which a reload says that it takes a restart
    assert site.log == tmp_path / "log"
    (tmp_path / "log").mkdir()
    site.clear()
    assert (tmp_path / "log").exists()


def test_a_site_that_was_learnt_before_judges_at_once_and_logs_nothing(tmp_path: Path) -> None:
    site = learned(tmp_path / "site", Settings(), learnt=True)
    assert site.settings().detection.bundle == tmp_path / "site"
    assert site.settings().flow_log.directory is None


def test_settings_that_are_read_again_leave_the_sites_thresholds_as_they_are() -> None:
    judge = build_judge(config(), replace(load_model(config()), site=SITE))
    watching: Any = SimpleNamespace(detection=SimpleNamespace(judge=judge))
    taken_episode_settings(config(episodes={"quiet_s": 200}), watching)
    now = judge.episodes.settings
    assert (now.quiet_ns, now.threshold) == (200 * 10**9, SITE.flows_between_false_openings)
    assert max(now.levels) == SITE.levels["scan"]
    assert len(now.habits) == len(SITE.habits)


@pytest.mark.parametrize("manifest", [None, b"", b"[", b"[" * 100_000, b"[]", b"{}", b"\xff", b'"site"'])
def test_what_is_no_bundle_of_a_site_has_none(manifest: bytes | None, tmp_path: Path) -> None:
    if manifest is not None:
        (tmp_path / "manifest.json").write_bytes(manifest)
    assert not has_site(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b'{"site": {}}')
    assert has_site(tmp_path)


def test_a_pipe_that_is_called_a_manifest_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    assert not has_site(tmp_path)


def test_who_fits_beside_a_watch_has_its_settings_and_its_notes(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    file, notes = tmp_path / "flowvigil.yaml", tmp_path / "site.yaml"
    file.write_text(f"process: {{user: {os.geteuid()}}}\n")
    notes.write_text("home: [10.0.0.0/8]\n")
    flags = Flags(config=file, overrides=["detection.false_positive_rate=0.05"], site=notes)
    words = learned_beside(tmp_path / "site", "1h", 2.0, flags)._command()
    assert words[words.index("-c") + 1] == str(file)
    assert words[words.index("--set") + 1] == "detection.false_positive_rate=0.05"
    assert words[words.index("--site") + 1] == str(notes)
    assert words[words.index("baseline") + 1] == "default"


def fitting(site: LearnedSite) -> tuple[Any, int]:
    """A fit that was begun: what tells of it, and its process."""
    run: Any = SimpleNamespace(screen=SimpleNamespace(note=lambda _text: None))
    detection: Any = SimpleNamespace(flow_recorder=None)
    learner = site.begun(run, NewBundle(None), detection)  # type: ignore[arg-type]
    assert site._fitting is not None
    return learner, site._fitting.pid


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_fit_that_ends_in_any_way_is_told_of_and_reaped(number: signal.Signals, tmp_path: Path) -> None:
    learner, pid = fitting(learned(tmp_path / "site", Settings()))
    assert learner() is None
    os.kill(pid, number)
    deadline = time.monotonic() + 20
    while (told := learner()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert told == f"the site was not learnt ({number.name}); the bundle goes on as it is"
    assert not Path(f"/proc/{pid}").exists()


def test_a_bundle_that_was_fitted_though_not_all_could_be_read_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a log with a file of an older release."""
    program = (
        "import pathlib, sys\n"
        "bundle = pathlib.Path(sys.argv[1])\n"
        "bundle.mkdir()\n"
        "(bundle / 'manifest.json').write_text('{\"site\": {}}')\n"
        "sys.exit('flowvigil: flows-1.parquet: damaged')\n"
    )
    monkeypatch.setattr(LearnedSite, "_command", lambda self: [sys.executable, "-c", program, str(self.output)])
    site = learned(tmp_path / "site", Settings())
    learner, _ = fitting(site)
    told: list[str | None] = []
    wait_until(lambda: told.append(learner()) or told[-1] is not None)  # type: ignore[func-returns-value]
    assert site.learnt
    assert told[-1] is not None
    assert told[-1].startswith(f"the site was learnt: {tmp_path / 'site'}, but (")
    assert told[-1].endswith("): flowvigil: flows-1.parquet: damaged")


def test_what_two_runs_heard_at_the_same_time_counts_once(tmp_path: Path) -> None:
    site, records = learned(tmp_path / "site", Settings()), many_shapes()
    for number, seconds in enumerate((0, 3600), 1):  # an hour, the silence between its files too
        logged(site.log, judged(moved(records, seconds)), number=number)
    alone = site.heard_s()
    assert 3500 < alone < 4500
    logged(site.log, judged(moved(records, 1800)), run="f" * 16)
    assert site.heard_s() == alone
    logged(site.log, judged(moved(records, 86_400)), run="e" * 16)
    assert alone < site.heard_s() < alone + 900


def test_what_was_heard_is_removed_and_nothing_of_others(tmp_path: Path) -> None:
    site = learned(tmp_path / "site", Settings(), learnt=True)
    site.settings()
    heard = tmp_path / "site.unfinished"
    heard.mkdir()
    (heard / "flows-20260302T090000Z-0123456789abcdef-000001.parquet").touch()
    (heard / "thesis.tex").touch()
    site.clear()
    assert os.listdir(heard) == ["thesis.tex"]
    (heard / "thesis.tex").unlink()
    site.clear()
    assert not heard.exists()
    site.clear()


def test_a_fit_ends_with_its_watch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = learned(tmp_path / "site", Settings())
    _, pid = fitting(site)
    os.kill(pid, signal.SIGSTOP)  # even so
    site.end()
    assert not Path(f"/proc/{pid}").exists()
    assert "the watch ended before" in capsys.readouterr().err
    site.end()
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG")
def test_a_fit_ends_with_its_watch_that_is_killed(tmp_path: Path) -> None:
    told, tell = os.pipe()
    process = os.fork()
    if not process:
        _, pid = fitting(learned(tmp_path / "site", Settings()))
        deadline = time.monotonic() + 20
        while b"beside" not in Path(f"/proc/{pid}/cmdline").read_bytes() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.write(tell, str(pid).encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(tell)
    os.waitpid(process, 0)
    pid = int(os.read(told, 20))
    os.close(told)
    wait_until(lambda: not runs(pid))


def runs(pid: int) -> bool:
    """Whether the process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):  # the latter: it goes while it is read
        return False


def test_settings_that_are_wrong_when_there_is_enough_cost_the_learning_and_not_the_watch(tmp_path: Path) -> None:
    def wrong() -> Config:
        raise ConfigError("site.yaml:1:1: no such setting")

    site = LearnedSite(tmp_path / "site", 60.0, 1.0, wrong)
    run: Any = SimpleNamespace(screen=SimpleNamespace(note=lambda _text: None))
    learner = site.begun(run, NewBundle(None), SimpleNamespace(flow_recorder=None))  # type: ignore[arg-type]
    assert learner() == "the site cannot be learnt: site.yaml:1:1: no such setting"


def test_settings_that_cannot_be_read_once_more_are_told_before_a_day_is_listened_to(tmp_path: Path) -> None:
    pipe, own = tmp_path / "pipe", tmp_path / "own.yaml"
    os.mkfifo(pipe)
    own.touch(mode=0o600)
    refuse_settings((None, own), None)
    with pytest.raises(ConfigError, match="pipe: is a pipe or a device"):
        refuse_settings((pipe,), None)
    if os.geteuid() == 0:
        with pytest.raises(ConfigError, match="may not when its privileges have gone"):
            refuse_settings((own,), User("nobody", 65534, 65534))


@pytest.mark.parametrize(
    ("enough", "problems", "code"), [(True, [], OK), (False, [], INTERRUPTED), (False, ["worker 1 ended"], CAPTURE)]
)
def test_a_capture_that_ends_unasked_was_not_heard_for_long_enough(
    enough: bool, problems: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = LearnedSite(tmp_path / "site", 60.0, 1.0, config)

    @contextmanager
    def ended(_options: object) -> Iterator[SimpleNamespace]:
        site.enough = enough
        run = SimpleNamespace(run=lambda: None, stopping=not problems, turns=SimpleNamespace(problems=problems))
        yield SimpleNamespace(run=run)

    monkeypatch.setattr("sensor.cli.watching.watching", ended)
    monkeypatch.setattr("sensor.cli.learning_live.refuse_output", lambda _output, _user: None)
    monkeypatch.setattr("sensor.process.privileges.single_threaded_libraries", lambda: None)
    assert _heard(site, "lo", quiet=True) == code


def test_who_fits_beside_a_run_does_so_where_priorities_are_not_his_to_lower() -> None:
    """As in a service whose manager refuses the system call."""
    program = (
        "import os\n"
        "def refused(_by): raise PermissionError(1, 'Operation not permitted')\n"
        "os.nice = refused\n"
        "from sensor.cli import beside\n"
        "beside.main([str(os.getppid()), '--version'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("flowvigil ")

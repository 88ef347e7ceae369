"""flowvigil config: which settings hold, where each comes from, and what a wrong file is told."""

import subprocess
from pathlib import Path

import pytest

from sensor.settings.config import Config, effective_config
from tests.support.command import ended, flowvigil, launched

pytestmark = pytest.mark.ux

SITE = "meter:\n  idle_timeout_s: 60 # seconds\ndetection:\n  bundle: mine\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    return path


def test_all_settings_are_shown_as_yaml_that_is_taken_again(site: Path, tmp_path: Path) -> None:
    shown = flowvigil("config", "show", "-c", site, "--set", "episodes.quiet_s=9", "--decap")
    assert (shown.code, shown.stderr) == (0, [])
    again = tmp_path / "again.yaml"
    again.write_bytes(shown.stdout)
    config = effective_config(again).config
    assert (config.meter.idle_timeout_s, config.episodes.quiet_s, config.meter.decapsulate) == (60, 9, True)
    assert flowvigil("config", "show", "-c", again).stdout == shown.stdout


def test_each_setting_is_shown_with_the_place_it_comes_from(site: Path) -> None:
    arguments = ("-c", site, "--set", "meter.closed_linger_s=3", "-o", "alerts.jsonl")
    shown = flowvigil("config", "show", "--origin", *arguments, FLOWVIGIL__EPISODES__QUIET_S="9")
    lines = [line.strip() for line in shown.stdout.decode().splitlines()]
    assert f"idle_timeout_s: 60.0  # {site}:2:19" in lines
    assert f"bundle: mine  # {site}:4:11" in lines
    assert "quiet_s: 9.0  # environment variable FLOWVIGIL__EPISODES__QUIET_S" in lines
    assert "closed_linger_s: 3.0  # --set meter.closed_linger_s=3" in lines
    assert "file: alerts.jsonl  # --output" in lines
    defaults = [line for line in lines if line.endswith("  # default")]
    assert len(defaults) == sum(len(section) for section in Config().model_dump().values()) - 5 + len(["outputs"])


def test_outputs_are_shown_too_and_taken_again(site: Path, tmp_path: Path) -> None:
    site.write_text(SITE + "outputs:\n- type: syslog\n  host: siem\n  transport: tls\n- type: stdout\n  format: cef\n")
    shown = flowvigil("config", "show", "--origin", "-c", site)
    assert f"  - type: syslog  # {site}:6:9\n" in shown.stdout.decode()
    again = tmp_path / "again.yaml"
    again.write_bytes(shown.stdout)
    outputs = effective_config(again).config.outputs
    assert outputs == effective_config(site).config.outputs
    assert len(outputs) == 2


def test_a_wrong_setting_is_told_as_any_command_tells_it(site: Path) -> None:
    shown = flowvigil("config", "show", "-c", site, "--set", "meter.idle=1")
    assert (shown.code, shown.stdout) == (3, b"")
    assert shown.stderr == [
        'flowvigil: --set meter.idle=1: unknown setting "meter.idle", did you mean "meter.idle_timeout_s"?'
    ]


def test_a_right_file_is_told_with_what_it_changes(site: Path) -> None:
    site.write_text(SITE + "outputs:\n  - type: stdout\n")
    checked = flowvigil("config", "check", site, FLOWVIGIL__METER__IDLE_TIMEOUT_S="wrong, and not looked at")
    assert (checked.code, checked.stderr) == (0, [])
    assert checked.stdout.decode() == f"{site}: valid, 2 settings, 2 other than the default, 1 output listed\n"


def test_each_fault_of_a_file_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("meter:\n  idle_timeout: 60\n  closed_linger_s: 61\n")
    checked = flowvigil("config", "check", path)
    assert (checked.code, checked.stdout) == (3, b"")
    assert checked.stderr == [
        f'flowvigil: {path}:2:3: unknown setting "meter.idle_timeout", did you mean "meter.idle_timeout_s"?',
        f"{path}:3:20: meter.closed_linger_s is 61: expected 60 or less",
    ]


def test_what_a_file_says_reaches_the_terminal_only_escaped(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[2J.yaml"
    path.write_text('output:\n  file: "\\e[31m"\n')
    shown = flowvigil("config", "show", "--origin", "-c", path)
    assert shown.code == 0
    assert b"\x1b" not in shown.stdout
    assert b"\x1b" not in flowvigil("config", "check", path).stdout


@pytest.mark.real_start
def test_a_full_output_is_exit_7() -> None:
    with Path("/dev/full").open("wb") as full:
        shown = flowvigil_into(full, "config", "show")
    assert shown == (7, ["flowvigil: stdout: no space left"])


def flowvigil_into(stdout: object, *arguments: str) -> tuple[int, list[str]]:
    """Exit code and stderr of a command whose stdout is a file."""
    with launched(arguments, stdout=stdout, stderr=subprocess.PIPE) as run:
        _, errors = run.communicate(timeout=60)
    result = ended(run.returncode, b"", errors)
    return result.code, result.stderr

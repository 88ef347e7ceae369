"""flowvigil lab: what is wrong is one line and a documented exit code, before anything is made."""

import os
from pathlib import Path

import pytest

from sensor.cli.lab import check, list_, run
from sensor.errors import CaptureError, ConfigError, OutputError, SensorError
from tests.training.lab.sites import SHIPPED, SMALL, written
from training.lab import programs


def nothing_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs.shutil, "which", lambda program, path: f"{path}/{program}")


def test_the_shipped_scenarios_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    list_()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[::2]] == sorted(path.stem for path in SHIPPED.glob("*.yaml"))
    assert all(Path(line.strip()).is_file() for line in lines[1::2])


def test_a_wrong_scenario_is_a_fault_of_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'scenario\.yaml:\d+:\d+: unknown key "speed"') as error:
        check(written(tmp_path, {**SMALL, "speed": 3}))
    assert error.value.exit_code == 3


def test_missing_programs_are_named_with_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs.shutil, "which", lambda program, path: None if program == "nmap" else path)
    with pytest.raises(SensorError, match=r"not installed: nmap \(attack nmap-syn\)") as error:
        check(written(tmp_path, SMALL))
    assert error.value.exit_code == 2
    assert error.value.detail == ("apt-get install nmap",)


def test_a_valid_scenario_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing_missing(monkeypatch)
    assert check(written(tmp_path, SMALL)) == 0
    assert capsys.readouterr().out.endswith("valid, 3 hosts, 2 attacks, 2 min\n")


def test_without_root_a_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing_missing(monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CaptureError, match="needs Linux and root") as error:
        run(written(tmp_path, SMALL), tmp_path / "out")
    assert error.value.exit_code == 5
    assert not (tmp_path / "out").exists()


def test_a_directory_that_exists_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing_missing(monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(OutputError, match="exists, expected a new name") as error:
        run(written(tmp_path, SMALL), tmp_path)
    assert error.value.exit_code == 7

"""Packages that only some commands need: without them every other command runs, and those say what to install."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import DEMO

# Starts the command where pyarrow and scapy are not installed.
WITHOUT = """
import importlib.abc, importlib.util, sys
absent = ("pyarrow", "scapy", "zstandard")
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name.partition(".")[0] in absent else found(name, package)
from sensor.__main__ import main
main()
"""


def without(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = (sys.executable, "-c", WITHOUT, *arguments)
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)


def test_a_sensor_without_what_writes_tables_reads_filters_and_alerts() -> None:
    done = without("read", DEMO, "--filter", "tcp and (port 80 or vlan)")
    assert done.returncode == 0, done.stderr
    assert '"action":"opened"' in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("flows", DEMO), 2), (("flows", DEMO, "-o", "x.csv"), 2), (("read", DEMO, "-q", "--flows", "log"), 3)],
)
def test_what_writes_tables_says_which_extra_it_needs(
    arguments: tuple[str | Path, ...], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = without(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert "pip install 'flowvigil[tables]'" in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert list(tmp_path.iterdir()) == []

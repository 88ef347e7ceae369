"""Packages that only some commands need: without them every other command runs, and those say what to install."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import DEMO, flowvigil

GOLDEN_LOG = next(Path(__file__).resolve().parents[2].glob("golden/flow-log/1/*"))
# Starts the command where none of the extras is installed.
WITHOUT = """
import importlib.abc, importlib.util, sys
absent = ("confluent_kafka", "cryptography", "maxminddb", "pyarrow", "scapy", "zstandard")
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


def test_a_table_in_csv_needs_no_extra() -> None:
    done = without("flows", DEMO, "-q")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.encode() == flowvigil("flows", DEMO, "-q").stdout


def test_a_sensor_without_what_writes_tables_reads_filters_and_alerts() -> None:
    done = without("read", DEMO, "--filter", "tcp and (port 80 or vlan)")
    assert done.returncode == 0, done.stderr
    assert '"action":"opened"' in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("flows", DEMO, "-o", "x.parquet"), 2),
        (("flows", GOLDEN_LOG), 2),
        (("flows", GOLDEN_LOG, "--where", "src:10.0.0.1", "-o", "x.csv"), 2),
        (("read", DEMO, "-q", "--flows", "log"), 3),
    ],
)
def test_what_reads_or_writes_parquet_says_which_extra_it_needs(
    arguments: tuple[str | Path, ...], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = without(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert "pip install 'flowvigil[tables]'" in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert list(tmp_path.iterdir()) == []


KEY = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
OUTPUTS = "outputs:\n  - {type: kafka, servers: localhost:9, topic: alerts}\n"
NEEDS = (
    ("detection.bundle_keys", KEY, "signed"),
    ("geoip.location", "cities.mmdb", "geo"),
    ("geoip.asn", "systems.mmdb", "geo"),
    ("flow_log.directory", "log", "tables"),
)


def test_check_and_what_uses_a_setting_say_alike_which_extra_it_needs(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(OUTPUTS)
    told = [f"{name}: expected the extra: pip install 'flowvigil[{extra}]'" for name, _, extra in NEEDS]
    kafka = "an output of type kafka: expected the extra: pip install 'flowvigil[kafka]'"
    named = [word for name, value, _ in NEEDS for word in ("--set", f"{name}={value}")]
    found = without("check", "-q", "-c", settings, *named)
    assert found.returncode == 3
    assert found.stderr.splitlines()[0].split(None, 2)[1:] == ["extras", "; ".join([*told, kafka])]
    for (name, value, _), line in zip(NEEDS, told, strict=True):
        done = without("read", DEMO, "-q", "--set", f"{name}={value}")
        assert (done.returncode, done.stdout, done.stderr) == (3, "", f"flowvigil: {line}\n")
    done = without("read", DEMO, "-q", "-c", settings)
    assert (done.returncode, done.stderr) == (3, f"flowvigil: {kafka}\n")

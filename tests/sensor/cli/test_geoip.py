"""Databases of where addresses belong as a user has them: read, report, check and SIGHUP."""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sensor.checks.geoip import geoip
from sensor.checks.result import CheckContext, CheckStatus, Observation, run_check
from sensor.cli.build import build_judge, build_meter, geo_databases, load_model
from sensor.cli.reload import GeoAgain
from sensor.errors import ConfigError
from sensor.settings.config import Config, GeoipSection
from tests.support.command import DEMO, Result, flowvigil
from tests.support.geo import EXAMPLE_NET, LYON, cities, systems

pytestmark = [pytest.mark.ux, pytest.mark.takes(6)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    directory = tmp_path_factory.mktemp("geo")
    settings = (f"geoip.location={cities(directory / 'c')}", f"geoip.asn={systems(directory / 's')}")
    return tuple(word for setting in settings for word in ("--set", setting))


@pytest.fixture(scope="module")
def placed(files: tuple[str, ...]) -> Result:
    return flowvigil("read", DEMO, *files)


def test_what_is_shown_is_never_judged(placed: Result) -> None:
    lines = [json.loads(line) for line in placed.stdout.splitlines()]
    for line in lines:
        for side in ("source", "destination"):
            assert line[side].pop("geo") == {"country_iso_code": "FR", "city_name": "Lyon"}
            assert line[side].pop("as") == {"number": 64500, "organization": {"name": "Example Net"}}
    assert lines == [json.loads(line) for line in flowvigil("read", DEMO).stdout.splitlines()]


def test_the_words_of_an_alert_say_it(placed: Result, files: tuple[str, ...], tmp_path: Path) -> None:
    log, page = tmp_path / "alerts.jsonl", tmp_path / "page.html"
    log.write_bytes(placed.stdout)
    identity = json.loads(placed.stdout.splitlines()[0])["event"]["id"]
    said = "203.0.113.45: Lyon, FR, AS64500 Example Net; 10.20.0.10: Lyon, FR, AS64500 Example Net"
    assert f"Networks    {said}" in flowvigil("alerts", "show", identity, log).stdout.decode()
    for inputs in ((log,), (DEMO, *files)):
        assert flowvigil("report", *inputs, "-o", page, "-q").code == 0
        assert f"<dt>Networks</dt><dd>{said}</dd>" in page.read_text()


def test_a_database_that_is_damaged_is_told_of_once_and_fails_nothing(tmp_path: Path) -> None:
    path = cities(tmp_path / "c", LYON | {"country": 1})
    found = flowvigil("read", DEMO, "--set", f"geoip.location={path}")
    assert found.code == 0
    assert [line for line in found.stderr if "damaged" in line][-1].endswith("(addresses without: 5)")
    events = [json.loads(line) for line in found.stdout.splitlines() if b'"geoip-damaged"' in line]
    assert [event["flowvigil"]["message"] for event in events] == [
        f"{path}: damaged, it does not tell of every address"
    ]


def test_a_file_that_is_none_ends_a_command_before_it_reads(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    for command in (("read", DEMO), ("report", DEMO, "-o", page)):
        found = flowvigil(*command, "--set", f"geoip.asn={tmp_path / 'none'}")
        assert (found.code, found.stdout) == (3, b"")
        assert found.stderr == [
            f"flowvigil: {tmp_path}/none: no such file or directory, expected a MaxMind DB of autonomous systems"
        ]
    assert not page.exists()


def checked(**paths: Path) -> Any:
    context = CheckContext(
        Config(geoip=GeoipSection(**paths)), (), Observation(""), load_model, build_meter, build_judge
    )
    return run_check("geoip", geoip, context)


@pytest.fixture
def readable() -> Iterator[Path]:
    """A directory that everybody may read."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path


def test_check_says_which_files_there_are_how_old_they_are_and_what_is_none(
    readable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checked().status is CheckStatus.SKIPPED
    path = cities(readable / "c")
    path.chmod(0o644)
    found = checked(location=path)
    assert (found.status, found.message) == (CheckStatus.OK, f"{path}: Example-City of {time.strftime('%Y-%m-%d')}")
    later_s = time.time() + 91 * 86_400
    monkeypatch.setattr(time, "time", lambda: later_s)
    found = checked(location=path)
    assert found.status is CheckStatus.WARNING
    assert found.detail == (f"{path} is older than 90 days: what it says of a network may be past",)
    found = checked(asn=path)
    assert (found.status, found.exit_code) == (CheckStatus.FAILED, 3)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who reads what its successor cannot")
def test_check_says_that_a_reload_could_not_read_a_file(readable: Path) -> None:
    path = cities(readable / "c")
    path.chmod(0o600)
    found = checked(location=path)
    assert found.status is CheckStatus.WARNING
    assert "SIGHUP will take over no changes" in found.detail[0]
    assert f"{path}: permission denied" in found.detail[0]


def test_a_new_file_is_asked_once_all_of_a_reload_went_well(tmp_path: Path) -> None:
    path = systems(tmp_path / "s")
    config = Config(geoip=GeoipSection(asn=path))
    watching: Any = SimpleNamespace(detection=SimpleNamespace(geo=geo_databases(config)))
    before = watching.detection.geo
    watching.detection.close_files = before.close
    again = GeoAgain(config)
    os.replace(systems(tmp_path / "new", EXAMPLE_NET | {"autonomous_system_number": 64501}), path)
    assert again.open(config, watching) == again.open(config, watching) == ""  # something else was wrong
    assert watching.detection.geo is before
    assert again.take_over(config, watching) == "1 database of addresses opened anew"
    after = watching.detection.geo
    assert after.databases[0].record("192.0.2.1")["autonomous_system_number"] == 64501
    path.write_bytes(b"no database")
    with pytest.raises(ConfigError, match="no MaxMind DB"):
        again.open(config, watching)
    assert watching.detection.geo is after
    after.close()

"""flowvigil promote --fleet: what lies beside the list, who should have it, and that a sensor's check holds it to that.

The comparison itself is tried in tests/sensor/cli/test_promote.py.
"""

import hashlib
import json
import shutil
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from sensor.cli import app
from sensor.cli.build import bundle_path, load_model
from sensor.cli.promoting_fleet import FleetPromotion
from sensor.errors import NOT_MET
from sensor.files.unfinished import lock
from sensor.fleet.wanted import read_wanted, wanted_path
from sensor.settings.config import Config, effective_config
from tests.support.command import flowvigil
from training.evaluation.promotion.record import Decision

FLEET = """sensors:
  - {name: gw1, site: berlin, group: canary}
  - {name: gw2, site: berlin}
"""


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The names of the bundles that were compared; whatever is compared is promoted."""
    seen: list[tuple[str, str]] = []

    def decided(_: object, models: Any) -> tuple[Decision, dict[str, Any]]:
        seen.append((models[0].model_id, models[1].model_id))
        return Decision((), False, "", "2026-03-02T00:00:00+00:00", "0.1.0", 0.01), {"compared": len(seen)}

    monkeypatch.setattr(import_module("sensor.cli.promote").Trials, "decided", decided)
    return seen


def promoted(*arguments: Any) -> int | None:
    code: int | None = app(["promote", *map(str, arguments)], standalone_mode=False, prog_name="flowvigil")
    return code


def renamed(to: Path, name: str) -> Path:
    """A copy of the shipped bundle under another name."""
    shutil.copytree(bundle_path(None), to)
    manifest = json.loads((to / "manifest.json").read_text())
    manifest["model_id"] = name
    (to / "manifest.json").write_text(json.dumps(manifest))
    return to


def test_a_bundle_goes_to_the_canaries_first_and_then_to_all_without_a_second_comparison(
    tmp_path: Path, compared: list[tuple[str, str]]
) -> None:
    fleet, new = tmp_path / "fleet.yaml", renamed(tmp_path / "new", "new")
    fleet.write_text(FLEET)
    assert promoted("default", "--over", "default", "--fleet", fleet) == 0
    first = read_wanted(wanted_path(fleet)).sensors["gw1"]
    assert promoted(new, "--over", "default", "--fleet", fleet, "--group", "canary") == 0
    wanted = read_wanted(wanted_path(fleet))
    assert (wanted.of("gw2"), len(wanted.bundles)) == (first, 2)
    second = wanted.sensors["gw1"]
    place = fleet.parent / wanted.bundles[second].directory
    assert place == tmp_path / "fleet.bundles" / second
    assert {name: hashlib.sha256((place / name).read_bytes()).hexdigest() for name in wanted.bundles[second].files} == (
        wanted.bundles[second].files
    )
    assert wanted.bundles[second].files["manifest.json"] == second
    assert promoted(new, "--fleet", fleet) == 0
    assert set(read_wanted(wanted_path(fleet)).sensors.values()) == {second}
    assert promoted(tmp_path / "fleet.bundles" / first, "--fleet", fleet) == 0  # and back
    assert set(read_wanted(wanted_path(fleet)).sensors.values()) == {first}
    assert compared == [("default", "default"), ("default", "new")]


def test_two_promotions_at_once_are_both_kept_and_leftovers_of_killed_ones_go(
    tmp_path: Path, compared: list[tuple[str, str]]
) -> None:
    fleet, new = tmp_path / "fleet.yaml", renamed(tmp_path / "new", "new")
    fleet.write_text(FLEET.replace("site: berlin}", "site: berlin, group: others}"))
    model = load_model(effective_config().config)
    to_others = FleetPromotion.of(fleet, "others")  # begun before the next one, ended behind it
    (tmp_path / "fleet.bundles" / f".{'0' * 64}.new-0").mkdir(parents=True)
    assert promoted(new, "--over", "default", "--fleet", fleet, "--group", "canary") == 0
    assert [path.name[:1] != "." for path in (tmp_path / "fleet.bundles").iterdir()] == [True]
    before = read_wanted(wanted_path(fleet)).sensors["gw1"]
    with fleet.open("rb") as stream:
        lock(stream.fileno())
        waiting = threading.Thread(
            target=lambda: to_others.want(to_others.lay(bundle_path(None), model, {}, Config()), model)
        )
        waiting.start()
        waiting.join(0.2)
        assert "gw2" not in read_wanted(wanted_path(fleet)).sensors
    waiting.join(20)
    wanted = read_wanted(wanted_path(fleet)).sensors
    assert wanted["gw1"] == before
    assert wanted["gw2"] != before
    assert compared


def test_a_sensor_is_held_to_what_the_fleet_wants(tmp_path: Path, compared: list[tuple[str, str]]) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(FLEET)
    assert promoted("default", "--over", "default", "--fleet", fleet) == 0
    assert compared
    wanted = read_wanted(wanted_path(fleet)).sensors["gw1"]
    here = ("--set", "sensor.name=gw1", "--fleet", fleet, "--json")

    def checked(*arguments: Any) -> dict[str, Any]:
        results = map(json.loads, flowvigil("check", *arguments, *here).stdout.splitlines())
        return next(each for each in results if each["check"] == "fleet")

    assert checked("-m", tmp_path / "fleet.bundles" / wanted)["status"] == "ok"
    other = checked()
    assert (other["status"], other["exit_code"]) == ("failed", NOT_MET)
    stranger = flowvigil("check", "--set", "sensor.name=gw9", "--fleet", fleet)
    assert stranger.code == 3


def test_what_cannot_be_is_refused(tmp_path: Path, compared: list[tuple[str, str]]) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    assert flowvigil("promote", "default", "--fleet", tmp_path / "fleet.yaml").code == 2  # over what?
    assert flowvigil("promote", "default", "--over", "default", "--group", "canary").code == 2
    nosuch = ("promote", "default", "--over", "default", "--fleet", tmp_path / "fleet.yaml", "--group", "nosuch")
    assert flowvigil(*nosuch).code == 3
    assert not compared

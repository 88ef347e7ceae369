"""flowvigil selftest: every technique found, nothing told on normal traffic, and an exit code where that fails."""

import json
from typing import Any

import pytest

from sensor.episodes.shapes import SHAPES
from tests.support.command import Result, flowvigil
from training.labels import right_names

pytestmark = [pytest.mark.ux, pytest.mark.takes(12)]


@pytest.fixture(scope="module")
def passed() -> Result:
    """The self-test of the shipped sensor, as JSON lines."""
    return flowvigil("selftest", "--json")


def records(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def of_kind(result: Result, kind: str) -> list[dict[str, Any]]:
    return [record for record in records(result) if record["kind"] == kind]


def test_the_shipped_sensor_finds_and_names_every_attack_and_tells_nothing_of_normal_traffic(passed: Result) -> None:
    attacks, normal = of_kind(passed, "attack"), of_kind(passed, "normal")
    assert [record["episode"] for record in attacks if not (record["found"] and record["right"])] == []
    assert [record["scenario"] for record in normal if record["alerts"]] == []
    assert (passed.code, len(attacks) >= 25, len(normal) >= 20) == (0, True, True)
    assert records(passed)[-1]["passed"] is True


def test_every_technique_of_a_shape_is_tried_by_its_own_name(passed: Result) -> None:
    tried = {record["technique"] for record in of_kind(passed, "attack")}
    assert {shape.technique for shape in SHAPES} <= tried
    assert {name for technique in tried for name in right_names(technique)} >= {"T1595", "T1572", "T1018"}


def test_what_a_label_names_and_no_traffic_shows_is_said(passed: Result) -> None:
    assert records(passed)[-1]["untried"] == ["T1190"]


def test_how_long_each_took_is_traffic_time(passed: Result) -> None:
    seconds = {record["episode"]: record["seconds"] for record in of_kind(passed, "attack")}
    assert 0 <= seconds["portscan"] < 60
    assert 3600 < seconds["tls-beacon"] < 3 * 3600  # 24 gaps of 300 s


def test_a_sensor_that_misses_attacks_fails_with_11_and_names_them() -> None:
    deaf = flowvigil("selftest", "--set", "meter.active_timeout_s=1", "--set", "meter.idle_timeout_s=1")
    lines = deaf.stdout.decode().splitlines()
    assert deaf.code == 11
    assert lines[0].split() == ["Technique", "Scenario", "Found", "Named", "Sure", "Told", "after"]
    assert any(line.startswith("T1046      portscan") and " yes " in line for line in lines)
    assert any(line.startswith("T1571      held-channel") and " NO " in line for line in lines)
    assert max(map(len, lines)) <= 80
    assert "26 of 28 attacks found and rightly named, no alerts on 20 kinds of normal traffic" in deaf.stderr[-1]
    assert "missed held-channel, icmp-tunnel" in deaf.stderr[-1]


def test_a_bundle_that_a_flow_sensor_cannot_use_is_refused_in_one_line() -> None:
    refused = flowvigil("selftest", "-m", "nsl-kdd")
    assert (refused.code, len(refused.stderr)) == (4, 1)
    assert "found columns that need payloads" in refused.stderr[0]

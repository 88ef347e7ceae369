"""Scenarios of the lab: those that come with it hold, and a wrong one is named with its place."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.training.lab.sites import SHIPPED, SMALL, scenario_of, written
from training.errors import ScenarioError
from training.lab.reading import read_scenario

SCENARIOS = sorted(SHIPPED.glob("*.yaml"))


def changed(*path: Any, to: Any) -> dict[str, Any]:
    """The small scenario with one value changed; None takes it away."""
    content = deepcopy(SMALL)
    part: Any = content
    for key in path[:-1]:
        part = part[key]
    if to is None:
        del part[path[-1]]
    else:
        part[path[-1]] = to
    return content


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_shipped_scenario_is_valid_and_named_as_its_file(path: Path) -> None:
    scenario, digest = read_scenario(path)
    assert scenario.name == path.stem
    assert len(digest) == 64
    assert scenario.attacks


def test_the_sites_are_at_least_three_and_of_ten_minutes() -> None:
    long = [scenario for path in SCENARIOS if (scenario := read_scenario(path)[0]).duration_s >= 600]
    assert len({(s.domain, s.resolver) for s in long}) >= 3


@pytest.mark.parametrize(
    ("path", "to", "problem"),
    [
        (("speed",), 3, 'unknown key "speed"'),
        (("duration_s",), 999_999, "duration_s: .*less than or equal to 3600"),
        (("segments", "lan", "colour"), "red", r'unknown key "segments\.lan\.colour"'),
        (("hosts", "desk", "link"), "radio", "unknown link of host desk 'radio', expected one of wired"),
        (("hosts", "desk", "segment"), "moon", "unknown segment of host desk 'moon'"),
        (("hosts", "desk", "habits"), ["idler"], "unknown habit of host desk 'idler'"),
        (("hosts", "router"), SMALL["hosts"]["desk"], "a host or segment named router"),
        (("hosts", "desk", "stack"), "amiga", "unknown stack 'amiga'"),
        (("hosts", "desk", "address"), "10.1.1.2", "hosts server and desk both have 10.1.1.2"),
        (("hosts", "desk", "address"), "10.1.1.1", "host desk has the router's address"),
        (("hosts", "server", "services"), ["dns", "gopher"], "unknown service 'gopher'"),
        (("hosts", "server", "services"), ["dns", "iodine"], "services dns and iodine have one port"),
        (("hosts", "server", "services"), ["dns", "ssh"], "needs the service http"),
        (("resolver",), "desk", "host desk has no service dns"),
        (("habits", "clerk", "actions", "juggle"), ["server"], "unknown action 'juggle'"),
        (("habits", "clerk", "actions", "browse"), ["nobody"], "unknown host of habit clerk 'nobody'"),
        (("habits", "clerk", "weights"), {"film": 2}, "unknown action of this habit 'film'"),
        (("attacks", 0, "tool"), "abacus", "unknown tool 'abacus'"),
        (("attacks", 0, "targets"), ["nobody"], "unknown host of attack scan 'nobody'"),
        (("attacks", 0, "at_s"), 110, "attack scan ends at 130 s, expected 120 s or before"),
        (("attacks", 0, "packets"), 10**9, "less than or equal to 200000"),
        (("attacks", 0, "through"), "server", "tool nmap-syn goes through server, expected nothing"),
        (("attacks", 1, "name"), "scan", "two attacks are named scan"),
        (("attacks", 0, "tool"), "hydra-ftp", "needs the service ftp, host server has none"),
        (("name",), None, "name: Field required"),
    ],
)
def test_a_wrong_scenario_is_one_line_with_its_place(tmp_path: Path, path: Any, to: Any, problem: str) -> None:
    with pytest.raises(ScenarioError, match=problem) as error:
        read_scenario(written(tmp_path, changed(*path, to=to)))
    assert error.value.line is not None
    assert "\n" not in str(error.value)


def test_an_attack_that_looks_like_a_user_of_its_host_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="browse of habit clerk of host desk cannot be told apart"):
        scenario_of(tmp_path, changed("attacks", 0, "source", to="desk"))


def test_two_attacks_that_look_alike_must_not_meet(tmp_path: Path) -> None:
    again = {**SMALL["attacks"][0], "name": "again", "at_s": 34}
    with pytest.raises(ScenarioError, match="attacks scan and again cannot be told apart"):
        scenario_of(tmp_path, changed("attacks", to=[*SMALL["attacks"], again]))
    again["at_s"] = 36  # five seconds after the other one's end
    assert len(scenario_of(tmp_path, changed("attacks", to=[*SMALL["attacks"], again])).attacks) == 3

"""Scenarios of the lab: those that come with it hold, and a wrong one is named with its place."""

from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.training.lab.sites import DUAL, SHIPPED, SMALL, scenario_of, written
from training.errors import ScenarioError
from training.lab.claims import ambiguities
from training.lab.orders import order_of, orders_of, reaches_of
from training.lab.reading import read_scenario

SCENARIOS = sorted(SHIPPED.glob("*.yaml"))


def changed(*path: Any, to: Any, of: dict[str, Any] = SMALL) -> dict[str, Any]:
    """The small scenario with one value changed; None takes it away."""
    content = deepcopy(of)
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
        (("duration_s",), 999_999, "duration_s: expected 3600 or less, found 999999"),
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
        (("attacks", 0, "at_s"), [20, 101], "attack scan ends at 121 s, expected 120 s or before"),
        (("attacks", 0, "at_s"), [20, 10], "20 to 10, expected the lower end first"),
        (("attacks", 0, "at_s"), [20, 30, 40], "at_s"),
        (("attacks", 0, "rate"), [0, 10], "rate.0: expected more than 0, found 0"),
        (("attacks", 0, "ip"), 6, "attack scan by IPv6: its tool or one of its hosts has none"),
        (("attacks", 0, "ip"), 5, "ip"),
        (("hosts", "desk", "address6"), "2001:db8::3", "expected a network6 of its segment lan"),
        (("attacks", 0, "packets"), 10**9, "packets: expected 200000 or less, found 1000000000"),
        (("attacks", 0, "through"), "server", "tool nmap-syn goes through server, expected nothing"),
        (("attacks", 1, "name"), "scan", "two attacks are named scan"),
        (("attacks", 0, "tool"), "hydra-ftp", "needs the service ftp, host server has none"),
        (("name",), None, "name: is missing"),
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


@pytest.mark.parametrize(
    ("path", "to", "problem"),
    [
        (("hosts", "desk", "address6"), "2001:db8:1::1", "host desk has the router's address 2001:db8:1::1"),
        (("hosts", "desk", "address6"), "2001:db8:1::2", "hosts server and desk both have 2001:db8:1::2"),
        (("links", "wired", "mtu"), 1000, "an mtu of 1000, expected 1280"),
        (("attacks", 1, "ip"), 6, "attack flood by IPv6: its tool or one of its hosts has none"),
        (("ipv6_share",), 2, "ipv6_share"),
    ],
)
def test_what_ipv6_needs_is_checked(tmp_path: Path, path: Any, to: Any, problem: str) -> None:
    with pytest.raises(ScenarioError, match=problem):
        read_scenario(written(tmp_path, changed(*path, to=to, of=DUAL)))


def test_what_is_a_span_is_drawn_from_it_by_the_seed(tmp_path: Path) -> None:
    content = deepcopy(SMALL)
    content["attacks"] = [{**SMALL["attacks"][0], "at_s": [10, 60], "for_s": [20, 40], "rate": [50, 150]}]
    path = written(tmp_path, content)
    drawn = []
    for seed in (1, 1, 2, 3):
        scenario, _ = read_scenario(path, seed)
        drawn.append(order_of(scenario.attacks[0], scenario))
    assert drawn[0] == drawn[1]
    assert len({(order.at_s, order.for_s, order.rate) for order in drawn}) == 3
    assert all(10 <= order.at_s <= 60 and 20 <= order.for_s <= 40 and 50 <= order.rate <= 150 for order in drawn)


def test_attacks_that_look_alike_must_not_meet_at_the_seed_that_is_asked_for(tmp_path: Path) -> None:
    again = {**SMALL["attacks"][0], "name": "again", "at_s": [10, 90]}
    path = written(tmp_path, changed("attacks", to=[SMALL["attacks"][0], again]))
    told_apart = []
    for seed in range(20):
        with suppress(ScenarioError):
            told_apart.append(read_scenario(path, seed)[0])
    starts = [order_of(scenario.attacks[1], scenario).at_s for scenario in told_apart]
    assert 0 < len(starts) < 20
    assert min(starts) > 35


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_attacks_of_a_shipped_site_can_be_told_apart_at_any_seed(path: Path) -> None:
    scenario, _ = read_scenario(path)
    starts = set()
    for seed in range(12):
        other = scenario.model_copy(update={"seed": seed})
        orders = orders_of(other)
        assert list(ambiguities(other, orders, reaches_of(other))) == []
        starts.add(tuple(order.at_s for order in orders.values()))
    assert len(starts) == 12


def test_a_share_of_attacks_goes_by_ipv6_where_all_have_it(tmp_path: Path) -> None:
    path = written(tmp_path, DUAL)
    scenarios = [read_scenario(path, seed)[0] for seed in range(60)]
    versions = [[order_of(attack, scenario).ip for attack in scenario.attacks] for scenario in scenarios]
    assert 15 < [scan for scan, _ in versions].count(6) < 45
    assert {flood for _, flood in versions} == {4}  # its tool knows none

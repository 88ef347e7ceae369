"""Services, actions and attacks: each is whole, bounded, and stands in the documentation."""

from functools import cache
from pathlib import Path

import pytest

from flows.truth import BENIGN
from tests.training.lab.sites import DUAL, SHIPPED, scenario_of
from training.lab.actions import ACTIONS
from training.lab.attacks import ATTACKS
from training.lab.attacks.tool import Order, Tool
from training.lab.orders import site_of
from training.lab.place import Place
from training.lab.reading import read_scenario
from training.lab.scenario import Scenario
from training.lab.services import SERVICES

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "lab.md"


def order(tool: Tool, **changed: object) -> Order:
    given: dict[str, object] = {
        "name": "episode",
        "targets": ("intranet",),
        "through": None if tool.through_service is None else "dns",
        "at_s": 5.0,
        "for_s": 30.0,
        "packets": 600,
        "rate": 20.0,
        "seed": 5,
    }
    return Order(**{**given, **changed})  # type: ignore[arg-type]


@cache
def sites() -> tuple[Scenario, ...]:
    return tuple(read_scenario(path)[0] for path in sorted(SHIPPED.glob("*.yaml")))


@pytest.fixture
def attacker(tmp_path: Path) -> Place:
    """A host of the office that attacks."""
    office = next(site for site in sites() if site.name == "office")
    return Place("visitor", site_of(office, tmp_path), tmp_path)


@pytest.mark.parametrize("tool", ATTACKS.values(), ids=lambda tool: tool.name)
def test_a_tool_has_commands_the_same_at_a_seed_and_says_which_flows_are_its(tool: Tool, attacker: Place) -> None:
    commands = tool.commands(attacker, order(tool))
    assert commands == tool.commands(attacker, order(tool))
    assert commands
    assert all(isinstance(word, str) for command in commands for word in command)
    assert tool.technique.startswith("T1")
    reaches = tool.reaches(attacker, order(tool))
    assert reaches
    assert all(reach.ports and reach.targets for reach in reaches)


@pytest.mark.parametrize("name", ["nmap-syn", "nmap-connect", "nmap-fin", "nmap-udp", "masscan"])
def test_a_scan_asks_no_more_ports_than_it_may_send_packets(name: str, attacker: Place) -> None:
    (command,) = ATTACKS[name].commands(attacker, order(ATTACKS[name], targets=("intranet", "files")))
    assert command[command.index("-p") + 1] == "1-300"


@pytest.mark.parametrize("name", ["syn-flood", "syn-flood-forged", "udp-flood", "icmp-flood"])
def test_a_flood_is_bounded_by_packets_and_by_time(name: str, attacker: Place) -> None:
    counts = [
        command[command.index("-c") + 1]
        for asked in ({"packets": 100}, {"packets": 10_000, "rate": 20.0, "for_s": 30.0})
        for command in ATTACKS[name].commands(attacker, order(ATTACKS[name], **asked))
    ]
    assert counts == ["100", "600"]


def test_every_tool_is_used_by_some_site() -> None:
    used = {attack.tool for site in sites() for attack in site.attacks}
    assert set(ATTACKS) - used == set()


def test_every_service_and_action_is_used_by_some_site() -> None:
    services = {service for site in sites() for host in site.hosts.values() for service in host.services}
    actions = {action for site in sites() for habit in site.habits.values() for action in habit.actions}
    assert (set(SERVICES) - services, set(ACTIONS) - actions) == (set(), set())


def test_what_needs_a_program_says_in_which_package_it_comes() -> None:
    for each in (*SERVICES.values(), *ACTIONS.values(), *ATTACKS.values()):
        assert bool(each.programs) == bool(each.packages), each.name


def test_no_user_is_taken_for_an_attack() -> None:
    assert BENIGN not in {tool.technique for tool in ATTACKS.values()}


def test_the_documentation_names_them_all() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [name for name in (*SERVICES, *ACTIONS, *ATTACKS) if f"`{name}`" not in text] == []


def test_what_works_by_ipv6_asks_services_that_answer_there() -> None:
    lacking = [
        action.name
        for action in ACTIONS.values()
        if action.ipv6 and not (SERVICES[action.service].ipv6 if action.service else True)
    ]
    assert lacking == []


def test_a_host_that_is_asked_by_ipv6_has_a_name_for_that_and_brackets_in_urls(tmp_path: Path) -> None:
    site = site_of(scenario_of(tmp_path, DUAL), tmp_path)
    assert (site.name("server"), site.in_url("server")) == ("server.small.test", "10.1.1.2")
    six = site.by(6)
    assert (six.name("server"), six.in_url("server")) == ("server.ip6.small.test", "[2001:db8:1::2]")
    assert six.by(4) == six
    assert site.by(4) == site


@pytest.mark.parametrize("tool", [tool for tool in ATTACKS.values() if tool.ipv6], ids=lambda tool: tool.name)
def test_a_tool_that_is_sent_by_ipv6_is_told_no_ipv4_address(tool: Tool, tmp_path: Path) -> None:
    site = site_of(scenario_of(tmp_path, DUAL), tmp_path).by(6)
    place, asked = Place("mallory", site, tmp_path), order(tool, targets=("server",), ip=6)
    commands = tool.commands(place, asked)
    assert any("2001:db8:1::2" in word for command in commands for word in command)
    assert not any("10.1.1.2" in word for command in commands for word in command)
    assert {network.version for reach in tool.reaches(place, asked) for network in reach.targets} == {6}

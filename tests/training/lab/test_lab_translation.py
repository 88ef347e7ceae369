"""Address translation: who it was outside is told by the ports that each host has there."""

from copy import deepcopy
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from tests.training.lab.sites import SMALL, TRANSLATED, scenario_of
from training.errors import ScenarioError
from training.lab.claims import Claims, Ends, benign_claims, host_addresses
from training.lab.labelling import label
from training.lab.packets import IPV4, LabPacket
from training.lab.programs import packages_used
from training.lab.traffic import ICMP, TCP, UDP
from training.lab.translation import FIRST_PORT, MOST_PORTS, ClaimsOutside, translation_of

PUBLIC, NEWS, ONE, TWO = "192.0.2.1", "5.1.1.3", "10.1.2.3", "10.1.2.4"


def ends(protocol: int, initiator: str, initiator_port: int, target: str, target_port: int) -> Ends:
    return Ends(protocol, int(IPv4Address(initiator)), initiator_port, int(IPv4Address(target)), target_port)


def changed(**parts: dict[str, Any]) -> dict[str, Any]:
    """The translated scenario, with some parts of it changed."""
    content = deepcopy(TRANSLATED)
    for key, part in parts.items():
        content[key].update(part)
    return content


def test_a_scenario_without_masquerading_has_no_translation(tmp_path: Path) -> None:
    assert translation_of(scenario_of(tmp_path, SMALL)) is None


def test_each_host_has_ports_of_its_own_and_they_turn_the_translation_back(tmp_path: Path) -> None:
    translation = translation_of(scenario_of(tmp_path, TRANSLATED))
    assert translation is not None
    one, two = translation.blocks
    assert (str(one.host), one.low, one.high) == (ONE, FIRST_PORT, FIRST_PORT + MOST_PORTS - 1)
    assert two.low == one.high + 1
    for block, host in ((one, ONE), (two, TWO)):
        for protocol in (TCP, UDP):
            for port in (block.low, block.high):
                asked = ends(protocol, PUBLIC, port, NEWS, 80)
                assert list(translation.turned_back(asked)) == [ends(protocol, host, port, NEWS, 80)]
                answer = asked.turned()
                assert list(translation.turned_back(answer)) == [ends(protocol, NEWS, 80, host, port)]
    assert list(translation.turned_back(ends(TCP, PUBLIC, 60_000, NEWS, 80))) == []
    untouched = ends(TCP, "10.1.1.3", 50_000, NEWS, 80)
    assert list(translation.turned_back(untouched)) == [untouched]
    echo = ends(ICMP, PUBLIC, 0, NEWS, 0)
    assert list(translation.turned_back(echo)) == [ends(ICMP, host, 0, NEWS, 0) for host in (ONE, TWO)]


def test_the_rules_give_each_host_its_ports_and_name_what_is_dropped(tmp_path: Path) -> None:
    translation = translation_of(scenario_of(tmp_path, TRANSLATED))
    assert translation is not None
    rules = translation.rules()
    for block in translation.blocks:
        assert f"ip saddr {block.host} meta l4proto {{ tcp, udp }} snat to {PUBLIC}:{block.low}-{block.high}" in rules
    assert 'iifname "outside" oifname { "guests" } ct state != { established, related } drop' in rules
    assert f"ip saddr != {{ {ONE}, {TWO} }} drop" in rules


def test_ports_suffice_for_as_many_hosts_as_there_may_be(tmp_path: Path) -> None:
    guests = {
        f"g{number}": {"segment": "guests", "address": f"10.1.2.{number}", "link": "wired"} for number in range(10, 68)
    }
    translation = translation_of(scenario_of(tmp_path, changed(hosts=guests)))
    assert translation is not None
    assert translation.blocks[-1].high <= 65_535


def test_flows_outside_are_told_by_what_hosts_inside_do(tmp_path: Path) -> None:
    scenario = scenario_of(tmp_path, TRANSLATED)
    translation = translation_of(scenario)
    assert translation is not None
    claims = ClaimsOutside(Claims(benign_claims(scenario), host_addresses(scenario)), translation)
    one, two = (ends(TCP, PUBLIC, block.low + 7, NEWS, 80) for block in translation.blocks)
    nobody = ends(TCP, PUBLIC, translation.blocks[0].low, NEWS, 81)
    sent = [one, two.turned(), one.turned(), nobody]
    packets = [LabPacket(number, bytes(6), IPV4, each, None, False, False) for number, each in enumerate(sent)]
    found = label(packets, claims).truths
    assert [(truth.scenario, truth.initiator, truth.packets) for truth in found] == [
        ("one/guest/browse", PUBLIC, 2),
        ("two/guest/browse", PUBLIC, 1),
        ("unaccounted", PUBLIC, 1),
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (changed(segments={"lan": {"network": "10.1.1.0/24", "masquerades": ["guests"]}}), "expected one that does"),
        (changed(segments={"outside": {"network": "192.0.2.0/24", "masquerades": ["moon"]}}), "segment behind outside"),
        (changed(segments={"outside": {"network": "192.0.2.0/24", "masquerades": ["outside"]}}), "behind outside"),
        (
            {**TRANSLATED, "attacks": [{**SMALL["attacks"][0], "targets": ["one"]}]},
            "attack scan goes to one, which stands behind the router's address",
        ),
        (
            changed(habits={"guest": {"pace_s": 2, "actions": {"ping": ["news"]}}}),
            "echoes of ping of habit guest of host one and ping of habit guest of host two cannot be told apart",
        ),
        (
            {
                **changed(
                    hosts={
                        "news": {**TRANSLATED["hosts"]["news"], "services": ["http", "dns"]},
                        "zone": {**TRANSLATED["hosts"]["news"], "address": "5.1.1.4", "services": ["iodine"]},
                    }
                ),
                "attacks": [
                    {
                        "name": "tunnel",
                        "tool": "iodine",
                        "source": "one",
                        "targets": ["zone"],
                        "through": "news",
                        "at_s": 1,
                        "for_s": 9,
                    }
                ],
            },
            "attack tunnel is told by its ports, which are others in segment outside",
        ),
    ],
)
def test_what_translation_does_not_let_through_or_tell_apart_is_refused(
    tmp_path: Path, content: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ScenarioError, match=problem):
        scenario_of(tmp_path, content)


def test_a_user_outside_may_not_ask_a_host_behind_the_address(tmp_path: Path) -> None:
    content = changed(habits={"caller": {"pace_s": 2, "actions": {"ping": ["one"]}}})
    content["hosts"]["news"]["habits"] = ["caller"]
    with pytest.raises(ScenarioError, match="habit caller of host news goes to one"):
        scenario_of(tmp_path, content)


def test_the_packet_filter_is_named_among_what_a_scenario_needs(tmp_path: Path) -> None:
    assert "nftables" in packages_used(scenario_of(tmp_path, TRANSLATED))
    assert "nftables" not in packages_used(scenario_of(tmp_path, SMALL))

"""What users do when: the same at a seed, whoever else there is."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from random import Random

from tests.training.lab.sites import DUAL, SMALL, scenario_of
from training.lab.actions import ACTIONS
from training.lab.orders import site_of
from training.lab.place import Place
from training.lab.schedule import users_of


def test_the_same_seed_gives_the_same_actions_and_another_seed_others(tmp_path: Path) -> None:
    first, second = (users_of(scenario_of(tmp_path)) for _ in range(2))
    other = users_of(scenario_of(tmp_path, {**SMALL, "seed": 4}))
    assert first == second
    assert first[0].actions
    assert first != other


def test_a_user_does_the_same_whoever_else_there_is(tmp_path: Path) -> None:
    content = deepcopy(SMALL)
    content["hosts"]["second"] = {"segment": "lan", "address": "10.1.1.4", "link": "wired", "habits": ["clerk"]}
    alone, with_others = users_of(scenario_of(tmp_path)), users_of(scenario_of(tmp_path, content))
    assert with_others[0] == alone[0]
    assert with_others[1].actions != alone[0].actions


def test_actions_come_in_order_and_within_the_time_and_as_often_as_their_pace(tmp_path: Path) -> None:
    content = {**SMALL, "duration_s": 3600}
    (user,) = users_of(scenario_of(tmp_path, content))
    times = [planned.at_s for planned in user.actions]
    assert times == sorted(times)
    assert times[-1] < 3600
    assert 3600 / 5 * 0.8 < len(times) < 3600 / 5 * 1.25
    assert {planned.action for planned in user.actions} == {"browse", "ssh-session"}


def test_a_program_keeps_its_pace(tmp_path: Path) -> None:
    content = deepcopy(SMALL)
    content["habits"]["clerk"]["regular"] = True
    (user,) = users_of(scenario_of(tmp_path, content))
    assert all(4.9 < planned.pause_s < 5.1 for planned in user.actions[1:])


def test_every_action_draws_the_same_commands_from_the_same_stream(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for number in range(43):
        (tmp_path / f"wireguard-{number}.key").write_text("k", encoding="ascii")
    place = Place("desk", site_of(scenario_of(tmp_path), tmp_path), tmp_path)
    for action in ACTIONS.values():
        if action.service == "wireguard":
            continue  # makes keys, which are nobody's to foresee
        first, second = (action.steps(place, "server", Random(5)) for _ in range(2))
        assert first == second, action.name
        assert first, action.name
        assert all(step.command and step.pause_s >= 0 for step in first), action.name


def test_a_share_of_actions_goes_by_ipv6_and_nothing_else_changes(tmp_path: Path) -> None:
    long = {"duration_s": 1200}
    (user,) = users_of(scenario_of(tmp_path, {**DUAL, **long}))
    (by_ipv4,) = users_of(scenario_of(tmp_path, {**SMALL, **long}))
    assert tuple(replace(planned, ip=4) for planned in user.actions) == by_ipv4.actions
    assert 0.4 < sum(planned.ip == 6 for planned in user.actions) / len(user.actions) < 0.6
    (never,) = users_of(scenario_of(tmp_path, {**DUAL, **long, "ipv6_share": 0}))
    assert never == by_ipv4

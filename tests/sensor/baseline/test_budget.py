"""Thresholds for so many alerts a day, by what a learning period would have given at each."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from sensor.baseline.budget import GRID, OFF, PARTS, Period, choose, poisson_interval
from sensor.baseline.habits import habits_of
from sensor.episodes.candidates import Candidate
from sensor.episodes.settings import FLOWS_BETWEEN_FALSE_OPENINGS

DAY_NS = 86_400_000_000_000


def period(days: float = 4.0, flows: int = 400_000) -> Period:
    return Period(0, round(days * DAY_NS), days, tuple(range(PARTS)), flows)


def claim(
    kind: str = "unusual", at_days: float = 0.0, source: str = "10.0.0.1", level: float = 1.0, *, attack: bool = False,
    until_days: float | None = None, destination: str = "10.0.0.2",
) -> Candidate:  # fmt: skip
    until = at_days if until_days is None else until_days
    pair = (kind, source, None if kind in ("unusual", "scan") else destination, 443, 6)
    return Candidate(
        kind, source, destination, "source" if pair[2] is None else "pair", pair, level, attack, level >= 1,
        round(at_days * DAY_NS), round(until * DAY_NS), 20, (0,) * 18,
    )  # fmt: skip


class Made:
    """A site whose unusual traffic opens once a threshold's logarithm is below that of each of its hosts."""

    def __init__(self, days: float, evidence: np.ndarray, others: list[Candidate] = []) -> None:  # noqa: B006
        self.evidence, self.others = evidence, others
        at = np.linspace(0, days, len(evidence), endpoint=False)
        self.unusual = [claim(at_days=t, source=f"10.0.{i // 250}.{i % 250}") for i, t in enumerate(at)]

    def __call__(self, threshold: float, levels: Mapping[str, float]) -> list[Candidate]:
        opened = [
            replace(one, opened=bool(e >= np.log(threshold)))
            for one, e in zip(self.unusual, self.evidence, strict=True)
        ]
        told = [replace(o, opened=o.attack or o.level >= levels.get(o.kind, 1.0)) for o in self.others]
        return [*opened, *told]


@pytest.mark.parametrize("asked", [1.0, 5.0, 20.0])
def test_another_period_gives_about_as_many_alerts_as_were_asked_for(asked: float) -> None:
    draw, realised, within = np.random.default_rng(8), [], 0
    for _ in range(30):
        learnt, later = (Made(4, draw.exponential(3.0, 800)) for _ in range(2))
        found = choose(learnt, period(4), asked)
        realised.append(sum(one.opened for one in later(found.flows_between_false_openings, found.levels)) / 4)
        low, mean, high = found.expected
        assert low <= mean <= high
        within += low <= realised[-1] <= high
    assert asked / 1.5 <= np.mean(realised) <= 1.5 * asked
    assert within >= 24


def test_an_attacker_in_the_period_does_not_raise_the_thresholds() -> None:
    draw = np.random.default_rng(8)
    quiet = Made(4, draw.exponential(3.0, 800))
    attacked = Made(4, quiet.evidence)
    attacker = [claim(at_days=1 + i / 100, source="203.0.113.9", level=9.0) for i in range(60)]
    attacked.others = attacker
    before, after = choose(quiet, period(4), 5.0), choose(attacked, period(4), 5.0)
    assert after.flows_between_false_openings <= 3 * before.flows_between_false_openings


def test_claims_of_many_hosts_are_asked_for_more_and_those_of_one_are_not() -> None:
    many = [claim("guessing", i / 10, f"10.1.0.{i}", 1.2) for i in range(40)]
    found = choose(Made(4, np.zeros(0), many), period(4), 1.0)
    assert found.levels["guessing"] == 1.25
    one = [claim("beacon", i / 10, "10.1.0.1", 1.2) for i in range(40)]
    assert choose(Made(4, np.zeros(0), one), period(4), 1.0).levels.get("beacon", 1.0) <= 1.0


def test_what_strangers_do_often_makes_no_other_claim_harder_to_reach() -> None:
    scans = [claim("scan", i / 50, f"203.0.113.{i}", 1 + i / 200) for i in range(180)]
    calls = [claim("beacon", 0.5 + i, f"10.0.0.{i}", 1.2, destination=f"198.51.100.{i}") for i in range(2)]
    found = choose(Made(4, np.zeros(0), scans + calls), period(4), 1.0)
    assert found.levels == {"scan": 2.0}
    assert sum(one.opened for one in found.candidates) == 2
    many = [claim("beacon", i / 50, f"10.0.1.{i}", 1 + i / 50) for i in range(180)]
    assert choose(Made(4, np.zeros(0), scans + many), period(4), 1.0).levels == {"beacon": 4.0, "scan": 2.0}


def test_attacks_are_told_whatever_the_budget() -> None:
    attacks = [claim("scan", i / 20, f"10.1.0.{i}", 3.0, attack=True) for i in range(80)]
    found = choose(Made(4, np.zeros(0), attacks), period(4), 1.0)
    assert sum(one.opened for one in found.candidates) == 80
    assert found.levels.get("scan", 1.0) <= 2.0  # beyond doubt from there on


def test_who_asks_for_more_than_there_is_sees_what_comes_near_a_shape() -> None:
    near = [claim("scan", i / 50, f"10.1.{i // 250}.{i % 250}", 0.3 + 0.7 * i / 200) for i in range(200)]
    found = choose(Made(4, np.zeros(0), near), period(4), 10.0)
    told = sum(one.opened for one in found.candidates) / 4
    assert 5 <= told <= 10
    assert 0.35 <= found.levels["scan"] < 1
    assert set(found.levels) == {"scan"}  # of what never came near, nobody knows how often it would


def test_ten_minutes_do_not_lower_a_threshold() -> None:
    found = choose(Made(0.007, np.zeros(0)), period(0.007, 3000), 1.0)
    assert not found.shown
    assert found.flows_between_false_openings == pytest.approx(3000 / 0.007)
    assert found.levels == {}
    assert found.expected[2] > 100  # nobody knows
    assert (
        choose(Made(0.007, np.zeros(0)), period(0.007, 3000), 100.0).flows_between_false_openings
        >= FLOWS_BETWEEN_FALSE_OPENINGS
    )


def test_unusual_traffic_beyond_any_threshold_is_not_told_where_it_is_too_much() -> None:
    found = choose(Made(4, np.full(200, 23.0)), period(4), 1.0)
    assert found.flows_between_false_openings == OFF
    assert max(GRID) < OFF


def test_habits_hold_in_most_parts_and_are_no_attacks() -> None:
    always = claim("beacon", 0, until_days=4.0)
    once = claim("beacon", 1.0, "10.0.0.3", until_days=1.1)
    attack = claim("guessing", 0, "10.0.0.4", 3.0, attack=True, until_days=4.0)
    each_day = [claim("scan", i / 3, "10.0.0.5", 1.5, until_days=i / 3 + 0.1) for i in range(12)]
    never_told = claim("beacon", 0, "10.0.0.6", 0.8, until_days=4.0)
    found = habits_of([always, once, attack, *each_day, never_told], period(4))
    assert {(habit.kind, habit.source) for habit in found} == {("beacon", "10.0.0.1"), ("scan", "10.0.0.5")}
    assert habits_of([claim("beacon", 0, until_days=0.1)], period(0.1)) == []


def test_habits_do_not_use_up_the_budget() -> None:
    habit = [claim("beacon", i / 10, "10.0.0.1", 1.5) for i in range(40)]
    found = choose(Made(4, np.zeros(0), habit), period(4), 1.0, {habit[0].subject})
    assert found.expected[1] == 0


@pytest.mark.parametrize(("count", "low", "high"), [(0, 0, 3.69), (1, 0.0253, 5.57), (20, 12.2, 30.9)])
def test_intervals_are_garwoods(count: int, low: float, high: float) -> None:
    assert poisson_interval(count) == pytest.approx((low, high), rel=0.04, abs=0.02)


def two_days_of_a_year() -> Period:
    """A period with a hole of ten months."""
    hole = np.array([[DAY_NS, 300 * DAY_NS]], dtype=np.int64)
    return Period(0, 301 * DAY_NS, 2.0, tuple(range(PARTS)), 1000, hole)


def test_a_hole_is_no_part_of_a_period() -> None:
    two = two_days_of_a_year()
    assert two.heard_ns == 2 * DAY_NS
    found = [two.part(round(days * DAY_NS)) for days in (-1, 0, 0.9, 1, 200, 300.1, 301, 400)]
    assert found == [0, 0, 5, 5, 5, 6, 11, 11]
    assert [two.part(two.begin_of(part)) for part in range(PARTS)] == list(range(PARTS))
    assert [two.part(two.begin_of(part) - 1) for part in range(1, PARTS)] == list(range(PARTS - 1))


def test_two_moments_with_a_hole_between_them_are_no_habit() -> None:
    twice = [claim("scan", days, "10.0.0.5", until_days=days + 0.003) for days in (0.5, 300.5)]
    assert habits_of(twice, two_days_of_a_year()) == []


def test_numbers_stay_in_bounds_however_short_the_period_and_however_few_alerts_are_asked_for() -> None:
    found = choose(Made(0.0007, np.zeros(0)), period(0.0007, 10_000_000), 0.001)
    assert found.flows_between_false_openings == OFF
    low, mean, high = period(1e-9).interval([claim()])
    assert low <= mean <= high == 1e9

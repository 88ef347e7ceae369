"""Champion and challenger compared by pairs: what passes, and what each refusal rests on."""

from dataclasses import replace
from math import comb
from typing import Any

import pytest

from training.evaluation.promotion.comparison import MEASURES, RECALL_MARGIN, Comparison
from training.evaluation.promotion.latency import ROUNDS, Latency, measured, values_outside
from training.evaluation.promotion.paired import Pairs, more_than_chance, of_counts, of_flags
from training.evaluation.promotion.trials import Trial, TriedEpisode

BOTH, LOST, GAINED, NEITHER = (True, True), (True, False), (False, True), (False, False)
QUIET, MORE, FEWER = (0, 0), (0, 1), (1, 0)
FAST = Latency(1000, 5000.0, 5000.0, 1.0, (0.98, 1.02))


def episodes(family: str, *pairs: tuple[tuple[bool, bool], int], measure: str = "found") -> tuple[TriedEpisode, ...]:
    """Episodes with these results by one measure, and no difference by the others."""
    alike = dict.fromkeys(MEASURES, BOTH)
    return tuple(TriedEpisode(family, **{**alike, measure: pair}) for pair, count in pairs for _ in range(count))


def trial(name: str = "the fixed set", attacks: Any = (), hours: Any = ((QUIET, 400),)) -> Trial:
    every_hour = tuple(pair for pair, count in hours for _ in range(count))
    return Trial(name, "0" * 64, 1, tuple(attacks), every_hour)


def refusals(fixed: Trial, *given: Trial, latency: Latency = FAST) -> list[str]:
    return Comparison(fixed, given, latency).refusals()


def test_the_interval_holds_a_true_difference_as_often_as_it_says() -> None:
    """Over every outcome of few things, by its exact chance: at each end at most 5 % miss."""
    for n, p_worse, p_better in ((5, 0.1, 0.1), (12, 0.3, 0.05), (30, 0.02, 0.0), (20, 0.4, 0.4)):
        below = above = 0.0
        for worse in range(n + 1):
            for better in range(n + 1 - worse):
                same = n - worse - better
                chance = comb(n, worse) * comb(n - worse, better) * p_worse**worse * p_better**better
                chance *= (1 - p_worse - p_better) ** same
                low, high = Pairs(n, worse, better).interval
                below += chance * (p_better - p_worse < low)
                above += chance * (p_better - p_worse > high)
        assert below <= 0.05
        assert above <= 0.05


def test_of_nothing_and_of_little_nothing_is_shown() -> None:
    assert Pairs(0, 0, 0).interval == (-1.0, 1.0)
    for n, shown in ((1, False), (10, False), (35, False), (36, True), (200, True)):
        assert Pairs(n, 0, 0).no_worse_by(RECALL_MARGIN) is shown
    assert not Pairs(36, 1, 0).no_worse_by(RECALL_MARGIN)
    assert Pairs(60, 1, 0).no_worse_by(RECALL_MARGIN)
    assert not Pairs(60, 3, 0).no_worse_by(RECALL_MARGIN)


def test_pairs_count_what_differs() -> None:
    assert of_flags([BOTH, LOST, LOST, GAINED, NEITHER]) == Pairs(5, 2, 1)
    assert of_counts([QUIET, MORE, (3, 9), FEWER, (5, 5)]) == Pairs(5, 2, 1)


def test_one_more_or_two_are_chance_and_three_are_not() -> None:
    assert not more_than_chance(0, 0)
    assert not more_than_chance(2, 0)
    assert more_than_chance(3, 0)
    assert not more_than_chance(30, 30)
    assert not more_than_chance(0, 30)


def test_a_challenger_that_does_the_same_is_promoted() -> None:
    assert refusals(trial(attacks=episodes("DoS", (BOTH, 50), (NEITHER, 10)))) == []


def test_no_evidence_is_no_pass() -> None:
    lines = refusals(trial(attacks=episodes("DoS", (BOTH, 12)), hours=((QUIET, 20),)))
    assert len(lines) == len(MEASURES) + 1
    assert lines[0].startswith(
        "DoS: of 12 episodes 0 no longer found and 0 newly (-26.5 points to +26.5 points with 95 %)"
    )
    assert lines[-1].startswith("false alerts: more of them in 0 and fewer in 0 of 20 hours (")


@pytest.mark.parametrize("measure", MEASURES)
def test_a_class_of_which_some_are_lost_is_told_with_its_figures(measure: str) -> None:
    attacks = episodes("DoS", (BOTH, 60)) + episodes("Tunnel", (BOTH, 54), (LOST, 6), measure=measure)
    (line,) = refusals(trial(attacks=attacks))
    assert line.startswith(f"Tunnel: of 60 episodes 6 no longer {MEASURES[measure]} and 0 newly")


def test_what_is_gained_in_one_class_does_not_make_up_for_another() -> None:
    attacks = episodes("DoS", (BOTH, 30), (GAINED, 30)) + episodes("Tunnel", (BOTH, 50), (LOST, 10))
    (line,) = refusals(trial(attacks=attacks))
    assert line.startswith("Tunnel")


def test_the_fixed_set_cannot_outvote_a_site() -> None:
    fixed = trial(attacks=episodes("DoS", (BOTH, 1000)), hours=((QUIET, 5000),))
    site = trial("ours", attacks=episodes("DoS", (BOTH, 5), (LOST, 3)), hours=((QUIET, 20), (MORE, 4)))
    lost, false = refusals(fixed, site)
    assert lost.startswith("DoS in ours: of 8 episodes 3 no longer found")
    assert false.startswith("false alerts in ours: 4 instead of 0, more of them in 4 and fewer in 0 of 24 hours")


def test_a_small_class_of_a_sites_own_may_lose_as_many_as_it_gains() -> None:
    """It can show nothing by itself, and the fixed set has none of it."""
    fixed = trial(attacks=episodes("DoS", (BOTH, 60)))
    assert refusals(fixed, trial("ours", attacks=episodes("Lateral", (BOTH, 3)))) == []
    assert refusals(fixed, trial("ours", attacks=episodes("Lateral", (LOST, 1), (GAINED, 1)))) == []
    (line,) = refusals(fixed, trial("ours", attacks=episodes("Lateral", (BOTH, 2), (LOST, 1))))
    assert line.startswith("Lateral: of 3 episodes 1 no longer found")


def test_many_alerts_in_one_hour_count_too() -> None:
    (line,) = refusals(trial(attacks=episodes("DoS", (BOTH, 60)), hours=((QUIET, 400), ((1, 40), 1))))
    assert line.startswith("false alerts in the fixed set: 40 instead of 1")


def test_fewer_false_alerts_do_not_make_up_for_a_lost_class() -> None:
    (line,) = refusals(trial(attacks=episodes("DoS", (LOST, 60)), hours=((QUIET, 300), (FEWER, 100))))
    assert "60 no longer found" in line


def test_a_slow_challenger_is_refused_unless_it_may_be_as_fast() -> None:
    attacks = episodes("DoS", (BOTH, 60))
    assert refusals(trial(attacks=attacks), latency=replace(FAST, ratio=1.2, interval=(1.1, 1.25))) == []
    (line,) = refusals(trial(attacks=attacks), latency=replace(FAST, ratio=1.2, interval=(1.1, 1.3)))
    assert line.startswith("latency: judging takes 1.20 times the champion's processor time (1.10 to 1.30 with 95 %)")
    assert line.endswith("expected 1.25 at most")


def test_a_class_that_nobody_can_judge_flow_by_flow_is_judged_by_its_alerts() -> None:
    unknown = tuple(replace(own, flagged=None) for own in episodes("Lateral", (BOTH, 40)))
    assert refusals(trial(attacks=episodes("DoS", (BOTH, 60))), trial("ours", attacks=unknown)) == []


def test_the_ratio_of_times_does_not_mind_a_machine_that_stops_now_and_then() -> None:
    rounds = iter(range(10_000))

    def judging(ns: int) -> Any:
        return lambda: ns * (20 if next(rounds) % 7 == 0 else 1)

    latency = measured(judging(1_000_000), judging(1_100_000), 1000)
    assert latency.ratio == pytest.approx(1.1)
    assert latency.interval[0] <= 1.1 <= latency.interval[1] < 1.25
    assert latency.champion_ns == pytest.approx(1000)


def test_the_intervals_ranks_hold_the_median_with_95_percent() -> None:
    for n in (9, 15, ROUNDS, 51):
        outside = values_outside(n)
        missed = 2 * sum(comb(n, k) for k in range(outside + 1)) / 2**n
        assert missed <= 0.05
        assert missed + 2 * comb(n, outside + 1) / 2**n > 0.05
    assert values_outside(3) == 0

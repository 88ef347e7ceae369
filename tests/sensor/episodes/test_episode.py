"""Distinct values of episodes: exact while there is room, and bounded over all episodes together."""

import random

import pytest

from flows.batch import DST_HIGH, DST_LOW, DST_PORT, END_REASON, PROTOCOL, REPORT, SNAPSHOT, SRC_LOW, SRC_PORT, START_NS
from sensor.episodes.distinct import DISTINCT_LIMIT, DistinctBudget
from sensor.episodes.episode import Episode, FlaggedFlow
from tests.support.episodes import Flow, episodes, judged, scan, unusual

TCP = 6


def a_flow(
    target: int = 1, port: int = 80, source: int = 1, *, snapshot: bool = False, source_port: int = 1
) -> FlaggedFlow:
    identity = [0] * 30
    identity[DST_LOW], identity[DST_PORT], identity[SRC_LOW], identity[PROTOCOL] = target, port, source, TCP
    identity[DST_HIGH], identity[START_NS], identity[SRC_PORT] = 0, target, source_port
    identity[END_REASON] = SNAPSHOT if snapshot else SNAPSHOT + 1
    return FlaggedFlow(identity, 0, -1, 1.0, True, 1.0, 1.0)


def an_episode(budget: DistinctBudget, order: int = 1) -> Episode:
    return Episode(0, (order,), None, a_flow(), order, budget)


def held(*all_episodes: Episode) -> int:
    return sum(len(values) for e in all_episodes for values in (e.targets, e.ports, e.origins, e.running))


def test_one_episode_counts_exactly_up_to_its_limit_and_then_knows_that_there_are_more() -> None:
    episode = an_episode(DistinctBudget())
    for target in range(1, DISTINCT_LIMIT + 1):
        episode.add(a_flow(target), target)
    assert (len(episode.targets), episode.targets_more) == (DISTINCT_LIMIT, False)
    episode.add(a_flow(7), 1)
    assert not episode.targets_more
    episode.add(a_flow(DISTINCT_LIMIT + 1), 1)
    assert (len(episode.targets), episode.targets_more, episode.ports_more) == (DISTINCT_LIMIT, True, False)


def test_a_flow_that_is_told_again_is_counted_once_after_however_many_that_closed() -> None:
    episode = an_episode(DistinctBudget())
    for number in range(1, DISTINCT_LIMIT + 11):
        episode.add(a_flow(number, snapshot=True), number)  # told when it closed, and then no more
    for _ in range(3):
        episode.add(a_flow(DISTINCT_LIMIT + 11, snapshot=True), 1)
    ended = a_flow(DISTINCT_LIMIT + 11)
    ended.identity[REPORT] = 3
    episode.add(ended, 1)
    assert episode.flows == DISTINCT_LIMIT + 11
    assert len(episode.running) <= DISTINCT_LIMIT


def test_however_many_episodes_grow_their_values_together_are_bounded_and_the_largest_stop_first() -> None:
    budget = DistinctBudget(20_000)
    large = [an_episode(budget, order) for order in range(40)]
    for value in range(1, 3001):
        for episode in large:
            episode.add(a_flow(value, value, value, snapshot=True), value)
    assert held(*large) <= 20_000
    assert all(episode.targets_more and episode.ports_more and episode.origins_more for episode in large)
    small = [an_episode(budget, order) for order in range(40, 60)]
    for value in range(1, 6):
        for episode in small:
            episode.add(a_flow(value), value)
    assert all((len(episode.targets), episode.targets_more) == (5, False) for episode in small)
    assert held(*large, *small) <= 20_000


def test_beyond_the_budget_each_episode_still_knows_one_value() -> None:
    budget = DistinctBudget(10)
    all_episodes = [an_episode(budget, order) for order in range(50)]
    for episode in all_episodes:
        for value in range(1, 9):
            episode.add(a_flow(value), value)
    assert {len(episode.targets) for episode in all_episodes} == {1}
    assert all(episode.targets_more for episode in all_episodes)


def test_what_an_episode_held_is_free_when_it_ends() -> None:
    budget = DistinctBudget(5000)
    rng = random.Random(3)
    first, second = an_episode(budget, 1), an_episode(budget, 2)
    for at in range(3000):
        value = rng.randrange(1, 900)
        rng.choice((first, second)).add(a_flow(value, value, snapshot=rng.random() < 0.5), at)
        assert budget.free == 5000 - held(first, second)
    second.absorb(first)
    assert budget.free == 5000 - held(first, second)
    first.end()
    second.end()
    second.end()
    assert budget.free == 5000


@pytest.mark.parametrize("values", [60, 1 << 18])
def test_the_bound_holds_over_a_run_and_is_the_same_wherever_batches_are_cut(values: int) -> None:
    flows: list[Flow] = []
    for host in range(20):
        flows += scan(200, at=float(host), source=f"10.0.1.{host}")
        flows += unusual(30, start=host, source=f"10.0.2.{host}")
    flows.sort(key=lambda flow: flow.at)
    told = []
    for size in (len(flows), 97, 1):
        watched = episodes(flows_per_alert=3)
        watched._budget.free = values
        items = []
        for first in range(0, len(flows), size):
            items += watched.observe(*judged(flows[first : first + size]))
            distinct = [episode for episode in watched.held if isinstance(episode, Episode)]
            assert watched._budget.free == values - held(*distinct)
            assert held(*distinct) <= values + 3 * len(distinct)
        items += watched.finish()
        assert watched._budget.free == values
        told.append([getattr(item, "spread", None) for item in items])
    assert told[0] == told[1] == told[2]

"""Flows of episodes that may open: the latest of each, and of all together no more than are agreed."""

import random
from collections import Counter

import numpy as np

from sensor.episodes.distinct import DistinctBudget
from sensor.episodes.episode import BufferedFlow, Episode, FlaggedFlow
from sensor.episodes.remembered import RememberedFlows

NO_VALUES = np.empty(0)


def an_episode(order: int) -> Episode:
    return Episode(0, (order,), None, flow(0).flow, order, DistinctBudget())


def flow(number: int) -> BufferedFlow:
    return BufferedFlow(FlaggedFlow([number] * 30, number, -1, 1.0, True, 1.0, 1.0), NO_VALUES)


def numbers(flows: list[BufferedFlow]) -> list[int]:
    return [buffered.flow.row for buffered in flows]


def test_of_an_episode_the_latest_flows_are_remembered() -> None:
    remembered, episode = RememberedFlows(100, 8), an_episode(1)
    for number in range(20):
        remembered.add(episode, flow(number))
    assert len(remembered) == 8
    assert numbers(remembered.take(episode)) == list(range(12, 20))
    assert (len(remembered), remembered.take(episode)) == (0, [])


def test_where_all_together_are_too_many_the_oldest_gives_way_whosever_it_is() -> None:
    remembered, first, second = RememberedFlows(10, 8), an_episode(1), an_episode(2)
    for number in range(6):
        remembered.add(first, flow(number))
    for number in range(6, 13):
        remembered.add(second, flow(number))
    assert numbers(remembered.take(first)) == [3, 4, 5]
    assert numbers(remembered.take(second)) == list(range(6, 13))


def test_however_many_episodes_there_are_what_is_remembered_is_bounded() -> None:
    remembered, rng = RememberedFlows(64, 8), random.Random(1)
    episodes = [an_episode(order) for order in range(1000)]
    expected: list[tuple[int, int]] = []  # the same in words: order of the episode and number of each flow
    for number in range(20_000):
        episode = rng.choice(episodes[: rng.choice((3, 40, 1000))])
        if rng.random() < 0.05:
            assert numbers(remembered.take(episode)) == [at for order, at in expected if order == episode.order]
            expected = [kept for kept in expected if kept[0] != episode.order]
            continue
        remembered.add(episode, flow(number))
        own = [kept for kept in expected if kept[0] == episode.order]
        if len(own) == 8:
            expected.remove(own[0])
        elif len(expected) == 64:
            del expected[0]
        expected.append((episode.order, number))
        assert len(remembered) == len(expected) <= 64
        assert len(remembered._numbers) == len(Counter(order for order, _ in expected))

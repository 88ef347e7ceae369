"""Episodes that go on: three bounded lots, the order in which their entries give way, and a heap of deadlines."""

import random

from sensor.alerts.alert import Alert
from sensor.episodes.distinct import DistinctBudget
from sensor.episodes.episode import Episode, FlaggedFlow, MergedHost
from sensor.episodes.holding import HeldEpisodes, Key
from tests.support.episodes import Flow, S, alerts_of, episodes, guesses, judged, unusual

FIRST = FlaggedFlow([0] * 30, 0, -1, 1.0, True, 1.0, 1.0)


def an_episode(order: int) -> Episode:
    return Episode(0, (order,), None, FIRST, order, DistinctBudget())


def begun(held: HeldEpisodes, order: int) -> tuple[Key, Episode]:
    """An episode that waits to open."""
    key, episode = (0, order), an_episode(order)
    assert held.begin(key, episode) is None
    return key, episode


def orders(held: HeldEpisodes) -> list[int]:
    return [one.order for one in held]


def test_of_those_that_wait_the_one_that_began_first_gives_way() -> None:
    held = HeldEpisodes(2)
    begun(held, 1)
    second, _ = begun(held, 2)
    held.moved((0, 1))
    evicted = held.begin((0, 3), an_episode(3))
    assert evicted is not None
    assert evicted[0] == (0, 1)
    assert (orders(held), held.waiting, held.forgotten, held.find((0, 1))) == ([2, 3], 2, 1, None)
    held.let_go(second)
    assert (orders(held), held.waiting) == ([3], 1)


def test_those_of_a_kind_that_many_begin_push_out_none_of_another() -> None:
    held = HeldEpisodes(3)
    held.begin((16, 1), an_episode(1))
    for order in range(2, 40):
        evicted = held.begin((0, order), an_episode(order))
        assert evicted is None or evicted[0] == (0, order - 2)
    assert held.begin((5, 40), an_episode(40)) is not None
    assert (orders(held), held.waiting, held.forgotten) == ([1, 39, 40], 3, 37)
    narrow = HeldEpisodes(1)
    for kind in (0, 3, 0, 3):
        evicted = narrow.begin((kind, narrow.forgotten), an_episode(kind))
        assert evicted is None or narrow.find(evicted[0]) is None
        assert narrow.waiting == len(narrow) == 1


def test_forged_floods_that_are_none_yet_do_not_end_what_unusual_traffic_waits_for() -> None:
    """Thirty-four SYNs each in the name of hosts without number, between the flows of one that is unusual."""
    odd = unusual(12, every=2.0)
    syn = Flow(sent=0, answered=0, port=80)
    forged = [
        syn._replace(
            source=f"10.1.{n >> 8}.{n & 255}", target=f"10.2.{n >> 8}.{n & 255}", source_port=turn, at=n * 0.05
        )
        for n in range(440)
        for turn in range(34)
    ]
    told = alerts_of(sorted([*odd, *forged], key=lambda flow: flow.at), capacity_hosts=32)
    assert "Unusual traffic" in {alert.title for alert in told}


def test_of_those_told_of_on_their_own_the_one_that_has_not_moved_for_longest_gives_way() -> None:
    held = HeldEpisodes(2)
    keys = []
    for order in (1, 2):
        key, _ = begun(held, order)
        assert held.open(key) is None
        keys.append(key)
    held.moved(keys[0])
    third, _ = begun(held, 3)
    evicted = held.open(third)
    assert evicted is not None
    assert evicted[0] == keys[1]
    assert (orders(held), held.alone, held.waiting, held.closed_early) == ([1, 3], 2, 0, 1)


def test_merged_hosts_are_bounded_beside_the_others() -> None:
    held, storm = HeldEpisodes(2), an_episode(99)
    held.add_storm((99, 99), storm)
    for order in (1, 2, 3):
        key, episode = begun(held, order)
        evicted = held.merge(key, MergedHost(episode, storm))
    assert evicted is not None
    assert evicted[0] == (0, 1)
    assert (orders(held), held.merged, held.merged_forgotten, len(held)) == ([99, 2, 3], 2, 1, 3)


def test_each_is_looked_at_once_when_it_is_due_whatever_was_said_before() -> None:
    held = HeldEpisodes(1000)
    rng = random.Random(5)
    due: dict[Key, int] = {}
    for order in range(500):
        key, episode = begun(held, order)
        for _ in range(rng.randrange(1, 9)):
            due[key] = rng.randrange(1000)
            held.look_at(key, episode, due[key])
        assert held.deadlines <= 2 * len(held) + 1024 + 1
    for key in list(due)[::3]:
        held.let_go(key)
        del due[key]
    looked_at = []
    while (found := held.due(400)) is not None:
        looked_at.append((found[0], found[2].order))
    assert looked_at == sorted((at, key[1]) for key, at in due.items() if at <= 400)


def test_whoever_takes_the_place_of_another_is_not_looked_at_when_that_one_was_due() -> None:
    held = HeldEpisodes(4)
    key, first = begun(held, 1)
    held.look_at(key, first, 10)
    held.let_go(key)
    key = (0, 1)
    second = an_episode(2)
    held.begin(key, second)
    held.look_at(key, second, 20)
    assert held.due(15) is None
    assert held.due(20) == (20, key, second)


def guessers(hosts: int, first: int = 0) -> list[Flow]:
    """Hosts that log on six times to a service of their own each, one host after the other: claims about pairs, for
    which there are four times as many places as the settings say hosts.
    """
    return [
        flow
        for host in range(first, first + hosts)
        for flow in guesses(
            6, host * 0.7, 0.1, source=f"10.{host >> 8}.{host & 255}.1", target=f"11.1.{host >> 8}.{host & 255}"
        )
    ]


def test_hosts_that_a_storm_stands_for_are_let_go_by_the_settings() -> None:
    watched = episodes(capacity_hosts=16, alerts_per_minute=2)
    told: list[Alert] = []
    for first in range(0, 300, 25):
        told += [one for one in watched.observe(*judged(guessers(25, first))) if isinstance(one, Alert)]
        assert watched.held.merged <= 16
        assert len(watched.held) <= 3 * 16 + 1
    assert watched.evicted["merged hosts"] > 200
    told += [one for one in watched.finish() if isinstance(one, Alert)]
    assert (len(watched.held), watched._budget.free, watched._open_claims) == (0, 1 << 18, {})
    ends = {alert.id: alert for alert in told}.values()
    assert sum(max(1, alert.hosts_merged) for alert in ends) == 300
    assert max(alert.hosts_merged for alert in ends) == watched.merged


def test_open_alerts_are_let_go_by_the_settings_each_with_its_last_line() -> None:
    flows = guessers(300)
    watched = episodes(alerts_per_minute=None, capacity_hosts=16)
    told: list[Alert] = []
    for first in range(0, len(flows), 7):
        told += [one for one in watched.observe(*judged(flows[first : first + 7])) if isinstance(one, Alert)]
        assert watched.held.alone <= 16
    told += [one for one in watched.finish() if isinstance(one, Alert)]
    opened = [alert.id for alert in told if alert.action == "opened"]
    closed = [alert.id for alert in told if alert.action == "closed"]
    assert (len(opened), sorted(opened)) == (300, sorted(closed))
    assert watched.evicted["open episodes"] == 300 - 16
    assert [alert.time_ns for alert in told] == sorted(alert.time_ns for alert in told)
    assert told == alerts_of(flows, alerts_per_minute=None, capacity_hosts=16)  # however batches are cut


def test_a_merged_host_that_goes_on_is_counted_once() -> None:
    again = [flow._replace(at=flow.at + 30.0, source_port=100 + flow.source_port) for flow in guessers(20)]
    alerts = alerts_of([*guessers(20), *again], alerts_per_minute=1)
    storms = [alert for alert in alerts if alert.hosts_merged]
    assert storms[-1].hosts_merged + sum(a.action == "opened" and not a.hosts_merged for a in alerts) == 20
    assert all(alert.time_ns <= storms[-1].time_ns + 300 * S for alert in alerts)

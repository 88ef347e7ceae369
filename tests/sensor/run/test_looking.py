"""What whoever looks on sees: open alerts as they stand, twice a second, in the wall clock's time."""

import pytest

from sensor.metering.talkers import TrafficCounts
from sensor.progress.progress import Progress
from sensor.run.looking import INTERVAL_S, OPEN_SHOWN, Looking
from sensor.terminal.standing import as_it_stands
from tests.support.alerts import an_alert
from tests.support.episodes import episodes, guesses, judged

pytestmark = pytest.mark.ux


def test_open_alerts_are_told_as_they_stand_between_two_of_their_lines() -> None:
    watched = episodes()
    lines = watched.observe(*judged(guesses(40)))
    told = lines[-1]
    (now,) = watched.open_alerts(9)
    assert (now.id, now.flows) == (told.id, 39)
    assert told.spread.flows < 39  # its next line comes at ten times the flows of this one
    standing = as_it_stands(told, now)
    assert standing.spread.flows == 39
    assert standing.end_ns == now.end_ns > told.end_ns
    assert "39 flows" in standing.reason
    assert f"{told.spread.flows} flows" not in standing.reason
    watched.finish()
    assert watched.open_alerts(9) == []


def test_a_reason_in_other_words_still_tells_the_counts_of_now() -> None:
    watched = episodes()
    told = watched.observe(*judged(guesses(40)))[-1]
    (now,) = watched.open_alerts(9)
    foreign = an_alert(id=told.id, reason="in words of another release", spread=told.spread, action="updated")
    assert as_it_stands(foreign, now).reason.startswith("port 22 on one host: 39 flows")
    assert as_it_stands(foreign, now).reason.endswith("before: in words of another release")
    closed = an_alert(id=told.id, action="closed")
    assert as_it_stands(closed, now) is closed


def test_it_looks_twice_a_second_and_tells_times_of_the_wall_clock() -> None:
    watched = episodes()
    now_s = [0.0]
    looking = Looking(TrafficCounts(), lambda: now_s[0])
    watched.observe(*judged(guesses(40)))
    first = looking.with_view(Progress(packets=1), watched, 0)
    assert first.packets == 1
    watched.observe(*judged(guesses(40, start=30.0)))
    now_s[0] += INTERVAL_S / 2
    assert looking.with_view(Progress(), watched, 5).open_alerts == first.open_alerts
    now_s[0] += INTERVAL_S / 2
    (second,) = looking.with_view(Progress(), watched, 5).open_alerts
    assert second.flows == 79
    assert second.end_ns == watched.open_alerts(1)[0].end_ns + 5
    looking.settle()
    watched.finish()
    assert looking.with_view(Progress(), watched, 0).open_alerts == ()


def test_of_many_open_alerts_those_that_moved_last_are_told() -> None:
    watched = episodes(alerts_per_minute=None)
    for host in range(OPEN_SHOWN + 20):
        watched.observe(*judged(guesses(20, start=host * 0.001, source=f"203.0.113.{host}")))
    told = watched.open_alerts(OPEN_SHOWN)
    assert len(told) == OPEN_SHOWN
    (last,) = watched.observe(*judged(guesses(200, start=11.0, source="203.0.113.0")))[-1:]
    assert watched.open_alerts(1)[0].id == last.id

"""What a site asks of a claim, what it always does, and what might have been told."""

import pytest

from models.site import Habit, Learned, SiteProfile
from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import alert_line
from sensor.alerts.reading import ReadErrors, entries_of
from sensor.episodes.candidates import CandidateEpisodes
from sensor.episodes.habits import HABIT_SEVERITY, habits_of_site, subject_of
from sensor.episodes.shapes import KIND_NAMES, KINDS, SCAN, SHAPES
from tests.support.episodes import alerts_of, episodes, guesses, judged, scan, unusual

LEVELS = [1.0] * KINDS


def asked(**levels: float) -> tuple[float, ...]:
    return tuple(levels.get(kind, 1.0) for kind in KIND_NAMES[:-1])


def opened(alerts: list[Alert]) -> list[Alert]:
    return [alert for alert in alerts if alert.action == "opened"]


def test_every_kind_has_a_name_of_its_own() -> None:
    assert len(set(KIND_NAMES)) == len(KIND_NAMES) == len(SHAPES) + 1


def test_a_site_may_ask_for_more_than_the_shape_of_what_nothing_agrees_with() -> None:
    few = scan(7)  # more than a shape asks for, less than twice as much
    assert [alert.verdict for alert in opened(alerts_of(few))] == ["uncertain"]
    assert alerts_of(few, levels=asked(scan=2.0)) == []
    assert opened(alerts_of(few, levels=asked(guessing=9.0)))


def test_what_is_beyond_doubt_is_told_whatever_a_site_asks_for() -> None:
    assert [alert.verdict for alert in opened(alerts_of(scan(60), levels=asked(scan=1000.0)))] == ["attack"]


def test_what_the_known_lane_agrees_with_is_told_whatever_a_site_asks_for() -> None:
    alerts = alerts_of(guesses(15), levels=asked(guessing=1000.0))
    assert [alert.verdict for alert in opened(alerts)] == ["attack"]


def test_a_site_may_ask_for_less_than_the_shape() -> None:
    near = scan(3)
    assert alerts_of(near) == []
    (alert,) = opened(alerts_of(near, levels=asked(scan=0.5)))
    assert alert.verdict == "uncertain"
    assert alert.risk > 0


def habit_of(flows: list, kind: int = SCAN, level: float = 100.0) -> dict:
    identity = judged(flows)[0].identity[0].tolist()
    return {subject_of(kind, identity, one_port=False): (level, 0.92)}


def test_a_habit_is_told_once_at_a_low_severity_and_as_what_was_there() -> None:
    flows = scan(7)
    plain, habitual = alerts_of(flows), alerts_of(flows, habits=habit_of(flows))
    assert [alert.action for alert in habitual] == [alert.action for alert in plain]
    assert {alert.habit for alert in habitual} == {0.92}
    assert max(alert.severity for alert in habitual) <= HABIT_SEVERITY < plain[0].severity
    assert habitual[0].reason.startswith("as in 92 % of the time in which the site was learnt: ")
    (read,) = entries_of([alert_line(habitual[0])], "lines", ReadErrors())
    assert read.alert is not None
    assert read.alert.habit == 0.92


def test_more_than_the_habit_an_attack_and_another_host_are_no_habit() -> None:
    flows = scan(7)
    assert {alert.habit for alert in alerts_of(flows, habits=habit_of(flows, level=0.5))} == {None}
    assert alerts_of(scan(60), habits=habit_of(flows))[-1].habit is None
    other = [flow._replace(source="192.0.2.99") for flow in flows]
    assert {alert.habit for alert in alerts_of(other, habits=habit_of(flows))} == {None}


def test_what_goes_beyond_the_habit_while_it_is_open_is_told_then() -> None:
    flows = [flow._replace(at=flow.at if i < 6 else 12.0 * (i - 5)) for i, flow in enumerate(scan(8))]
    alerts = alerts_of(flows, habits=habit_of(flows, level=0.8))
    assert [(alert.action, alert.habit) for alert in alerts] == [("opened", 0.92), ("updated", None), ("closed", None)]
    assert {alert.verdict for alert in alerts} == {"uncertain"}


def test_habits_come_from_a_bundles_site() -> None:
    habit = Habit("beacon", "10.0.0.1", "10.0.0.2", 443, 6, 1.4, 0.9)
    site = SiteProfile(1.0, (0, 1, 2), 1e5, {}, (), Learned(0, 1, 1.0, 1, 1, 0), (habit,))
    assert habits_of_site(site) == {("beacon", "10.0.0.1", "10.0.0.2", 443, 6): (1.4, 0.9)}
    assert habits_of_site(None) == {}


@pytest.mark.parametrize("count", [2, 4, 7, 60])
def test_candidates_are_all_that_might_have_been_told_with_their_levels(count: int) -> None:
    flows = scan(count)
    made = episodes(kind=CandidateEpisodes)
    assert isinstance(made, CandidateEpisodes)
    made.observe(*judged(flows))
    made.finish()
    found = [one for one in made.take() if one.kind == "scan"]
    told = opened(alerts_of(flows))
    assert [one.opened for one in found if one.opened] == [True] * len(told)
    assert [one.attack for one in found if one.opened] == [alert.verdict == "attack" for alert in alerts_of(flows)[-1:]]
    assert all((one.level >= 1) == one.opened for one in found)
    assert made.take() == []


def test_a_candidate_of_unusual_traffic_has_a_level_only_where_it_could_open() -> None:
    made = episodes(kind=CandidateEpisodes)
    assert isinstance(made, CandidateEpisodes)
    made.observe(*judged(unusual(40)))
    made.finish()
    (one,) = [one for one in made.take() if one.kind == "unusual"]
    assert one.opened
    assert one.level >= 1
    assert one.subject[2] is None

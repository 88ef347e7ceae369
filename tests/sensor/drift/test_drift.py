"""Days of judged traffic: as it always was it tells nothing, and each thing that changes is told, once, in time."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.batch import REPORTED_NS
from sensor.alerts.alert import Muted
from sensor.alerts.drift_record import DriftRecord
from sensor.drift.drift import DAY_NS, Drift, DriftSettings
from tests.support.alerts import an_alert
from tests.support.drifting import (
    OBSERVER,
    START_NS,
    MadeDay,
    batches,
    drifting,
    made_day,
    made_hybrid,
)
from tests.support.examples import examples

pytestmark = pytest.mark.takes(15)

HYBRID = made_hybrid()
SETTINGS = DriftSettings()
HOUR_NS = DAY_NS // 24
FROM_NS, TO_NS = START_NS + 3 * DAY_NS + DAY_NS // 2, START_NS + 6 * DAY_NS


def days(
    change: Callable[[MadeDay, np.ndarray], None], number: int = 8, seed: int = 1, flows: int = 6000
) -> Iterator[MadeDay]:
    """Days of which the flows from noon of the fourth to the end of the sixth are changed."""
    rng = np.random.default_rng(seed)
    for day in range(number):
        made = made_day(rng, day, flows)
        change(made, (made.times_ns >= FROM_NS) & (made.times_ns < TO_NS))
        yield made


def told(records: list[DriftRecord]) -> list[tuple[str, str]]:
    return [(record.condition, record.state) for record in records]


def delay(record: DriftRecord, since_ns: int) -> float:
    """Hours from then to the record's time."""
    return (record.time_ns - since_ns) / HOUR_NS


# Nothing changes


@pytest.mark.parametrize("flows", [2300, 6000])
def test_days_like_any_other_tell_nothing(flows: int) -> None:
    """Four runs of ten days here; 100 runs of 30 days, 3,000 days, with shifts looked for too, told nothing either."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        assert drifting((made_day(rng, day, flows) for day in range(10)), SETTINGS, HYBRID) == []


def test_what_comes_and_goes_with_the_week_is_told_once() -> None:
    rng = np.random.default_rng(2)

    def week() -> Iterator[MadeDay]:
        for day in range(28):
            made = made_day(rng, day)
            if day % 7 in (5, 6):
                made.rows[:, 1] *= 30
            yield made

    found = drifting(week(), SETTINGS, HYBRID)
    assert told(found) == [("columns-changed", "begun"), ("columns-changed", "ended")]


def test_a_column_that_has_one_value_each_night_is_not_silent() -> None:
    rng = np.random.default_rng(3)

    def nightly() -> Iterator[MadeDay]:
        for day in range(6):
            made = made_day(rng, day)
            made.rows[(made.times_ns - START_NS) % DAY_NS < 8 * HOUR_NS, 3] = 0.0
            yield made

    assert drifting(nightly(), SETTINGS, HYBRID) == []


def test_too_few_flows_say_nothing() -> None:
    def change(made: MadeDay, changed: np.ndarray) -> None:
        made.rows[changed, 1] *= 1000

    rng = np.random.default_rng(4)
    few = [made_day(rng, day, 200) for day in range(8)]
    for made in few[4:]:
        change(made, np.ones(len(made.rows), dtype=bool))
    assert drifting(few, SETTINGS, HYBRID) == []


# Something changes


def test_a_shifted_column_is_told_at_the_end_of_the_first_whole_day_and_that_it_is_back() -> None:
    def change(made: MadeDay, changed: np.ndarray) -> None:
        made.rows[changed, 1] *= 30

    begun, ended = drifting(days(change), SETTINGS, HYBRID)
    assert told([begun, ended]) == [("columns-changed", "begun"), ("columns-changed", "ended")]
    assert [measure.name for measure in begun.measures] == ["bytes"]
    assert begun.measures[0].value > begun.measures[0].bound > 0.25
    assert 0 < delay(begun, FROM_NS) <= 36.1
    assert begun.time_ns - begun.start_ns == DAY_NS
    assert begun.flows > 5000
    assert "recalibrate: flowvigil baseline on recent traffic, minutes; only where" in begun.message
    assert 0 < delay(ended, TO_NS) <= 24.1


def test_a_slow_change_is_told_when_it_is_far_from_the_first_week() -> None:
    rng = np.random.default_rng(12)

    def slowly() -> Iterator[MadeDay]:
        for day in range(40):
            made = made_day(rng, day, 3000)
            made.rows[:, 1] *= 1.12**day  # in no two days a change that counts
            yield made

    (begun,) = drifting(slowly(), SETTINGS, HYBRID)
    assert told([begun]) == [("columns-changed", "begun")]
    assert 10 < delay(begun, START_NS) / 24 < 25


def test_a_mirror_port_that_loses_one_direction_is_told_within_three_hours() -> None:
    def change(made: MadeDay, changed: np.ndarray) -> None:
        made.rows[np.ix_(changed, [3, 5])] = 0.0

    begun, ended = drifting(days(change), SETTINGS, HYBRID)
    assert told([begun, ended]) == [("columns-silent", "begun"), ("columns-silent", "ended")]
    assert {measure.name: measure.value for measure in begun.measures} == {"answers": 0.0, "port_share": 0.0}
    assert delay(begun, FROM_NS) <= 3
    assert "mirror port" in begun.message
    assert delay(ended, TO_NS) <= 1.1


def test_a_detector_that_breaks_is_told_within_three_hours() -> None:
    def change(made: MadeDay, changed: np.ndarray) -> None:
        made.scores["forest"][changed] = 5.0

    begun, ended = drifting(days(change), SETTINGS, HYBRID)
    assert told([begun, ended]) == [("scores-constant", "begun"), ("scores-constant", "ended")]
    assert begun.measures[0].name == "forest"
    assert delay(begun, FROM_NS) <= 3
    assert "recalibration does not mend" in begun.message


def test_a_detector_that_was_broken_from_the_start_is_told_at_the_end_of_the_first_day() -> None:
    def change(made: MadeDay, _changed: np.ndarray) -> None:
        made.scores["isolation"][:] = 5.0

    (begun,) = drifting(days(change), SETTINGS, HYBRID)
    assert told([begun]) == [("scores-constant", "begun")]
    assert delay(begun, START_NS) <= 24.1


def test_scores_that_change_are_told_at_the_end_of_the_first_whole_day() -> None:
    def change(made: MadeDay, changed: np.ndarray) -> None:
        made.scores["isolation"][changed] = 9.0 + made.scores["isolation"][changed] / 10

    begun, ended = drifting(days(change), SETTINGS, HYBRID)
    assert told([begun, ended]) == [("scores-changed", "begun"), ("scores-changed", "ended")]
    assert begun.measures[0].name == "isolation"
    assert delay(begun, FROM_NS) <= 36.1


def test_flows_that_no_model_judges_are_told_by_their_share() -> None:
    def change(made: MadeDay, changed: np.ndarray) -> None:
        made.judged[changed & (np.arange(len(changed)) % 4 == 0)] = False

    begun, ended = drifting(days(change), SETTINGS, HYBRID)
    assert told([begun, ended]) == [("unjudged-changed", "begun"), ("unjudged-changed", "ended")]
    assert "16.6% of the flows are of kinds that the bundle does not judge, on the days before 1.9%" in begun.message
    assert delay(begun, FROM_NS) <= 36.1


def test_another_network_than_the_bundles_is_told_once_and_in_other_words_than_a_change() -> None:
    def change(made: MadeDay, _changed: np.ndarray) -> None:
        made.rows[:, [1, 2, 3]] *= 20

    (begun,) = drifting(days(change), SETTINGS, HYBRID)
    assert told([begun]) == [("network-unknown", "begun")]
    assert delay(begun, START_NS) <= 24.1
    assert begun.concerned == 3
    assert "not the network that the bundle made knows" in begun.message
    assert "make a baseline of this network" in begun.message


def test_scores_that_shift_are_told_within_a_day_where_river_is_installed() -> None:
    pytest.importorskip("river")
    from sensor.drift.shifts import adwin

    def change(made: MadeDay, changed: np.ndarray) -> None:
        made.scores["isolation"][changed] = 10 * (made.scores["isolation"][changed] / 10) ** 0.5

    settings = DriftSettings(new_shift_detector=adwin)
    for seed in range(2):
        begun, ended = drifting(days(change, 8, seed), settings, HYBRID)
        assert told([begun, ended]) == [("scores-shifted", "begun"), ("scores-shifted", "ended")]
        assert delay(begun, FROM_NS) <= 24
        assert begun.measures[0].value > 0.1
        rng = np.random.default_rng(seed)
        assert drifting((made_day(rng, day) for day in range(10)), settings, HYBRID) == []


# The rate of alerts


def alerted(
    asked: float | None,
    counts: list[int],
    about: dict[str, object] | None = None,
    muted: tuple[Muted | None, int] = (None, 0),
) -> list[DriftRecord]:
    """What is told of days with so many alerts. muted: by what those are that go beyond so many a day."""
    hybrid = made_hybrid(about)
    drift = Drift(hybrid, OBSERVER, DriftSettings(asked))
    rng = np.random.default_rng(6)
    found: list[DriftRecord] = []
    for day, count in enumerate(counts):
        made = made_day(rng, day, 600)
        for records, rows, judgement in batches(made):
            drift.judged(hybrid, records, rows, judgement)
        moments = rng.choice(made.times_ns, count)
        drift.alerted(
            [
                an_alert(time_ns=int(moment), action="opened", muted=muted[0] if number >= muted[1] else None)
                for number, moment in enumerate(np.sort(moments))
            ]
        )
        drift.alerted([an_alert(time_ns=int(moment), action="closed") for moment in np.sort(moments)])
        found += drift.advance(int(made.times_ns[-1]))
    return found + drift.advance(START_NS + len(counts) * DAY_NS + 2 * HOUR_NS)


def test_twice_the_alerts_that_were_asked_for_are_told_in_days_and_that_they_are_back() -> None:
    begun, ended = alerted(5, [5, 4, 6, *[10] * 6, *[4] * 8])
    assert told([begun, ended]) == [("alerts-more", "begun"), ("alerts-more", "ended")]
    assert delay(begun, START_NS + 3 * DAY_NS) <= 6 * 24 + 2
    assert (begun.measures[0].name, begun.measures[0].bound) == ("alerts", 5)
    assert "where 5 were asked for" in begun.message
    assert "if these are false, recalibrate" in begun.message


def test_far_fewer_alerts_than_asked_for_are_told_in_other_words() -> None:
    (begun,) = alerted(20, [20, 21, 19, *[5] * 5])
    assert told([begun]) == [("alerts-fewer", "begun")]
    assert "uses the rest of the budget" in begun.message


def test_what_notes_of_the_site_mute_does_not_count() -> None:
    muted = Muted(by="backup", why="meant to be", until_ns=None)
    begun, *_ = alerted(5, [5, 4, 6, *[10] * 8])
    assert told([begun]) == [("alerts-more", "begun")]
    assert alerted(5, [5, 4, 6, *[10] * 8], muted=(muted, 5)) == []


def test_the_bundle_says_what_was_asked_for_and_the_setting_wins() -> None:
    counts = [5, 5, *[10] * 6]
    assert told(alerted(None, counts, {"site": {"alerts_per_day": 5}})) == [("alerts-more", "begun")]
    assert alerted(10, counts, {"site": {"alerts_per_day": 5}}) == []


NO_RATES = (True, "5", -1, 0, 1e-300, 1e99, None, [])


@pytest.mark.parametrize("site", [None, "x", [], {}, *({"alerts_per_day": value} for value in NO_RATES)])
def test_a_bundle_that_asks_for_no_rate_has_no_chart(site: object) -> None:
    assert alerted(None, [50] * 4, {"site": site}) == []


# Whatever comes


@given(sizes=st.lists(st.integers(1, 900), min_size=1, max_size=5))
@examples(6)
def test_nothing_depends_on_how_records_are_cut_into_batches(sizes: list[int]) -> None:
    def change(made: MadeDay, changed: np.ndarray) -> None:
        made.rows[np.ix_(changed, [3])] = 0.0
        made.rows[changed, 1] *= 30
        made.judged[changed & (np.arange(len(changed)) % 4 == 0)] = False

    def found(cut: Iterator[int] | None) -> list[DriftRecord]:
        drift = Drift(HYBRID, OBSERVER, SETTINGS)
        told: list[DriftRecord] = []
        for made in days(change, 5, flows=2500):
            for records, rows, judgement in batches(made, cut):
                drift.judged(HYBRID, records, rows, judgement)
                told += drift.advance(int(records.identity[-1, REPORTED_NS]) if cut else 0)
        return told + drift.advance(START_NS + 5 * DAY_NS)

    whole = found(None)
    assert len(whole) >= 3
    assert found(cycle(sizes)) == whole


def test_a_busy_stretch_is_sampled_the_same_however_it_comes() -> None:
    rng = np.random.default_rng(8)
    hour = made_day(rng, 0, 40_000)
    squeezed = replace(hour, times_ns=START_NS + (hour.times_ns - START_NS) // 24)

    def looked_at(cut: Iterator[int] | None) -> list[DriftRecord]:
        drift = Drift(HYBRID, OBSERVER, SETTINGS)
        changed = [replace(squeezed, times_ns=squeezed.times_ns + day * DAY_NS) for day in range(3)]
        changed[2] = replace(changed[2], rows=changed[2].rows * np.array([1, 50, 1, 1, 1, 1, 1, 1]))
        for made in changed:
            for records, rows, judgement in batches(made, cut):
                drift.judged(HYBRID, records, rows, judgement)
        return drift.advance(START_NS + 3 * DAY_NS + HOUR_NS)

    (record,) = looked_at(None)
    assert 2500 < record.flows <= 6 * 512
    assert looked_at(cycle([700, 1, 3000])) == [record]


def test_another_bundle_ends_what_holds_and_all_is_compared_anew() -> None:
    drift = Drift(HYBRID, OBSERVER, SETTINGS)
    other = made_hybrid(name="other")
    rng = np.random.default_rng(9)
    found: list[DriftRecord] = []
    for day in range(8):
        made = made_day(rng, day)
        if day >= 3:
            made.rows[:, 1] *= 30
        for records, rows, judgement in batches(made):
            drift.judged(HYBRID if day < 5 else other, records, rows, judgement)
        found += drift.advance(int(made.times_ns[-1]))
    assert told(found) == [("columns-changed", "begun"), ("columns-changed", "ended")]
    assert "another bundle judges" in found[1].message
    assert drift.state.conditions == ()


def test_years_without_traffic_cost_nothing_and_are_no_change() -> None:
    drift = Drift(HYBRID, OBSERVER, DriftSettings(5))
    rng = np.random.default_rng(10)
    for day in (0, 1, 20_000, 20_001):
        for records, rows, judgement in batches(made_day(rng, day)):
            drift.judged(HYBRID, records, rows, judgement)
    assert [record for record in drift.advance(0) if record.condition != "alerts-fewer"] == []
    assert drift.state.alerts_per_day == 0


def test_the_state_tells_what_holds() -> None:
    drift = Drift(HYBRID, OBSERVER, DriftSettings(0.1))
    assert (drift.state.conditions, drift.state.psi_max, drift.state.alerts_asked) == ((), None, 0.1)
    rng = np.random.default_rng(11)
    for day in range(4):
        made = made_day(rng, day)
        if day == 3:
            made.rows[:, 1] *= 30
        for records, rows, judgement in batches(made):
            drift.judged(HYBRID, records, rows, judgement)
    drift.advance(START_NS + 4 * DAY_NS + 2 * HOUR_NS)
    assert drift.state.conditions == ("columns-changed",)
    assert drift.state.psi_max is not None
    assert drift.state.psi_max > 0.5
    assert drift.state.alerts_per_day == 0

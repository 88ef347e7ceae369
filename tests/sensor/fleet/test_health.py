"""Which sensors are well, by the lines that they wrote, in whatever order these come."""

import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.alerts.alert import ModelIdentity, Observer
from sensor.alerts.alert_record import alert_line
from sensor.alerts.reading import ReadErrors, native_line, told_by_lines
from sensor.alerts.sensor_records import SensorState, event_line, stats_line
from sensor.fleet.file import Fleet, FleetSensor
from sensor.fleet.health import SensorHealth, health_of
from sensor.fleet.sensors import SENSORS_KEPT, SensorBook, head_of, told_of_sensor
from sensor.fleet.wanted import Wanted, WantedBundle
from sensor.progress.progress import DriftState, InterfaceState, OutputState, Progress
from tests.support.alerts import an_alert
from tests.support.native import alerts

SECOND_NS = 10**9
NOW_NS = 1_700_000_000 * SECOND_NS
HASH, OTHER_HASH = "a" * 64, "b" * 64
STATE = SensorState("site", "0" * 64, HASH, {}, None)


def account(name: str, ago_s: float, received: int = 1000, **fields: Any) -> bytes:
    """An account of a sensor that tells one every ten seconds."""
    state, final = fields.pop("state", STATE), fields.pop("final", False)
    version = fields.pop("version", "0.1.0")
    progress = Progress(received=received, **fields)
    return stats_line(
        progress, Observer(name, version), NOW_NS - round(ago_s * SECOND_NS), 10.0, final=final, state=state
    )


def health(lines: list[bytes], fleet: Fleet = Fleet(), wanted: Wanted = Wanted()) -> dict[str, SensorHealth]:  # noqa: B008
    book, errors = SensorBook({sensor.name for sensor in fleet.sensors}), ReadErrors()
    for _, told in told_by_lines(lines, "x", errors, told_of_sensor):
        book.add(told)
    assert errors.whole
    return {each.name: each for each in health_of(book, NOW_NS, fleet, wanted)}


def words(health: SensorHealth) -> set[str]:
    return {finding.word for finding in health.findings}


def test_a_sensor_that_tells_its_accounts_is_well() -> None:
    lines = [account("gw1", ago, 1000 - ago) for ago in range(80, 0, -10)]
    found = health(lines)["gw1"]
    assert (found.well, found.findings) == (True, ())
    assert found.document()["packets_per_second"] == 1.0
    assert found.bundle == ("site", HASH)


@pytest.mark.parametrize(
    ("word", "fault", "fields"),
    [
        ("dropping", True, {"dropped": 5}),
        ("overload", True, {"overload": "one flow in 2 is metered"}),
        ("losing-lines", True, {"lost_lines": 3}),
        ("interface-down", True, {"interfaces": (InterfaceState("eth0", up=False),)}),
        ("output-down", False, {"outputs": (OutputState("siem", False, 1, 0, 0, 0),)}),
        ("drifting", False, {"drift": DriftState(("columns-changed",))}),
        ("learning", False, {"state": SensorState("x", HASH, HASH, {}, "learning")}),
        ("warming", False, {"state": SensorState("x", HASH, HASH, {}, "warming")}),
        ("ended", True, {"final": True}),
    ],
)
def test_what_an_account_shows_is_found(word: str, fault: bool, fields: dict[str, Any]) -> None:
    found = health([account("gw1", 2, **fields)])["gw1"]
    assert [(finding.word, finding.fault) for finding in found.findings] == [(word, fault)]
    assert found.well is not fault


def test_what_was_lost_before_the_latest_accounts_is_no_longer_a_fault() -> None:
    lines = [account("gw1", ago, 10_000 - ago, dropped=500, lost_lines=9) for ago in range(70, 0, -10)]
    assert health(lines)["gw1"].well


def test_a_new_run_counts_anew() -> None:
    lines = [account("gw1", 30, 10_000, dropped=500), account("gw1", 20, 10), account("gw1", 10, 20)]
    assert health(lines)["gw1"].well


def test_a_sensor_is_silent_after_three_of_its_own_intervals() -> None:
    found = health([account("gw1", 29), account("gw2", 31), account("gw3", -9)])
    assert words(found["gw1"]) == set()
    assert words(found["gw2"]) == {"silent"}
    assert words(found["gw3"]) == {"clock-ahead"}


def test_how_often_a_sensor_tells_is_its_own_word() -> None:
    slow = [stats_line(Progress(), Observer("gw1", "0"), NOW_NS - ago * SECOND_NS, 60.0) for ago in (220, 160)]
    assert words(health(slow)["gw1"]) == set()
    assert "every 60.0 s" in health([slow[0]])["gw1"].findings[0].told
    endless = stats_line(Progress(), Observer("gw1", "0"), NOW_NS - 31 * SECOND_NS, 1e9)
    assert words(health([endless])["gw1"]) == {"silent"}


def test_an_event_is_heard_too() -> None:
    assert health([account("gw1", 60), event_line("x", "y", Observer("gw1", "0"), NOW_NS)])["gw1"].well


def test_what_differs_from_most_is_told_and_no_fault() -> None:
    lines = [account(f"gw{number}", 1) for number in range(3)]
    odd = SensorState("other", HASH, OTHER_HASH, {"episodes.quiet_s": "60.0"}, None)
    found = health([*lines, account("gw9", 1, state=odd, version="0.0.9")])
    assert words(found["gw9"]) == {"other-bundle", "other-version", "other-settings"}
    assert found["gw9"].well
    assert words(found["gw0"]) == set()
    told = next(each.told for each in found["gw9"].findings if each.word == "other-settings")
    assert told == "episodes.quiet_s 60.0 (most: default)"


def test_a_sensor_that_runs_on_another_bundle_than_it_should_is_a_fault() -> None:
    bundle = WantedBundle("site", "0" * 64, "x", {}, "0" * 64)
    wanted = Wanted({"gw1": HASH, "gw2": OTHER_HASH}, {HASH: bundle, OTHER_HASH: bundle})
    found = health([account("gw1", 1), account("gw2", 1)], wanted=wanted)
    assert (found["gw1"].well, found["gw2"].well) == (True, False)
    assert words(found["gw2"]) == {"other-bundle"}


def test_who_tells_its_weights_alone_is_held_to_weights() -> None:
    def told(name: str, sha256: str) -> bytes:  # as a sensor that sends no accounts, or older ones, does
        return alert_line(
            an_alert(observer=Observer(name, "0.1.0"), time_ns=NOW_NS, model=ModelIdentity("site", sha256))
        )

    lines = [account(f"gw{number}", 1) for number in range(3)] + [told("gw8", "0" * 64), told("gw9", OTHER_HASH)]
    found = health(lines)
    assert [words(found[name]) - {"no-accounts"} for name in ("gw0", "gw8", "gw9")] == [set(), set(), {"other-bundle"}]
    bundle = WantedBundle("site", "0" * 64, "x", {}, "0" * 64)
    wanted = Wanted(dict.fromkeys(("gw0", "gw8", "gw9"), HASH), {HASH: bundle})
    found = health(lines, wanted=wanted)
    assert [found[name].well for name in ("gw0", "gw8", "gw9")] == [True, True, False]


def test_who_was_never_heard_and_who_is_not_listed_are_told() -> None:
    fleet = Fleet((FleetSensor("gw1", "berlin"), FleetSensor("gw2", "berlin")))
    found = health([account("gw1", 1), account("gw3", 1), account("renamed", 9000)], fleet)
    assert [words(found[name]) for name in ("gw1", "gw2", "gw3")] == [set(), {"unheard"}, {"unlisted"}]
    assert [found[name].well for name in ("gw1", "gw2", "gw3")] == [True, False, True]
    assert (words(found["renamed"]), found["renamed"].well) == ({"silent", "unlisted"}, True)


def test_alerts_without_accounts_say_that_more_is_not_known() -> None:
    line = alert_line(an_alert(observer=Observer("gw1", "0.1.0"), time_ns=NOW_NS - SECOND_NS))
    assert words(health([line])["gw1"]) == {"no-accounts"}


def test_a_name_that_two_sensors_bear_is_told_and_a_restart_is_none() -> None:
    def of(run: str, ago_s: float) -> bytes:
        document = orjson.loads(account("gw1", ago_s, round(1000 - ago_s)))
        return orjson.dumps({**document, "agent": {"ephemeral_id": run}}) + b"\n"

    assert words(health([of("a", 40), of("a", 30), of("b", 20), of("b", 10)])["gw1"]) == set()
    assert words(health([of("a", 40), of("b", 30), of("a", 20), of("b", 10)])["gw1"]) == {"shared-name"}


def test_what_is_missing_for_longer_than_a_day_is_no_longer_a_fault() -> None:
    def lines(ago_s: int) -> list[bytes]:
        time_ns = NOW_NS - ago_s * SECOND_NS
        told = (an_alert(sequence=number, time_ns=time_ns) for number in (1, 3))
        return [account("gw1", 1), *map(alert_line, told)]

    for ago_s, fault in ((86_399, True), (86_401, False)):
        found = health(lines(ago_s))["gw1"].findings
        assert [(each.word, each.fault) for each in found] == [("missing-lines", fault)]


def test_an_alert_is_one_by_its_id_whichever_run_its_line_seems_to_be_of() -> None:
    def line(run: int, number: int) -> bytes:
        time_ns = NOW_NS - (1000 - 100 * run - number) * SECOND_NS
        return alert_line(an_alert(id=f"{run}{number:025}", sequence=number, time_ns=time_ns))

    first, second = ([line(run, number) for number in range(1, 21 - 11 * run)] for run in (0, 1))
    found = health([*second[6:], *first, *second[:6]])
    assert next(iter(found.values())).document()["alerts"] == 29


@given(st.randoms())
def test_the_order_of_lines_does_not_matter_nor_that_some_come_twice(order: random.Random) -> None:
    lines = [account("gw1", ago, 5000 - 10 * ago, dropped=max(0, 30 - ago)) for ago in range(200, 0, -7)]
    lines += [account("gw2", ago, ago, final=ago < 5) for ago in range(100, 0, -9)]
    told = (an_alert(id=letter * 26, sequence=number) for number, letter in enumerate("ABC", 1))
    lines += map(alert_line, told)
    expected = {name: each.document() for name, each in health(lines).items()}
    again = lines[::3]
    shuffled = lines + again
    order.shuffle(shuffled)
    expected["gw1"]["alert_lines"]["repeated"] = sum(b"alert/1" in line for line in again)
    assert {name: each.document() for name, each in health(shuffled).items()} == expected


def test_made_up_names_take_no_more_room_than_is_kept_for_strangers() -> None:
    fleet = Fleet((FleetSensor("gw1", "berlin"),))
    book = SensorBook({"gw1"})
    for number in range(SENSORS_KEPT + 500):
        book.add(told_of_sensor(native_line(account(f"made up {number}", 1))))
    book.add(told_of_sensor(native_line(account("gw1", 1))))
    assert (len(book), book.not_kept) == (SENSORS_KEPT + 1, 500)
    assert {each.name for each in health_of(book, NOW_NS, fleet)} >= {"gw1"}


@given(alerts())
def test_the_head_of_an_alert_is_what_its_reader_tells(alert: Any) -> None:
    native = native_line(alert_line(alert))
    told = native.record()
    assert told is not None
    assert told_of_sensor(native) == head_of(told)  # type: ignore[arg-type]


def test_an_older_account_says_nothing_of_its_bundle() -> None:
    document = orjson.loads(account("gw1", 1))
    for name in ("model", "settings"):
        del document["flowvigil"][name]
    found = health([orjson.dumps(document) + b"\n"])["gw1"]
    assert (found.bundle, found.well, found.document()["settings"]) == (("", ""), True, None)

"""A clock that differs is told from silence and from lines that come late."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sensor.alerts.alert import Observer
from sensor.alerts.sensor_records import EventRecord, StatsRecord
from sensor.fleet.clocks import ALIKE_NS, Neighbours, clock_behind_ns, head_ns, received_of
from sensor.fleet.health import health_of
from sensor.fleet.sensors import ACCOUNTS_KEPT, RUNS_KEPT, SensorBook
from sensor.progress.progress import Progress

SECOND_NS = 10**9
START_NS = 1_700_000_000 * SECOND_NS
TWO_HOURS_NS = 7200 * SECOND_NS


def account(
    name: str, time_ns: int, interval_s: float = 10.0, received: int = 0, run: str | None = None
) -> StatsRecord:
    return StatsRecord(time_ns, Observer(name, "0.1.0", run), Progress(received=received), None, interval_s)


def head(time_ns: int) -> bytes:
    return b"%d gw1 flowvigil: " % (time_ns // 1_000_000)


def book_of(lines: Sequence[tuple[str, int, int | None]]) -> SensorBook:
    """Accounts as they come: name, time by the sensor's own clock, the receiver's time before them."""
    book = SensorBook()
    for name, time_ns, received_ns in lines:
        counted = account(name, time_ns, received=(received_ns or time_ns) // SECOND_NS)
        book.add(counted, b"" if received_ns is None else head(received_ns))
    return book


def findings(book: SensorBook, now_ns: int, name: str = "gw1") -> list[str]:
    return [each.word for health in health_of(book, now_ns) if health.name == name for each in health.findings]


def behind_s(book: SensorBook, name: str = "gw1") -> int:
    heard = book.get(name)
    assert heard is not None
    return round(heard.clock_behind_ns / SECOND_NS)


def told(count: int = 8) -> list[int]:
    return [START_NS + 10 * number * SECOND_NS for number in range(count)]


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        (b"2023-11-14T22:13:20+00:00 gw1 flowvigil: ", START_NS),
        (b"2023-11-14T23:13:20.250+0100 gw1 flowvigil: ", START_NS + SECOND_NS // 4),
        (b"<134>1 2023-11-14T22:13:20.5Z gw1 flowvigil 7 alert - ", START_NS + SECOND_NS // 2),
        (b"2023-11-14T22:13:20Z relay <134>1 2023-11-14T20:13:20Z gw1 flowvigil 7 stats - ", START_NS),
        (b"1700000000000\t", START_NS),
        (b"1700000000 ", START_NS),
        (b"1700000000.123 ", START_NS + 123_000_000),
        (b"1700000000.000000001\t", START_NS + 1),
        (b"1700000000.123.4 ", None),
        (b"Nov 14 22:13:20 gw1 flowvigil: ", None),  # of which year, and where?
        (b"9999-99-99T99:99:99Z ", None),
        (b"9999-12-31T23:59:59Z ", 253_402_300_799 * SECOND_NS),
        (b"17000000000001 x 1.2.3.1700000000:", None),
        (b"x" * 300 + b" 1700000000000 ", None),
        (b"\xff\x00", None),
        (b"", None),
    ],
)
def test_the_receivers_time_stands_before_the_line(text: bytes, expected_ns: int | None) -> None:
    assert head_ns(text) == expected_ns


@pytest.mark.parametrize("differs_s", [7200, 60, -7200, -60, -1_600_000_000])
def test_a_clock_that_differs_from_the_receivers_is_told_by_how_much(differs_s: int) -> None:
    lines = [("gw1", time_ns - differs_s * SECOND_NS, time_ns + 5_000_000) for time_ns in told()]
    assert behind_s(book_of(lines)) == differs_s
    random.Random(7).shuffle(lines)
    assert behind_s(book_of(lines + lines[::2])) == differs_s


@given(st.integers(4, 12), st.floats(0, 0.8), st.integers(0, 4 * 3600), st.randoms(use_true_random=False))
@example(4, 0.8, 3600, random.Random(7))
@example(20, 0.9, 3600, random.Random(7))
def test_lines_that_lay_somewhere_are_no_clock_that_differs(
    late: int, pace: float, wait_s: int, rng: random.Random
) -> None:
    """A spool that empties: lines come faster than they were written, in order, as the end of what came."""
    gap_s = 10 * pace
    came = START_NS + wait_s * SECOND_NS + 10 * late * SECOND_NS
    lines = [
        ("gw1", time_ns, came + round((number * gap_s + rng.random()) * SECOND_NS))
        for number, time_ns in enumerate(told(late))
    ]
    assert behind_s(book_of(lines)) == 0


def test_a_clock_that_was_set_back_is_heard_by_the_receivers_time() -> None:
    lines: list[tuple[str, int, int | None]] = [("gw1", time_ns, time_ns) for time_ns in told()]
    later = [time_ns + 100 * SECOND_NS for time_ns in told()]
    lines += [("gw1", time_ns - TWO_HOURS_NS, time_ns) for time_ns in later]
    book = book_of(lines)
    heard = book.get("gw1")
    assert heard is not None
    assert heard.latest is not None
    assert heard.latest.time_ns == later[-1] - TWO_HOURS_NS
    assert behind_s(book) == 7200
    assert book.present_ns == later[-1]


@pytest.mark.parametrize("right_for", [1, ACCOUNTS_KEPT, 20])
def test_a_clock_that_was_ahead_and_is_right_now_is_right(right_for: int) -> None:
    real = told(20 + right_for)
    book = book_of([("gw1", ns + (TWO_HOURS_NS if at < 20 else 0), ns) for at, ns in enumerate(real)])
    assert findings(book, real[-1]) == []
    assert book.present_ns == real[-1]
    assert findings(book, real[-1] + TWO_HOURS_NS) == ["silent"]
    book.add(EventRecord(real[-1] + 5, Observer("gw1", "0.1.0"), "x", "y"), head(real[-1] + SECOND_NS))
    assert book.present_ns == real[-1] + 5
    book.add(replace(account("gw1", real[-1] + SECOND_NS), final=True), head(real[-1] + SECOND_NS))
    assert findings(book, real[-1] + SECOND_NS) == ["ended"]


@pytest.mark.parametrize(("told_of_new", "again"), [(3, range(10)), (3, range(2)), (20, range(10)), (20, range(9, 10))])
def test_accounts_of_an_earlier_run_that_come_again_are_no_second_sensor(told_of_new: int, again: range) -> None:
    before, new = told(10), [ns + 200 * SECOND_NS for ns in told(told_of_new + 3)]
    book = SensorBook()
    for at, ns in enumerate(before):
        book.add(account("gw1", ns, received=at, run="a"), head(ns))
    for at, ns in enumerate(new):
        if at == told_of_new:
            for place in again:
                book.add(account("gw1", before[place], received=place, run="a"), head(ns - 5 * SECOND_NS))
            assert findings(book, ns) == []
        book.add(account("gw1", ns, received=at, run="b"), head(ns))
    assert findings(book, new[-1]) == []


def test_a_run_whose_clock_was_set_back_goes_on() -> None:
    book = SensorBook()
    for at, ns in enumerate(told(20)):
        book.add(account("gw1", ns - (TWO_HOURS_NS if at > 9 else 0), received=at, run="a"), head(ns))
    assert findings(book, told(20)[-1]) == ["clock-behind"]


def test_runs_that_somebody_made_up_take_no_room() -> None:
    book = SensorBook()
    for at, ns in enumerate(told(100)):
        book.add(account("gw1", ns, run=f"made up {at}"))
    heard = book.get("gw1")
    assert heard is not None
    assert len(heard._runs) == RUNS_KEPT


def test_others_whose_clocks_are_wrong_are_known_by_the_receivers_time() -> None:
    lines: list[tuple[str, int, int | None]] = []
    for ns in told(12):
        lines += [(name, ns - TWO_HOURS_NS, ns) for name in ("gw2", "gw3", "gw4")]
        lines.append(("gw1", ns, ns))
    book = book_of(lines)
    assert findings(book, told(12)[-1]) == []
    assert findings(book, told(12)[-1], "gw2") == ["clock-behind"]


def interleaved(names: int, behind_ns: int, count: int = 8) -> list[tuple[str, int, int | None]]:
    lines: list[tuple[str, int, int | None]] = []
    for round_ns in told(count):
        lines += [(f"other{number}", round_ns + number * SECOND_NS, None) for number in range(names)]
        lines.append(("gw1", round_ns + 5 * SECOND_NS - behind_ns, None))
    return lines


@pytest.mark.parametrize("names", [3, 4, 40])
def test_without_a_receivers_time_the_order_among_other_sensors_tells_it(names: int) -> None:
    assert abs(behind_s(book_of(interleaved(names, TWO_HOURS_NS))) - 7200) <= 40
    assert abs(behind_s(book_of(interleaved(names, -TWO_HOURS_NS))) + 7200) <= 40
    assert behind_s(book_of(interleaved(names, 0))) == 0


def test_most_sensors_are_right_and_two_are_no_proof() -> None:
    book = book_of(interleaved(7, TWO_HOURS_NS))
    assert [heard.name for heard in book if heard.clock_behind_ns] == ["gw1"]
    assert behind_s(book_of(interleaved(2, TWO_HOURS_NS))) == 0


def test_files_one_after_the_other_say_nothing_of_clocks() -> None:
    """As `cat` puts them, a sensor that fell silent last."""
    lines: list[tuple[str, int, int | None]] = [
        (f"other{number}", time_ns + TWO_HOURS_NS, None) for number in range(4) for time_ns in told()
    ]
    assert behind_s(book_of([*lines, *(("gw1", time_ns, None) for time_ns in told())])) == 0


def test_how_seldom_the_others_tell_is_no_clock_that_is_ahead() -> None:
    neighbours = Neighbours()
    lines = [account(f"slow{number}", START_NS + number * 10 * SECOND_NS, 300.0) for number in range(30)]
    came = [received_of(line, b"", neighbours) for line in lines]
    mine_ns = [START_NS + (300 + 10 * number) * SECOND_NS for number in range(5)]
    received = []
    for number, time_ns in enumerate(mine_ns):
        received.append(received_of(account("gw1", time_ns), b"", neighbours))
        received_of(account(f"slow{number}", time_ns, 300.0), b"", neighbours)
    assert came[0] is None
    assert None not in received
    assert clock_behind_ns(mine_ns, received, 10 * SECOND_NS) == 0


def test_a_head_with_the_sensors_own_time_says_nothing() -> None:
    found = received_of(account("gw1", START_NS), head(START_NS), Neighbours())
    assert found is None
    assert received_of(account("gw1", START_NS), head(START_NS + ALIKE_NS), Neighbours()) is not None

"""What the sensor tells of itself: every packet accounted for, in lines that nothing can break."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.decode import REASONS
from sensor.alerts.alert import Observer
from sensor.alerts.ecs import LINE_LIMIT_BYTES
from sensor.alerts.sensor_records import event_line, stats_line
from sensor.progress.progress import InterfaceState, Progress

pytestmark = pytest.mark.ux

OBSERVER = Observer("gw1", "0.1.0")
NOW_NS = 1_700_000_000_123_456_789
COUNTS = st.integers(0, 2**58)


def document_of(line: bytes) -> dict[str, Any]:
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    document = json.loads(line, parse_constant=pytest.fail)
    assert isinstance(document, dict)
    return document


def stats(progress: Progress, interval_s: float = 10.0, previous: Progress | None = None) -> dict[str, Any]:
    return dict(document_of(stats_line(progress, OBSERVER, NOW_NS, interval_s, previous))["flowvigil"])


def test_an_account_is_an_ecs_metric() -> None:
    document = document_of(stats_line(Progress(), OBSERVER, NOW_NS, 10.0, None, final=True))
    assert document["@timestamp"] == "2023-11-14T22:13:20.123456Z"
    assert document["ecs"] == {"version": "9.4.0"}
    assert document["event"] == {
        "kind": "metric", "category": ["network"], "type": ["info"], "dataset": "flowvigil.stats",
    }  # fmt: skip
    assert document["observer"] == {"name": "gw1", "type": "ids", "version": "0.1.0"}
    assert document["flowvigil"]["schema"] == "stats/1"
    assert document["flowvigil"]["final"] is True


def test_it_tells_totals_alerts_and_interfaces() -> None:
    told = stats(
        Progress(
            received=100, metered=80, filtered=5, undecoded={"not IP": 4, "headers cut short": 1, "never": 0}, shed=3,
            dropped=6, waiting=1, flows=9, table_flows=7, evicted=2, late=8, clock_jumps=1, tunnelled=15,
            split_sessions=12, one_sided=4, unjudged={"igmp": 2},
            lost_lines=11, overload="one flow in 2 is metered", alerts=3, attacks=2, uncertain=1,
            interfaces=(InterfaceState("eth0", True), InterfaceState("eth1", False)),
        )
    )  # fmt: skip
    assert told == {
        "schema": "stats/1", "final": False, "interval_s": 10, "received": 100, "metered": 80, "filtered": 5,
        "undecoded": {"headers cut short": 1, "not IP": 4}, "unjudged": {"igmp": 2},
        "shed": 3, "dropped": 6, "waiting": 1, "difference": 0,
        "packets_per_second": 10, "bits_per_second": 0, "flows": 9, "table_flows": 7, "evicted": 2, "late": 8,
        "clock_jumps": 1, "tunnelled": 15, "split_sessions": 12, "one_sided": 4, "lost_lines": 11,
        "overload": "one flow in 2 is metered",
        "alerts": {"opened": 3, "attack": 2, "uncertain": 1, "merged": 0},
        "interfaces": [{"name": "eth0", "up": True}, {"name": "eth1", "up": False}],
    }  # fmt: skip


def test_rows_of_context_that_gave_way_are_told_where_a_bundle_uses_context() -> None:
    assert "context_evicted" not in stats(Progress())
    assert stats(Progress(context_evicted=0))["context_evicted"] == 0
    assert stats(Progress(context_evicted=7))["context_evicted"] == 7


def test_what_bounded_stores_let_go_is_told_where_they_did() -> None:
    assert "stores_evicted" not in stats(Progress())
    assert stats(Progress(stores_evicted={"pairs": 7, "hosts": 2}))["stores_evicted"] == {"hosts": 2, "pairs": 7}


def test_the_longest_time_between_two_looks_at_the_ring_is_told_of_a_capture() -> None:
    assert "longest_pause_ns" not in stats(Progress())
    assert stats(Progress(longest_pause_ns=7))["longest_pause_ns"] == 7


@given(
    *(COUNTS for _ in range(6)), st.dictionaries(st.sampled_from(REASONS), COUNTS)
)  # fmt: skip
def test_what_was_received_is_the_sum_of_its_parts(
    received: int, metered: int, filtered: int, shed: int, dropped: int, waiting: int, undecoded: dict[str, int]
) -> None:
    told = stats(
        Progress(
            received=received, metered=metered, filtered=filtered, shed=shed, dropped=dropped, waiting=waiting,
            undecoded=undecoded,
        )
    )  # fmt: skip
    parts = ("metered", "filtered", "shed", "dropped", "waiting", "difference")
    assert told["received"] == sum(told[part] for part in parts) + sum(told["undecoded"].values())


def test_rates_are_those_of_the_interval() -> None:
    told = stats(Progress(received=5_000, bytes=9_000), 4.0, Progress(received=1_000, bytes=1_000))
    assert told["packets_per_second"] == 1000
    assert told["bits_per_second"] == 16_000


@pytest.mark.parametrize("interval_s", [0.0, -1.0, float("nan"), float("inf")])
def test_an_interval_that_is_none_has_no_rates(interval_s: float) -> None:
    told = stats(Progress(received=5), interval_s)
    assert told["packets_per_second"] == told["bits_per_second"] == 0


def test_the_same_account_is_the_same_line() -> None:
    one = Progress(undecoded={"a": 1, "b": 2})
    other = dataclasses.replace(one, undecoded={"b": 2, "a": 1})
    assert stats_line(one, OBSERVER, 0, 1.0, None) == stats_line(other, OBSERVER, 0, 1.0, None)


def test_an_event_names_what_happened_where() -> None:
    document = document_of(event_line("interface-down", "eth0 went down", OBSERVER, NOW_NS, "eth0"))
    assert document["event"] == {
        "kind": "event", "category": ["network"], "type": ["info"], "dataset": "flowvigil.sensor",
        "action": "interface-down",
    }  # fmt: skip
    assert document["observer"]["ingress"] == {"interface": {"name": "eth0"}}
    assert document["flowvigil"] == {"schema": "event/1", "message": "eth0 went down"}
    assert "ingress" not in document_of(event_line("overload", "x", OBSERVER, NOW_NS))["observer"]


@given(st.text(st.characters(), max_size=2000))
def test_no_text_breaks_a_line_or_makes_it_too_long(text: str) -> None:
    wide = text + "\U0001f980" * 600 + "\x1b\n"
    observer = Observer(wide, wide)
    line = event_line(wide, wide, observer, NOW_NS, wide)
    document_of(line)
    assert len(line) <= LINE_LIMIT_BYTES
    assert b"\x1b" not in line
    progress = Progress(
        **dict.fromkeys(("received", "metered", "filtered", "shed", "dropped", "waiting", "bytes", "flows"), 2**58),
        undecoded=dict.fromkeys(REASONS, 2**58), overload=wide,
        interfaces=tuple(InterfaceState(f"{i}{wide}", False) for i in range(500)),
    )  # fmt: skip
    line = stats_line(progress, observer, NOW_NS, 1e-9)
    document_of(line)
    assert len(line) <= LINE_LIMIT_BYTES

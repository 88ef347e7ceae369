"""Native documents of every kind, and a great variety of alerts."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import numpy as np
from hypothesis import strategies as st

from flows.batch import END_NS, IDENTITY_WIDTH, REPORT, REPORTED_NS, START_NS
from flows.columns import COLUMNS, INDEX
from sensor.alerts.alert import Alert, Endpoint, Grade, ModelIdentity, Muted, Observer
from sensor.alerts.alert_flow import AlertFlow
from sensor.alerts.alert_record import alert_document
from sensor.alerts.deviation import Deviation
from sensor.alerts.drift_record import DriftRecord, Measure, drift_line
from sensor.alerts.flow_record import LoggedFlow, flow_line, logged_flow_line
from sensor.alerts.query import LANES
from sensor.alerts.seen_names import SeenName, TlsHello
from sensor.alerts.sensor_records import event_line, stats_line
from sensor.alerts.spread import Spread
from sensor.alerts.techniques import TECHNIQUES, Technique
from sensor.progress.progress import DriftState, InterfaceState, Progress
from tests.support.alerts import an_alert

OBSERVER = Observer("gw1", "0.1.0")
NOW_NS = 1_700_000_000_123_456_789
# What would break a line, a header, a value, a terminal or a bound.
TEXTS = st.text(st.sampled_from(list("a|=\\\n\r\"'\x1b\u202e\U0001f600 é-")), max_size=600) | st.text(max_size=80)
COUNTS = st.integers(0, 2**53)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
TIMES = st.integers(0, 4_102_444_800 * 10**9)  # to 2100


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    """Any alert, each text from outside hostile."""
    addresses = draw(st.sampled_from([("192.0.2.1", "203.0.113.9", 4), ("2001:db8::1", "fe80::2", 6)]))
    ports = draw(st.sampled_from([(51514, 22), (None, None), (0, 65535)]))
    names = st.none() | TEXTS
    systems = st.none() | st.integers(0, 2**32 - 1)
    seen = st.lists(st.builds(SeenName, TEXTS, TIMES, st.sampled_from(addresses[:2]), st.booleans()), max_size=3)
    ends = [
        Endpoint(ip, port, draw(COUNTS), draw(COUNTS), *map(draw, (names, names, names, systems, names, seen)))
        for ip, port in zip(addresses[:2], ports, strict=True)
    ]
    directions = [None, "inbound", "outbound", "internal", "external"]
    deviations = st.builds(Deviation, TEXTS, TEXTS, *(NUMBERS for _ in range(6)))
    own = Technique("T" + draw(TEXTS), draw(TEXTS), draw(st.sampled_from(["", "Impact"])))
    shape = [draw(COUNTS) for _ in range(4)]
    return an_alert(
        time_ns=draw(TIMES), start_ns=draw(TIMES), end_ns=draw(TIMES), sequence=draw(st.integers(1, 2**53)),
        action=draw(st.sampled_from(["opened", "updated", "closed"])), severity=draw(st.integers(0, 100)),
        risk=draw(st.floats(0, 100)), reason=draw(TEXTS), source=ends[0], destination=ends[1],
        ip_version=addresses[2], protocol=draw(st.integers(0, 255)),
        technique=draw(st.sampled_from([None, *TECHNIQUES, own])),
        verdict=draw(st.sampled_from(["attack", "uncertain"])), lane=draw(st.sampled_from(LANES)),
        label=draw(st.none() | TEXTS), p_known=draw(NUMBERS), p_novel=draw(NUMBERS),
        scores=draw(st.dictionaries(TEXTS, NUMBERS, max_size=12)),
        deviations=tuple(draw(st.lists(deviations, max_size=7))),
        spread=Spread(
            shape[0], shape[1], shape[2], shape[3], draw(st.booleans()), 7, draw(st.booleans()), 9, 6, 22,
            draw(COUNTS), draw(st.booleans()),
        ),
        model=ModelIdentity(draw(TEXTS), draw(TEXTS)), observer=Observer(draw(TEXTS), draw(TEXTS)),
        dropped=draw(COUNTS), hosts_merged=draw(COUNTS), direction=draw(st.sampled_from(directions)),
        muted=draw(st.none() | st.builds(Muted, TEXTS, TEXTS, st.none() | TIMES)),
        tls=draw(st.builds(TlsHello, names, names)),
        before_notes=draw(st.none() | st.builds(Grade, st.integers(0, 100), st.floats(0, 100))),
    )  # fmt: skip


def documents() -> st.SearchStrategy[dict[str, Any]]:
    """Native documents of alerts."""
    return alerts().map(alert_document)


def a_stats_line() -> bytes:
    """An account with something in each of its fields."""
    progress = Progress(
        received=100, metered=80, filtered=5, undecoded={"not IP": 4}, shed=3, dropped=6, waiting=1, bytes=9_000,
        flows=9, table_flows=7, evicted=2, late=8, clock_jumps=1, tunnelled=15, split_sessions=12, one_sided=4,
        unjudged={"igmp": 2}, lost_lines=11,
        overload="one flow in 2 is metered", alerts=3, attacks=2, uncertain=1, merged=9412, muted=5,
        interfaces=(InterfaceState("eth0", True),), drift=DriftState(("columns-changed",), 1.5, 2.25, 5.0),
    )  # fmt: skip
    return stats_line(progress, OBSERVER, NOW_NS, 10.0, None)


def a_drift_line() -> bytes:
    """A condition of drift that began."""
    measures = (Measure("fwd_bytes", 0.75, 0.27), Measure("bwd_bytes", 0.5, 0.27))
    message = "the traffic has changed: 2 of 128 columns (fwd_bytes, bwd_bytes) differ from each of the days before"
    return drift_line(
        DriftRecord(
            NOW_NS, OBSERVER, "columns-changed", "begun", NOW_NS - 86_400 * 10**9, 5000, 2, measures, "default", message
        )
    )


def a_flow(**fields: Any) -> AlertFlow:
    """A tagged SSH flow that the known lane flagged while it went on, or another where fields say so."""
    identity = [0] * IDENTITY_WIDTH
    addresses = [0, int(ip_address("192.0.2.10")), 0, int(ip_address("198.51.100.7"))]
    identity[: START_NS + 1] = [*addresses, 51514, 22, 6, 4, 7 << 12 | 42, NOW_NS]
    identity[END_NS], identity[REPORTED_NS], identity[REPORT] = NOW_NS + 9 * 10**9, NOW_NS + 10 * 10**9, 1
    values = np.zeros(len(COLUMNS))
    for name, value in {"fwd_bytes": 1234, "bwd_bytes": 4321, "fwd_packets": 12, "bwd_packets": 10}.items():
        values[INDEX[name]] = value
    return replace(AlertFlow("A" * 26, 3, identity, values, 2e-5, 0.4, "SSH-Patator"), **fields)


def a_flow_line() -> bytes:
    """The record of that flow."""
    return flow_line(a_flow(), OBSERVER)


def a_logged_flow_line() -> bytes:
    """The record of that flow in a log."""
    flow = a_flow()
    said = {"verdict": "attack", "label": "SSH-Patator", "judged": True, "p_known": 2e-5, "p_novel": 0.4}
    return logged_flow_line(LoggedFlow(flow.identity, flow.values, **said, scores={"lstm": 0.97}), OBSERVER)


def an_event_line() -> bytes:
    """An event at an interface."""
    return event_line("interface-down", "eth0 went down", OBSERVER, NOW_NS, "eth0")

"""What passes over the socket: told and read back, and hostile lines."""

from dataclasses import fields
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.alerts.json_lines import LONGEST_LINE
from sensor.alerts.reading import NativeLine, UnreadableLineError
from sensor.attach.protocol import (
    End,
    Hello,
    LeftOut,
    OtherProtocolError,
    Refused,
    line_of,
    message_of,
)
from sensor.progress.progress import (
    DriftState,
    InterfaceState,
    KeptPackets,
    LoggedFlows,
    OpenAlert,
    OutputState,
    Progress,
    Share,
    Traffic,
    WorkerRate,
)

pytestmark = pytest.mark.ux

FULL = Progress(
    bundle="site 1a2b3c4d",
    received=100, packets=90, bytes=9000, metered=80, filtered=1, undecoded={"not IP": 3}, shed=4, dropped=5, waiting=6,
    longest_pause_ns=30,
    overload="one flow in 2", flows=7, table_flows=8, evicted=9, late=10, late_ns=26, clock_jumps=11, lost_lines=12,
    bytes_read=13, size=14, started_ns=15, traffic_time_ns=16, elapsed_s=17.5, alerts=18, attacks=19, uncertain=20,
    opened_uncertain=6, opened_muted=7,
    lost_with_worker=30, muted=29, merged=21, judged=22, one_sided=27, scoring_s=23.5, context_evicted=28,
    tunnelled=24, split_sessions=25,
    stores_evicted={"pairs": 31},
    interfaces=(InterfaceState("eth0", True),),
    outputs=(OutputState("syslog", False, 1, 2, 3, 4),), kept=KeptPackets(1, 2, 3, 4, 5, 6, 7, 8),
    logged=LoggedFlows(1, 2, 3, 4, 5, 6),
    drift=DriftState(("columns-changed",), 1.5, 2.25, 5.0),
    traffic=Traffic(32.5, (Share("10.0.0.1", 33, 34),), (Share("tcp/443", 35, 36),), (Share("tcp", 37, 38),), 39),
    workers=(WorkerRate("worker 1", 48, 49, 50.5),),
    open_alerts=(OpenAlert("A" * 26, 40, 41, 42, 43, 44, 45, 46, 47),),
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def told(record: str, what: Any) -> bytes:
    return orjson.dumps({"flowvigil": {"schema": "attach/1", "record": record, record: what}})


def test_every_field_of_the_progress_arrives_as_it_was() -> None:
    assert all(getattr(FULL, field.name) != field.default for field in fields(Progress))  # none is forgotten here
    assert message_of(line_of(FULL)) == FULL
    assert message_of(line_of(Progress())) == Progress()


@pytest.mark.parametrize("message", [Hello("1", "gw1", "eth0", "x"), LeftOut(3), Refused("full"), End(None), End("x")])
def test_every_other_message_arrives_as_it_was(message: Any) -> None:
    assert message_of(line_of(message)) == message


def test_a_line_of_the_sensor_passes_as_it_is() -> None:
    line = b'{"event":{"kind":"alert"},"flowvigil":{"schema":"alert/1"}}\n'
    found = message_of(line)
    assert isinstance(found, NativeLine)
    assert (found.kind, found.line) == ("alert", line)


def test_another_version_of_the_protocol_is_named() -> None:
    with pytest.raises(OtherProtocolError, match="attach/2"):
        message_of(b'{"flowvigil":{"schema":"attach/2"}}')


@pytest.mark.parametrize(
    "line",
    [
        b"", b"\xff\xfe", b"[]", b"null", b"[" * 5000, b'{"flowvigil":1}', b'{"flowvigil":{"schema":1}}',
        b'{"flowvigil":{"schema":"attach/1"}}', told("progress", None), told("nonsense", {}), told("hello", {}),
        told("progress", {"packets": -1}), told("progress", {"packets": 1 << 63}), told("progress", {"packets": True}),
        told("progress", {"packets": 1.5}), told("progress", {"overload": 7}), told("progress", {"elapsed_s": 1e300}),
        told("progress", {"elapsed_s": "1"}), told("progress", {"undecoded": [1]}),
        told("progress", {"undecoded": {str(n): 1 for n in range(65)}}), told("progress", {"interfaces": ["eth0"]}),
        told("progress", {"outputs": [{"name": "x"}]}), told("progress", {"kept": {}}),
        told("leftout", {"lines": None}), told("end", {"problem": 5}),
    ],
)  # fmt: skip
def test_what_no_sensor_writes_is_not_understood(line: bytes) -> None:
    with pytest.raises(UnreadableLineError):
        message_of(line)


def test_what_is_for_people_is_printable_and_bounded() -> None:
    hello = message_of(told("hello", dict.fromkeys(("version", "observer", "source", "bundle"), "\x1b[2J" * 999)))
    assert isinstance(hello, Hello)
    assert "\x1b" not in hello.source
    assert len(hello.source) == 200
    many = [{"name": "\u202e" * 99, "up": True}] * 999
    progress = message_of(told("progress", {"interfaces": many}))
    assert isinstance(progress, Progress)
    assert len(progress.interfaces) == 64
    assert progress.interfaces[0].name.isascii() or "…" in progress.interfaces[0].name


@given(st.sampled_from(["hello", "progress", "leftout", "refused", "end", "x"]), JSON | st.fixed_dictionaries(
    {}, optional={field.name: JSON for field in fields(Progress)}
))  # fmt: skip
def test_any_json_is_understood_or_refused(record: str, what: Any) -> None:
    try:
        line = told(record, what)
    except TypeError:  # integers beyond 64 bits are no JSON of this writer
        return
    try:
        message_of(line)
    except UnreadableLineError:
        return


def test_the_longest_progress_is_within_a_line() -> None:
    many = Progress(
        interfaces=(InterfaceState("x" * 16, True),) * 500, outputs=(OutputState("o" * 60, True, 1, 2, 3, 4),) * 32
    )
    assert len(line_of(many)) < LONGEST_LINE

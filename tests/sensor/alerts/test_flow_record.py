"""Flow records: those that an alert rests on, linked to it, as many as were asked for."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.batch import REPORT
from sensor.alerts.alert import Alert, Observer
from sensor.alerts.alert_flow import AlertFlow, AlertItem
from sensor.alerts.ecs import LINE_LIMIT_BYTES
from sensor.alerts.flow_record import FlowRecords, flow_id, flow_line
from sensor.alerts.formats.schemas import schema_of
from sensor.run.outlet import Outlet
from tests.support.alerts import an_alert
from tests.support.command import DEMO, flowvigil
from tests.support.episodes import Flow, episodes, guesses, judged, scan
from tests.support.examples import examples
from tests.support.native import OBSERVER, TEXTS, a_flow

pytestmark = pytest.mark.ux


@dataclass
class Sink:
    """Keeps lines."""

    written: list[bytes]

    def write(self, lines: Iterable[bytes]) -> None:
        self.written += lines


def links(flows: list[Flow], **changes: object) -> list[tuple[str, int, int]]:
    """Alert, number in it and source port of each flow handed on."""
    watched = episodes(**changes)
    items = watched.observe(*judged(flows)) + watched.finish()
    return [(flow.alert_id, flow.number, flow.identity[4]) for flow in flows_in(items)]


def flows_in(items: Sequence[AlertItem]) -> list[AlertFlow]:
    return [item for item in items if isinstance(item, AlertFlow)]


def test_every_flow_of_an_alert_is_handed_on_also_those_before_it_opened() -> None:
    flows = guesses(20)
    found = links(flows, flows_per_alert=100)
    assert len({alert for alert, _, _ in found}) == 1
    assert [number for _, number, _ in found] == list(range(1, 20))
    assert [port for _, _, port in found] == [flow.source_port for flow in flows[1:]]  # one alone is of no shape


def test_of_a_slow_start_too_the_flows_before_the_alert_opened_are_handed_on() -> None:
    flows = scan(60)
    flows = [flow._replace(target=f"198.51.{i}.7", port=443, source_port=i) for i, flow in enumerate(flows)]
    found = links(flows, flows_per_alert=100)
    assert [port for _, _, port in found] == list(range(9, 60))  # the first few are of no shape


def test_nothing_is_handed_on_of_a_host_without_an_alert_nor_where_nobody_asked() -> None:
    assert links(guesses(1), flows_per_alert=100) == []
    assert links(guesses(20)) == []


def test_an_alert_hands_on_as_many_flows_as_were_asked_for() -> None:
    found = links([*guesses(50), *scan(500, source="192.0.2.99")], flows_per_alert=7)
    assert sorted(Counter(alert for alert, _, _ in found).values()) == [7, 7]


def test_a_storm_hands_on_under_its_own_name() -> None:
    hosts = [{"start": host * 0.01, "source": f"10.0.0.{host}", "target": f"11.0.0.{host}"} for host in range(30)]
    flows = [flow for host in hosts for flow in guesses(5, **host)]
    watched = episodes(flows_per_alert=1000, alerts_per_minute=2)
    items = watched.observe(*judged(sorted(flows, key=lambda flow: flow.at))) + watched.finish()
    found = Counter(flow.alert_id for flow in flows_in(items))
    counted = {alert.id: alert.spread.flows for alert in items if isinstance(alert, Alert)}
    assert found == Counter(counted)
    assert sum(found.values()) == 120


def test_flows_are_taken_once() -> None:
    watched = episodes(flows_per_alert=10)
    assert len(flows_in(watched.observe(*judged(guesses(5))))) == 4
    assert flows_in(watched.finish()) == []


def test_a_flow_keeps_its_name_in_each_report_and_no_other_has_it() -> None:
    flow = a_flow()
    later, other = list(flow.identity), list(flow.identity)
    later[REPORT] += 1
    other[4] += 1
    assert flow_id(flow.identity) == flow_id(later) != flow_id(other)


def test_times_follow_a_clock_that_was_set() -> None:
    ahead = json.loads(flow_line(a_flow(), OBSERVER, 3_600_000_000_000))
    assert ahead["event"]["start"] == "2023-11-14T23:13:20.123456Z"
    assert ahead["@timestamp"] == "2023-11-14T23:13:30.123456Z"


@examples(60)
@given(
    label=st.none() | TEXTS,
    name=TEXTS,
    p=st.floats(),
    words=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=17, max_size=17),
)
def test_any_flow_is_a_valid_line_of_bounded_length(label: str | None, name: str, p: float, words: list[int]) -> None:
    flow = a_flow()
    identity = [
        *words[:4], *(word & 0xFFFF for word in words[4:6]), words[6] & 0xFF, 4 if words[7] & 1 else 6,
        words[8] & 0xFFFFFF, *(word & 2**62 - 1 for word in words[9:11]), words[11] % 6, words[12] & 2**53 - 1,
        *(word & 2**62 - 1 for word in words[13:16]), *2 * [words[16] & 2**62 - 1 & words[14]],
    ]  # fmt: skip
    line = flow_line(replace(flow, identity=identity, label=label, p_known=p), Observer(name, name))
    assert line.count(b"\n") == 1
    assert len(line) <= LINE_LIMIT_BYTES
    jsonschema.Draft202012Validator(schema_of("flow")).validate(json.loads(line))


def test_flows_are_written_in_their_place_and_only_the_first_of_each_alert() -> None:
    written: list[bytes] = []
    outlet = Outlet([Sink(written)], flow_records=FlowRecords(OBSERVER, 5))
    first, second, third = (an_alert(sequence=sequence) for sequence in (7, 8, 9))
    flows = [a_flow(number=number) for number in range(1, 9)]
    outlet.publish([first, *flows[:2], second, *flows[2:5], third, *flows[5:]])
    order = [
        document["event"].get("sequence") or document["flowvigil"]["alert"]["number"]
        for document in map(json.loads, written)
    ]
    assert order == [7, 1, 2, 8, 3, 4, 5, 9]


@examples(30)
@given(cuts=st.lists(st.integers(0, 90), max_size=6), hosts=st.lists(st.integers(0, 4), min_size=10, max_size=90))
def test_a_flow_comes_after_its_alert_has_opened_wherever_batches_are_cut(cuts: list[int], hosts: list[int]) -> None:
    flows = [
        flow._replace(source=f"10.0.0.{host}", target=f"11.0.0.{host}")
        for flow, host in zip(guesses(len(hosts)), hosts, strict=True)
    ]
    whole, split = (episodes(flows_per_alert=3, alerts_per_minute=2) for _ in range(2))
    expected = whole.observe(*judged(flows)) + whole.finish()
    items: list[AlertItem] = []
    for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), len(flows)], strict=True):
        items += split.observe(*judged(flows[min(low, len(flows)) : max(low, high)]))
    items += split.finish()
    places = [(item.alert_id, item.number) if isinstance(item, AlertFlow) else item for item in items]
    assert places == [(item.alert_id, item.number) if isinstance(item, AlertFlow) else item for item in expected]
    opened: set[str] = set()
    for item in items:
        if isinstance(item, AlertFlow):
            assert item.alert_id in opened
        else:
            opened.add(item.id)


@pytest.fixture(scope="module")
def demo() -> list[dict[str, object]]:
    run = flowvigil("read", "--quiet", "--set", "episodes.flows_per_alert=20", DEMO)
    assert run.code == 0
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_the_demo_s_alerts_have_their_flows_beside_them(demo: list[dict[str, dict[str, dict[str, str]]]]) -> None:
    alerts = {line["event"]["id"] for line in demo if line["event"]["kind"] == "alert"}
    flows = [line for line in demo if line["event"]["dataset"] == "flowvigil.flow"]
    linked = Counter(line["flowvigil"]["alert"]["id"] for line in flows)
    assert linked.keys() == alerts
    opened: set[str] = set()
    for line in demo:
        if line["event"]["kind"] == "alert":
            opened.add(line["event"]["id"])
        else:
            assert line["flowvigil"]["alert"]["id"] in opened
    assert max(linked.values()) == 20
    hosts = {line["event"]["id"]: line["source"]["ip"] for line in demo if line["event"]["kind"] == "alert"}
    assert all(line["source"]["ip"] == hosts[line["flowvigil"]["alert"]["id"]] for line in flows)
    for line in flows:
        jsonschema.Draft202012Validator(schema_of("flow")).validate(line)

"""Flow logs asked: the same flows as a look at every record finds, each once, by whatever term."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_REASON,
    IP_VERSION,
    PROTOCOL,
    SNAPSHOT,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    VLAN,
    FlowBatch,
    address,
)
from flows.columns import INDEX
from flows.dialects import NATIVE
from sensor.alerts.query_terms import QueryError
from sensor.flow_log.columns import JudgedRecords
from sensor.flow_log.counting import Counts, document, shown
from sensor.flow_log.query import READERS, flow_terms
from sensor.flow_log.reading import FlowLog
from sensor.flow_log.search import FlowSearch
from tests.sensor.flow_log.test_reading import reported_often
from tests.support.flow_files import many_shapes, written
from tests.support.flow_logs import BY, judged, logged, moved, part, same, together
from tests.support.packets import EPOCH_NS, metered, tcp, udp

Row = tuple[list[int], dict[str, float], JudgedRecords, int]


def tagged() -> FlowBatch:
    """Flows of IPv4 and IPv6, with tags and without, whose addresses have high bits set and not."""
    ends = [
        ("10.0.0.9:40000", "10.0.0.2:445"), ("10.0.0.9:40001", "192.0.2.200:22"), ("255.1.2.3:5", "10.0.0.2:445"),
        ("[2001:db8::1]:7", "[fe80::1]:53"), ("[fe80::2]:7", "[2001:db8:8000::9]:53"),
        ("[::1:0:0:1]:1", "[2001:db8::ffff:0:0:1]:9"),
    ]  # fmt: skip
    packets = [tcp(*end, "S", at=0.1 * i, vlan=(i,) * (i % 3)) for i, end in enumerate(ends)]
    packets += [udp(there, back, at=1 + 0.1 * i, payload=100 * i) for i, (there, back) in enumerate(ends)]
    packets += [udp(back, there, at=2 + 0.1 * i, payload=9) for i, (there, back) in enumerate(ends[::2])]
    flows = metered(packets)
    ended = flows.identity[:, END_REASON] != SNAPSHOT
    return FlowBatch(flows.identity[ended], flows.values[ended])


def everything(directory: Path) -> list[JudgedRecords]:
    parts = [judged(tagged()), judged(moved(many_shapes(), 60), seed=9, clock_step_ns=7 * 10**9)]
    logged(directory, *parts)
    return parts


def found(path: Path, query: str, **options: object) -> FlowBatch:
    log = FlowLog([path])
    search = FlowSearch(log, flow_terms(query), **options)  # type: ignore[arg-type]
    batches = [flows.records for flows in search.found()]
    assert not log.problems
    return together(batches) if batches else part(tagged(), 0, 0)


def expected(parts: list[JudgedRecords], holds: Callable[[Row], bool]) -> FlowBatch:
    kept = []
    for one in parts:
        for at, identity in enumerate(one.records.identity.tolist()):
            values = dict(zip(INDEX, one.records.values[at].tolist(), strict=True))
            if holds((identity, values, one, at)):
                kept.append(part(one.records, at, at + 1))
    return together(kept) if kept else part(tagged(), 0, 0)


def net(text: str, high: int, low: int) -> Callable[[Row], bool]:
    def holds(row: Row) -> bool:
        found = ip_address(address(row[0][high], row[0][low], row[0][IP_VERSION]))
        return found.version == ip_network(text).version and found in ip_network(text)

    return holds


def lane(row: Row) -> str:
    said = row[2].judgement
    known, novel = said.p_known[row[3]] < BY.cuts[0], said.p_novel[row[3]] < BY.cuts[1]
    return "both" if known and novel else "known" if known else "novel" if novel else ""


SRC, DST = (SRC_HIGH, SRC_LOW), (DST_HIGH, DST_LOW)
VERDICTS = ("benign", "uncertain", "attack")
CASES: dict[str, Callable[[Row], bool]] = {
    "src:10.0.0.9": net("10.0.0.9/32", *SRC),
    "src:0.0.0.0/0": net("0.0.0.0/0", *SRC),
    "dst:192.0.0.0/8": net("192.0.0.0/8", *DST),
    "src:255.0.0.0/8": net("255.0.0.0/8", *SRC),
    "dst:fe80::/10": net("fe80::/10", *DST),
    "src:::/0": net("::/0", *SRC),
    "dst:2001:db8::/33": net("2001:db8::/33", *DST),
    "dst:2001:db8::ffff:0:0:0/80": net("2001:db8::ffff:0:0:0/80", *DST),
    "src:::1:0:0:1": net("::1:0:0:1/128", *SRC),
    "host:10.0.0.2": lambda row: net("10.0.0.2/32", *SRC)(row) or net("10.0.0.2/32", *DST)(row),
    "dport:445": lambda row: row[0][DST_PORT] == 445,
    "port:>100 port:<=445": lambda row: 100 < row[0][DST_PORT] <= 445,
    "sport:>=40000": lambda row: row[0][SRC_PORT] >= 40000,
    "proto:udp": lambda row: row[0][PROTOCOL] == 17,
    "proto:1": lambda row: row[0][PROTOCOL] == 1,
    "vlan:1": lambda row: 1 in (row[0][VLAN] >> 12, row[0][VLAN] & 0xFFF),
    "vlan:0 proto:tcp": lambda row: 0 in (row[0][VLAN] >> 12, row[0][VLAN] & 0xFFF) and row[0][PROTOCOL] == 6,
    "bytes:>1k": lambda row: row[1]["fwd_bytes"] + row[1]["bwd_bytes"] > 1000,
    "packets:<=2": lambda row: row[1]["fwd_packets"] + row[1]["bwd_packets"] <= 2,
    "duration:>=1.5": lambda row: row[1]["flow_duration"] >= 1.5e6,
    "answered:yes": lambda row: row[1]["bwd_packets"] > 0,
    "answered:no proto:tcp": lambda row: row[1]["bwd_packets"] == 0 and row[0][PROTOCOL] == 6,
    "verdict:attack": lambda row: row[2].judgement.verdict[row[3]] == 2,
    "label:PORTscan": lambda row: BY.labels[row[2].judgement.label[row[3]]] == "PortScan",
    "judged:no": lambda row: not row[2].judgement.judged[row[3]],
    "judged:yes": lambda row: bool(row[2].judgement.judged[row[3]]),
    "score:>=1.2": lambda row: max(score[row[3]] for score in row[2].judgement.scores.values()) >= 1.2,
    "p:<0.01": lambda row: min(row[2].judgement.p_known[row[3]], row[2].judgement.p_novel[row[3]]) < 0.01,
    "p:<5e-2": lambda row: min(row[2].judgement.p_known[row[3]], row[2].judgement.p_novel[row[3]]) < 0.05,
    "lane:known": lambda row: lane(row) == "known",
    "lane:novel": lambda row: lane(row) == "novel",
    "lane:both": lambda row: lane(row) == "both",
    "after:2023-11-14T22:14:30": lambda row: row[0][START_NS] + row[2].clock_step_ns >= EPOCH_NS + 70 * 10**9,
    "before:2023-11-14T23:14:30+01:00": lambda row: row[0][START_NS] + row[2].clock_step_ns < EPOCH_NS + 70 * 10**9,
    "10.0.0.": lambda row: any("10.0.0." in address(row[0][h], row[0][w], row[0][IP_VERSION]) for h, w in (SRC, DST)),
    "portSC": lambda row: BY.labels[row[2].judgement.label[row[3]]] == "PortScan",
    '"forced end"': lambda row: row[0][11] == 4,
    "": bool,
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[JudgedRecords]]:
    path = tmp_path_factory.mktemp("log")
    return path, everything(path)


@pytest.mark.parametrize("query", CASES)
def test_a_term_finds_the_flows_for_which_it_holds(log: tuple[Path, list[JudgedRecords]], query: str) -> None:
    path, parts = log
    wanted = expected(parts, CASES[query])
    assert np.array_equal(found(path, query).identity, wanted.identity)
    if query not in ('"forced end"', "lane:both", "lane:known", "lane:novel"):
        assert len(wanted) > 0


def test_every_field_has_a_case() -> None:
    assert {term.field for query in CASES for term in flow_terms(query)} == {*READERS, ""}


@settings(max_examples=60, deadline=None)
@given(bits=st.integers(0, 128), high=st.integers(0, (1 << 128) - 1), six=st.booleans(), at=st.integers(0, 11))
def test_any_network_holds_the_addresses_that_lie_in_it(
    log: tuple[Path, list[JudgedRecords]], bits: int, high: int, six: bool, at: int
) -> None:
    path, parts = log
    identity = parts[0].records.identity[at].tolist()
    near = ip_address(address(identity[DST_HIGH], identity[DST_LOW], identity[IP_VERSION]))
    width = 128 if near.version == 6 else 32
    there = int(near) ^ (high >> (128 - width) >> min(bits, width) if six else 0)
    text = str(ip_network((there, min(bits, width)), strict=False))
    assert np.array_equal(found(path, f"dst:{text}").identity, expected(parts, net(text, *DST)).identity)


def test_a_query_of_several_terms_holds_where_all_do(log: tuple[Path, list[JudgedRecords]]) -> None:
    path, parts = log
    both = "host:10.0.0.0/8 answered:yes proto:udp"
    wanted = expected(
        parts,
        lambda row: (
            row[0][PROTOCOL] == 17
            and row[1]["bwd_packets"] > 0
            and (net("10.0.0.0/8", *SRC)(row) or net("10.0.0.0/8", *DST)(row))
        ),
    )
    assert np.array_equal(found(path, both).identity, wanted.identity)
    assert len(wanted) > 0


def test_a_flow_that_is_reported_often_is_found_once_by_its_latest_report(tmp_path: Path) -> None:
    records = reported_often()
    logged(tmp_path, judged(part(records, 0, 5)), number=1)
    logged(tmp_path, judged(part(records, 5)), number=2)
    names = [tuple(row[: START_NS + 1]) for row in records.identity.tolist()]
    last = {name: at for at, name in enumerate(names)}
    found_once = found(tmp_path, "")
    assert len(last) < len(records)
    assert np.array_equal(found_once.identity, records.identity[sorted(last.values())])
    assert np.array_equal(found(tmp_path, "", snapshots=True).identity, records.identity)
    every = set(found(tmp_path, "packets:>5").column("fwd_packets").tolist())
    assert every <= set(found_once.column("fwd_packets").tolist())


def test_whole_rows_are_found_where_all_columns_are_wanted(log: tuple[Path, list[JudgedRecords]]) -> None:
    path, parts = log
    values = [name for name in INDEX if name != "protocol"]
    assert same(found(path, "", values=values), together([one.records for one in parts]))


def test_a_flow_table_is_asked_as_a_log_is(tmp_path: Path) -> None:
    records = many_shapes()
    path = written(tmp_path, records, NATIVE, ".parquet")
    parts = [judged(records)]
    asked = [query for query in CASES if not {term.field for term in flow_terms(query)} & {
        "verdict", "label", "judged", "score", "p", "lane", "after", "before"} and query != "portSC"]  # fmt: skip
    assert len(asked) > 20
    for query in asked:
        wanted = expected(parts, CASES[query]).identity
        assert np.array_equal(found(path, query).identity[:, : VLAN + 1], wanted[:, : VLAN + 1]), query


def test_what_a_flow_table_does_not_say_cannot_be_asked_of_it(tmp_path: Path) -> None:
    path = written(tmp_path, many_shapes(), NATIVE, ".parquet")
    logged(tmp_path / "log", judged(many_shapes()))
    log = FlowLog([path, tmp_path / "log"])
    assert sum(len(flows) for flows in FlowSearch(log, flow_terms("verdict:attack p:<1")).found()) > 0
    assert log.problems == [f"{path}: a flow table knows nothing of p, verdict, expected a flow log"]


@pytest.mark.parametrize(
    ("query", "column", "expected"),
    [
        ("severity:3", 1, "one of src:, dst:, host:, port:, dport:, sport:, proto:"),
        ("proto:tpc", 7, "one of icmp, igmp, tcp"),
        ("proto:256", 7, "or a number from 0 to 255"),
        ("after:noon", 7, "a moment such as 2026-03-02"),
        ("answered:maybe", 10, "one of yes, no"),
        ("label:", 7, "a text"),
        ("p:>2", 3, "a number from 0 to 1"),
        ("dport:1k", 7, "a whole number from 0 to 65535"),
        ("bytes:1T", 7, "perhaps with k, M or G behind it"),
        ("vlan:1.5", 6, "a whole number"),
    ],
)
def test_a_query_that_cannot_be_read_is_told_where(query: str, column: int, expected: str) -> None:
    with pytest.raises(QueryError, match=expected) as refused:
        flow_terms(query)
    assert refused.value.column == column


def counts(path: Path, by: str, query: str = "") -> Counts:
    counted = Counts(by)
    for flows in FlowSearch(FlowLog([path]), flow_terms(query)).found():
        counted.add(flows)
    return counted


def test_which_ports_answered_and_who_talked(log: tuple[Path, list[JudgedRecords]]) -> None:
    path, parts = log
    records = together([one.records for one in parts])
    steps = np.repeat([one.clock_step_ns for one in parts], [len(one) for one in parts])
    by_port = {shown("dport", key): group for key, group in counts(path, "dport").largest(None)}
    for name, group in by_port.items():
        protocol, _, port = name.partition("/")
        number = {"tcp": 6, "udp": 17, "icmp": 1}[protocol]
        wanted = (records.identity[:, DST_PORT] == int(port or 0)) & (records.identity[:, PROTOCOL] == number)
        assert group.flows == wanted.sum()
        assert group.answered == (wanted & (records.column("bwd_packets") > 0)).sum()
        assert group.sent == records.column("fwd_bytes")[wanted].sum()
        assert group.received == records.column("bwd_bytes")[wanted].sum()
        assert group.first_ns == (records.identity[:, START_NS] + steps)[wanted].min()
    assert sum(group.flows for group in by_port.values()) == len(records)
    talked = [shown("src", key) for key, _ in counts(path, "src", "dst:10.0.0.2").largest(None)]
    assert talked[0] == "10.0.0.9"
    assert set(talked) == {"10.0.0.9", "255.1.2.3"}
    assert {shown("dst", key) for key, _ in counts(path, "dst", "src:fe80::/10").largest(None)} == {"2001:db8:8000::9"}


def test_flows_are_counted_by_what_was_said(log: tuple[Path, list[JudgedRecords]]) -> None:
    path, parts = log
    said = np.concatenate([one.judgement.verdict for one in parts])
    for key, group in counts(path, "verdict").largest(None):
        assert group.flows == (said == VERDICTS.index(key[0])).sum()
    assert next(shown("label", key) for key, _ in counts(path, "label").largest(1)) in BY.labels
    written = document("sport", *next(iter(counts(path, "sport", "sport:40000 proto:tcp").largest(None))))
    assert (written["sport"], written["proto"], written["flows"]) == (40000, "tcp", 1)


def test_groups_beyond_the_bound_are_counted_together(
    log: tuple[Path, list[JudgedRecords]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sensor.flow_log import counting

    monkeypatch.setattr(counting, "MAX_GROUPS", 3)
    counted = counts(log[0], "src")
    assert len(counted.groups) == 3
    flows = sum(group.flows for group in counted.groups.values()) + counted.others.flows
    assert flows == sum(len(one) for one in log[1])
    assert replace(counted.others, flows=0) != counted.others


@pytest.mark.parametrize("query", ["after:9999-12-31", "before:0001-01-01", "before:0001-01-01T00:00+14:00"])
def test_a_moment_without_any_traffic_finds_none(log: tuple[Path, list[JudgedRecords]], query: str) -> None:
    assert len(found(log[0], query)) == 0


@pytest.mark.parametrize("address", ["fe80::1%eth0", "::ffff:10.0.0.1", "::ffff:10.0.0.0/104"])
def test_an_address_in_a_form_that_no_packet_has_is_refused(address: str) -> None:
    with pytest.raises(QueryError, match="an address without a zone, one of IPv4 in its own form"):
        flow_terms(f"src:{address}")

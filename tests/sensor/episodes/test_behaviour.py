"""Counts of what hosts do: the kernels give what their plain twin gives, in bounded tables, whatever comes."""

import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flows.batch import END_DETECTED, SEEN_SYN, SEEN_SYN_BACK, SNAPSHOT
from sensor.episodes import shapes
from sensor.episodes.behaviour import Behaviour
from sensor.episodes.claims import C_CLOCK, C_INDEX, C_KIND, C_ROW, Claims
from sensor.episodes.shapes import label_kind
from tests.support.behaviour_twin import Claim, TooNearError, Twin
from tests.support.edges import EDGES
from tests.support.episodes import CUT, TECHNIQUES, Flow, guesses, judged, scan
from tests.support.examples import examples

LONGEST = 600  # flows that the twin is asked of: it adds everything up anew for each
GUESS, DOS = shapes.GUESS_LABEL, shapes.DOS_LABEL


def varied(flow: Flow, n: int, every: float, field: str) -> list[Flow]:
    """The flow so many times, each with another value in one field; gaps that are not of whole milliseconds."""
    v6 = ":" in flow.source
    host = {"source": "fd00::1:{}:{}" if v6 else "10.1.{}.{}", "target": "fd00::2:{}:{}" if v6 else "10.2.{}.{}"}
    values = [host[field].format(i >> 6, 1 + i % 64) if field in host else 1024 + i for i in range(n)]
    return [flow._replace(**{field: value}, at=flow.at + i * every * 1.0307) for i, value in enumerate(values)]


def flow_of(
    ends: tuple[str, str], ports: tuple[int, int], protocol: int, size: tuple[int, int], packets: tuple[int, int],
    at: float, lasts: float, label: int, report: int, end: int, seen: int,
) -> Flow:  # fmt: skip
    """A flow; one of TCP with data was answered, as all is in view."""
    sent, answered = size
    there, back = packets if protocol == 17 or not any(size) else (packets[0], max(1, packets[1]))
    flags = seen if protocol != 6 or not any(size) else seen | SEEN_SYN | SEEN_SYN_BACK
    return Flow(
        *ends, port=ports[1], at=at, lasts=lasts, label=label, sent=sent, answered=answered if back else 0,
        source_port=ports[0], protocol=protocol, report=report, end=end, packets=there, back=back, seen=flags,
    )  # fmt: skip


v4, v6 = (["192.0.2.1", "192.0.2.2", "10.0.0.3"], ["2001:db8::1", "fd00::2", "2001:db8:0:1::2"])
ends = st.sampled_from([v4, v6]).flatmap(lambda hosts: st.permutations(hosts).map(lambda order: tuple(order[:2])))
flows = st.builds(
    flow_of,
    ends=ends,
    ports=st.tuples(st.sampled_from([40000, 53, 123]), st.sampled_from([22, 53, 443, 3389, 50000, 0])),
    protocol=st.sampled_from([1, 6, 6, 6, 17, 17, 47, 58, 132]),
    size=st.tuples(st.sampled_from([0, 0, 60, 900]), st.sampled_from([0, 0, 300, 30_000])),
    packets=st.tuples(st.sampled_from([1, 2, 60, 3000, 90_000]), st.sampled_from([0, 0, 1, 2, 80])),
    at=st.floats(0, 3000),
    lasts=st.sampled_from([0.0, 0.7, 6.3, 45.1]),
    label=st.sampled_from([0, 0, GUESS, GUESS, DOS, DOS, shapes.OTHER_LABEL]),
    report=st.sampled_from([0, 0, 0, 1]),
    end=st.sampled_from([SNAPSHOT, END_DETECTED]),
    seen=st.integers(0, 127).map(lambda flags: flags | 300 << 24),
)
bursts = st.builds(
    varied,
    flows,
    st.sampled_from([1, 5, 15, 30, 90]),
    st.sampled_from([0.0, 0.004, 0.3, 20.0, 600.0]),
    st.sampled_from(["source_port", "port", "source", "target"]),
)
likely = st.builds(  # flows of which so many come near to a shape
    varied,
    st.builds(
        lambda flow, at, source: flow._replace(at=at, source=source),
        st.sampled_from(
            [
                *(Flow(port=port, label=label) for port in (22, 3389) for label in (0, GUESS)),
                *(Flow(port=80, label=DOS, lasts=lasts) for lasts in (0.3, 45.1)),
                *(Flow(port=port, sent=0, answered=0, label=0, back=back) for port in (80, 8883) for back in (0, 1)),
                *(Flow(port=port, label=0) for port in (443, 8883, 4444)),
                *(Flow(port=port, label=0, sent=60_000_000, lasts=45.1) for port in (22, 443)),
                Flow(port=4444, label=0, sent=9_000, packets=60, lasts=45.1, source="10.0.0.3", seen=3),
                *(Flow(protocol=17, port=53, sent=sent, label=0) for sent in (60, 150)),
                Flow(protocol=17, port=40000, source_port=53, answered=0, label=0),
                Flow(protocol=1, sent=0, packets=150, back=150, lasts=45.1, label=0, seen=300 << 24),
            ]
        ),
        st.floats(0, 300),
        st.sampled_from(["192.0.2.1", "192.0.2.2", "10.0.0.3"]),
    ),
    st.sampled_from([15, 30, 90, 150]),
    st.sampled_from([0.004, 0.3, 20.0, 600.0]),
    st.sampled_from(["source_port", "port", "source", "source", "target"]),
)
traffic = st.lists(bursts | likely, min_size=1, max_size=6).map(lambda parts: list(chain(*parts)))


def observed(behaviour: Behaviour, told: list[Flow]) -> Claims:
    """Of flows whose `label` is the kind of label that the known lane gave."""
    batch, _, _ = judged(told)
    return behaviour.observe(batch, np.array([flow.label for flow in told], dtype=np.int8))


def kind_of(flow: Flow) -> int:
    """The kind of label that the known lane gave a flow."""
    return label_kind(TECHNIQUES[flow.label]) if flow.known < CUT else shapes.NO_LABEL


def twin_of(told: list[Flow]) -> list[Claim]:
    return Twin().observe(judged(told)[0], [flow.label for flow in told])


@examples(300)
@given(traffic, st.sampled_from(["by time", "as they come"]), st.integers(0, 2**128 - 1))
def test_the_kernels_tell_what_their_plain_twin_tells(told: list[Flow], order: str, seed: int) -> None:
    told = sorted(told, key=lambda flow: flow.at) if order == "by time" else told
    try:
        expected = twin_of(told)
    except TooNearError:
        assume(False)
    found = observed(Behaviour(4096, seed), told)
    assert found.words[:, [C_INDEX, C_KIND]].tolist() == [[claim.index, claim.kind] for claim in expected]
    assert found.levels == pytest.approx([claim.level for claim in expected], rel=1e-9, abs=1e-9)
    assert found.befores == pytest.approx([claim.before for claim in expected], rel=1e-9, abs=1e-9)
    places = {(kind, row) for kind, row in found.words[:, [C_KIND, C_ROW]].tolist()}
    subjects = {(claim.kind, claim.subject) for claim in expected}
    pairs = {
        (kind, row, claim.subject)
        for (kind, row), claim in zip(found.words[:, [C_KIND, C_ROW]].tolist(), expected, strict=True)
    }
    assert len(places) == len(subjects) == len(pairs)


@pytest.mark.parametrize("case", EDGES)
def test_kernels_and_twin_tell_the_same_of_what_comes_near_to_a_shape(case: str) -> None:
    near = [flow._replace(label=kind_of(flow), at=flow.at * 1.000307) for flow in EDGES[case][0]]
    told = sorted(near, key=lambda flow: flow.at)[:LONGEST]
    found, expected = observed(Behaviour(4096, 1), told), twin_of(told)
    assert found.words[:, [C_INDEX, C_KIND]].tolist() == [[claim.index, claim.kind] for claim in expected]
    assert found.levels == pytest.approx([claim.level for claim in expected], rel=1e-9, abs=1e-9)


@examples(60)
@given(traffic, st.integers(1, 3), st.integers(0, 2**128 - 1))
def test_with_hardly_any_places_nothing_breaks_and_the_tables_stay_as_they_are(
    told: list[Flow], capacity: int, seed: int
) -> None:
    behaviour = Behaviour(capacity, seed)
    tables = (behaviour._hosts, behaviour._spots, behaviour._pairs, behaviour._services)
    sizes = [tuple(array.shape for array in table) for table in tables]
    found = observed(behaviour, told)
    assert np.isfinite(found.levels).all()
    assert (found.levels >= 0.3).all()
    assert [tuple(array.shape for array in table) for table in tables] == sizes
    for table in tables:
        assert np.isfinite(table.cells).all()
        assert table.slots.max() < len(table.keys)
        assert np.count_nonzero(table.slots >= 0) <= len(table.keys)
    assert found.words[:, C_ROW].max(initial=0) < 4 * capacity
    assert np.all(np.diff(found.words[:, C_INDEX]) >= 0)
    assert np.all(np.diff(found.words[:, C_CLOCK]) >= 0)
    again = observed(Behaviour(capacity, seed ^ 0xFFFF), told)
    assert again.words.tolist() == found.words.tolist()
    assert again.levels.tolist() == found.levels.tolist()


@examples(60)
@given(traffic, st.lists(st.integers(0, 500), max_size=8))
def test_claims_do_not_depend_on_how_flows_are_cut_into_batches(told: list[Flow], cuts: list[int]) -> None:
    whole, split = observed(Behaviour(8, 1), told), Behaviour(8, 2)
    words, levels, roles = [], [], []
    for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), len(told)], strict=True):
        part = observed(split, told[min(low, len(told)) : max(low, high)])
        part.words[:, C_INDEX] += min(low, len(told))
        words += part.words.tolist()
        levels += part.levels.tolist()
        roles += part.roles.tolist()
    assert words == whole.words.tolist()
    assert levels == whole.levels.tolist()
    assert roles == whole.roles.tolist()


@pytest.mark.parametrize("seed", [0, 1, 2**64, 2**128 - 1])
def test_a_target_is_counted_once_whatever_the_seed(seed: int) -> None:
    flow = Flow(sent=0, answered=0, source="2001:db8::1", label=0)
    swept = [flow._replace(target=f"::{i:x}:1") for i in range(1, 8)]  # of whose network all bits are 0
    assert observed(Behaviour(64, seed), swept).levels == pytest.approx([claim.level for claim in twin_of(swept)])


def test_a_client_that_tries_one_dead_server_for_a_day_has_tried_one_service() -> None:
    flow = Flow(sent=0, answered=0, port=5432, label=0)
    retries = [flow._replace(at=i * 60.0, source_port=1024 + i) for i in range(1440)]
    assert len(observed(Behaviour(64, 1), retries).words) == 0


@pytest.mark.parametrize(("days", "told"), [(0.9, False), (1.1, True), (7.0, True)])
def test_what_was_not_tried_for_a_day_is_tried_anew(days: float, told: bool) -> None:
    """A scan that is repeated each week, as by what runs at a fixed time, is told each week."""
    first = [flow._replace(label=0) for flow in scan(11)]
    again = [flow._replace(at=flow.at + days * 86_400) for flow in first]
    claims = observed(Behaviour(1024, 1), [*first, *again])
    reached = [level for index, level in zip(claims.words[:, C_INDEX], claims.levels, strict=True) if index >= 11]
    assert (max(reached, default=0.0) >= 1) == told


@pytest.mark.parametrize(
    ("lasts", "first_report_s", "counted"), [(3, 10, False), (3, 1, True), (15, 10, True), (15, 100, False)]
)
def test_a_session_counts_in_its_second_report_where_its_first_came_before_its_end(
    lasts: float, first_report_s: int, counted: bool
) -> None:
    told = [flow._replace(report=1, lasts=lasts, label=0) for flow in guesses(20)]
    behaviour = Behaviour(64, 1, first_report_s * 1_000_000_000)
    kinds, _ = _kinds_and_levels(observed(behaviour, told))
    assert (shapes.GUESSING in kinds) == counted


def test_forged_sources_push_nobody_out_of_a_target_under_a_flood() -> None:
    probes = [flow._replace(label=0) for flow in scan(8, target="198.51.100.9")]
    forged = [
        Flow(sent=0, answered=0, port=80, label=0, source=f"198.18.{i >> 8}.{i & 255}", at=1 + i * 0.001)
        for i in range(20_000)
    ]
    behaviour = Behaviour(1024, 1)
    observed(behaviour, probes + forged)
    more = [flow._replace(label=0, port=100 + flow.port, at=30.0) for flow in scan(1, target="198.51.100.9")]
    (scan_level,) = [
        level
        for (kind, level) in zip(*_kinds_and_levels(observed(behaviour, more)), strict=True)
        if kind == shapes.SCAN
    ]
    assert scan_level > 8 / shapes.SCAN_PORTS


def _kinds_and_levels(claims: Claims) -> tuple[list[int], list[float]]:
    return claims.words[:, C_KIND].tolist(), claims.levels.tolist()


@pytest.mark.parametrize(
    ("flow", "kind"),
    [
        (Flow(port=443, label=0, source="10.0.0.3"), shapes.BEACON),
        (Flow(port=22, label=0, source="10.0.0.3", sent=60_000_000, lasts=45.1), shapes.UPLOAD),
    ],
)
@pytest.mark.parametrize(("days", "told"), [(0.0, False), (0.2, False), (3.0, True)])
def test_a_host_is_known_for_many_such_pairs_for_two_days(flow: Flow, kind: int, days: float, told: bool) -> None:
    """It would else never be told of again, once it had had four of them within months."""
    pairs = 3 + 2
    flows = [
        each
        for number in range(pairs)
        for each in varied(
            flow._replace(target=f"198.51.100.{1 + number}", at=number * (3000 + days * 86_400)),
            30,
            20.0,
            "source_port",
        )
    ]
    claims = observed(Behaviour(4096, 1), flows)
    last = claims.words[claims.words[:, C_INDEX] >= 30 * (pairs - 1)]
    assert (kind in last[:, C_KIND]) == told


def test_flows_that_no_model_judges_are_counted_by_protocol() -> None:
    behaviour = Behaviour(8, 1)
    announcements = [
        Flow(protocol=17, target="224.0.0.251", port=5353, answered=0, label=0, report=k) for k in (0, 0, 1)
    ]
    observed(behaviour, [*announcements, Flow(protocol=2, target="224.0.0.22", answered=0, label=0), Flow(label=0)])
    assert behaviour.unjudged == {2: 1, 17: 2}


def test_the_kernels_run_interpreted() -> None:
    program = (
        "import sys; sys.path.insert(0, 'tests/sensor/episodes');"
        "from test_behaviour import *; f = observed(Behaviour(8, 1), guesses(30) + scan(20));"
        "print(f.levels.tobytes().hex())"
    )
    root = Path(__file__).resolve().parents[3]
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
    )  # fmt: skip
    compiled = observed(Behaviour(8, 1), guesses(30) + scan(20)).levels
    assert np.frombuffer(bytes.fromhex(result.stdout), dtype=np.float64) == pytest.approx(compiled)

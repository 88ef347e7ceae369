"""The windows of KDD connections against their plain twin, and what they promise beside it."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_NS,
    END_REASON,
    IDENTITY_WIDTH,
    IDLE_TIMEOUT,
    PROTOCOL,
    REPORT,
    REPORTED_NS,
    SEEN,
    SEEN_ACK,
    SEEN_FIN,
    SEEN_FIN_BACK,
    SEEN_RST,
    SEEN_RST_BACK,
    SEEN_SYN,
    SEEN_SYN_BACK,
    SNAPSHOT,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    FlowBatch,
)
from flows.columns import COLUMNS
from flows.kdd.columns import kdd_columns
from flows.kdd.meter import Connections
from tests.support.examples import examples
from tests.support.kdd_twin import Connection, Windows

NAMES = [column.name for column in kdd_columns(content=False)]
WINDOWED = [column.name for column in kdd_columns(content=False) if column.group in ("time", "host")]
BOTH_SYNS = SEEN_SYN | SEEN_SYN_BACK | SEEN_ACK
SEEN_OF = {
    "S0": SEEN_SYN,
    "S1": BOTH_SYNS,
    "SF": BOTH_SYNS | SEEN_FIN | SEEN_FIN_BACK,
    "REJ": SEEN_SYN | SEEN_RST_BACK,
    "RSTO": BOTH_SYNS | SEEN_RST,
    "SH": SEEN_SYN | SEEN_FIN,
    "OTH": SEEN_ACK,
}
EPOCH_US = 10**15


def batch_of(connections):
    """Flow records without packets of their own: what the windows look at is set, all else is 0."""
    identity = np.zeros((len(connections), IDENTITY_WIDTH), dtype=np.int64)
    for row, each in zip(identity, connections, strict=True):
        row[[DST_HIGH, DST_LOW]] = each.host
        row[[SRC_LOW, SRC_PORT, DST_PORT, PROTOCOL]] = 9, each.port, each.service, 6
        row[[START_NS, END_NS, REPORTED_NS]] = 1000 * np.array([each.start_us, each.start_us, each.reported_us])
        row[[REPORT, SEEN]] = each.again, SEEN_OF[each.flag]
        row[END_REASON] = SNAPSHOT if each.goes_on else IDLE_TIMEOUT
    return FlowBatch(identity, np.zeros((len(connections), len(COLUMNS))))


def rows_of(connections, hosts=8192, cuts=()):
    kernel = Connections(hosts)
    parts = [connections[a:b] for a, b in zip([0, *cuts], [*cuts, len(connections)], strict=True)]
    return np.concatenate([kernel.columns(batch_of(part)) for part in parts])


def assert_twins(connections, hosts=8192):
    twin = Windows(hosts)
    for index, (row, each) in enumerate(zip(rows_of(connections, hosts), connections, strict=True)):
        ours, theirs = dict(zip(NAMES, row.tolist(), strict=True)), twin.columns(each)
        wrong = {name: (ours[name], theirs[name]) for name in WINDOWED if abs(ours[name] - theirs[name]) > 1e-9}
        assert not wrong, (index, each, wrong)


HOSTS = [(0, 1), (0, 2), (0, 3), (-5, 7), (5, -7), (5, 7)]


@st.composite
def scenes(draw):
    """Connections in the order of their reports: few hosts, services and ports, starts up to 12 s before the report."""
    calm = draw(st.booleans())
    steps = st.sampled_from([0, 1, 1000, 10**5, 10**6] if calm else [0, 1, 10**6, 2 * 10**6, 2 * 10**6 + 1, 3 * 10**6])
    reported, connections = EPOCH_US, []
    for _ in range(draw(st.integers(1, 60))):
        reported += draw(steps)
        old = draw(st.sampled_from(connections)) if connections and draw(st.integers(0, 5)) == 0 else None
        if old:
            flag = draw(st.sampled_from([old.flag, "SF"]))
            connections.append(
                Connection(old.host, old.service, old.port, flag, old.start_us, reported, old.goes_on, again=True)
            )
            continue
        flag = draw(st.sampled_from(list(SEEN_OF)))
        connections.append(
            Connection(
                draw(st.sampled_from(HOSTS)),
                draw(st.sampled_from([80, 80, 81, 443])),
                draw(st.sampled_from([5, 6])),
                flag,
                reported - draw(st.sampled_from([0, 0, 1000, 10**6, 10**7, 12 * 10**6])),
                reported,
                goes_on=flag == "S1" and draw(st.booleans()),
            )
        )
    return connections


@examples(300)
@given(scenes())
def test_kernels_and_twin_count_the_same(connections):
    assert_twins(connections)


@examples(50)
@given(scenes(), st.lists(st.integers(0, 60), max_size=5))
def test_rows_do_not_depend_on_how_records_are_batched(connections, cuts):
    cuts = sorted(min(cut, len(connections)) for cut in cuts)
    assert np.array_equal(rows_of(connections), rows_of(connections, cuts=cuts))


@st.composite
def hostile_scenes(draw):
    """Reports and starts of no order: equal, going back, started after the report, in other eras."""
    eras = [0, 1, EPOCH_US, 2**62 // 1000]
    moments = st.builds(
        lambda era, step: max(era + step, 0),
        st.sampled_from(eras),
        st.sampled_from([0, 0, 1, 2 * 10**6, 2 * 10**6 + 1, -1, -(10**6)]),
    )
    flags = st.sampled_from(list(SEEN_OF))
    ports, services = st.sampled_from([5, 6]), st.sampled_from([80, 81])
    one = st.builds(
        Connection, st.sampled_from(HOSTS), services, ports, flags, moments, moments, st.booleans(), st.booleans()
    )
    return draw(st.lists(one, min_size=1, max_size=60))


@examples(100)
@given(hostile_scenes(), st.lists(st.integers(0, 60), max_size=5))
def test_hostile_times_give_rows_within_their_limits_that_do_not_depend_on_batches(connections, cuts):
    cuts = sorted(min(cut, len(connections)) for cut in cuts)
    rows = rows_of(connections)
    assert np.array_equal(rows, rows_of(connections, cuts=cuts))
    one_by_one = range(1, len(connections))
    assert np.array_equal(rows, rows_of(connections, cuts=one_by_one))
    for name, values in zip(NAMES, rows.T, strict=True):
        if name in WINDOWED:
            low, high = (1, len(connections)) if name.endswith("count") else (0, 1)
            assert low <= values.min(), name
            assert values.max() <= high, name


def random_connections(random, n, hosts, services, step_us):
    """Connections to random hosts and services; the later the host, the rarer."""
    reported = EPOCH_US + np.cumsum(random.integers(0, step_us, n))
    late = random.choice([0, 10**5, 10**7], n)
    return [
        Connection(
            (0, int(random.integers(1, hosts) * random.random())),
            int(random.integers(1, services)),
            int(random.integers(1, 4)),
            str(random.choice(list(SEEN_OF))),
            int(reported[i] - late[i]),
            int(reported[i]),
            again=bool(random.random() < 0.1),
        )
        for i in range(n)
    ]


@pytest.mark.parametrize(
    ("hosts", "services", "step_us"), [(2, 3, 1000), (4, 700, 2000), (40, 3, 2000), (900, 5, 5000), (900, 500, 20_000)]
)
def test_kernels_and_twin_agree_where_windows_are_full_and_hosts_are_forgotten(hosts, services, step_us):
    random = np.random.default_rng(hosts + services)
    assert_twins(random_connections(random, 1500, hosts, services, step_us), hosts=256)


def to_one_host(n, flag="S0", step_us=10, **fields):
    return [
        Connection((0, 1), fields.get("service", 80), i % 60_000, flag, EPOCH_US + i * step_us, EPOCH_US + i * step_us)
        for i in range(n)
    ]


def test_a_flood_counts_to_511_in_time_and_to_255_at_the_host():
    rows = rows_of(to_one_host(3000))
    column = {name: rows[:, NAMES.index(name)] for name in NAMES}
    assert column["count"].tolist() == [min(i + 1, 511) for i in range(3000)]
    assert column["srv_count"].max() == 511
    assert column["dst_host_count"].tolist() == [min(i + 1, 255) for i in range(3000)]
    assert set(column["serror_rate"]) == set(column["dst_host_srv_serror_rate"]) == {1.0}


def test_unanswered_syns_that_are_reported_ten_seconds_late_count_each_other_among_quick_connections():
    flood = [Connection((0, 1), 80, i, "S0", EPOCH_US + 1000 * i, EPOCH_US + 1000 * i + 10_000_000) for i in range(600)]
    others = [
        Connection((0, 2 + i % 50), 443, i, "SF", EPOCH_US + 10_000_000 + 100 * i, EPOCH_US + 10_000_000 + 100 * i)
        for i in range(6000)
    ]
    connections = sorted([*flood, *others], key=lambda each: each.reported_us)
    rows = rows_of(connections)
    counts = [row[NAMES.index("count")] for row, each in zip(rows, connections, strict=True) if each.flag == "S0"]
    assert counts == [min(i + 1, 511) for i in range(600)]


def test_two_seconds_are_counted_from_start_to_start_and_include_their_edge():
    starts = [0, 1, 2_000_000, 2_000_001, 2_000_002]
    rows = rows_of([Connection((0, 1), 80, 5, "SF", EPOCH_US + at, EPOCH_US + at) for at in starts])
    assert rows[:, NAMES.index("count")].tolist() == [1, 2, 3, 3, 3]


def test_a_later_report_has_its_columns_and_does_not_count_twice():
    first = Connection((0, 1), 80, 5, "S0", EPOCH_US, EPOCH_US + 10**7)
    later = Connection((0, 1), 80, 5, "SF", EPOCH_US, EPOCH_US + 2 * 10**7, again=True)
    other = Connection((0, 1), 80, 6, "SF", EPOCH_US + 5, EPOCH_US + 3 * 10**7)
    rows = rows_of([first, later, later, other])
    assert rows[:, NAMES.index("count")].tolist() == [1, 1, 1, 2]
    assert rows[:, NAMES.index("dst_host_count")].tolist() == [1, 1, 1, 2]
    assert rows[:, NAMES.index("serror_rate")].tolist() == [1, 0, 0, 0.5]


@pytest.mark.parametrize("change", [{"host": (0, 2)}, {"service": 81}, {"port": 6}, {"start_us": EPOCH_US}])
def test_a_later_report_leaves_out_itself_and_nothing_that_differs_in_one_thing(change):
    first = Connection((0, 1), 80, 5, "SF", EPOCH_US + 1, EPOCH_US + 2)
    later = replace(first, reported_us=EPOCH_US + 10**7, again=True)
    other = replace(first, **change)
    assert_twins([first, other, later])
    own, beside = rows_of([first, later])[-1], rows_of([first, other, later])[-1]
    assert own[NAMES.index("count")] == own[NAMES.index("srv_count")] == 1
    assert beside[NAMES.index("count")] == 1 + ("host" not in change)
    assert beside[NAMES.index("srv_count")] == 1 + ("service" not in change)


def test_the_kernels_run_interpreted():
    program = (
        "import sys; sys.path.insert(0, 'tests/flows/kdd');"
        "from test_windows import *; random = np.random.default_rng(1);"
        "print(rows_of(random_connections(random, 60, 9, 9, 9000)).tolist())"
    )
    root = Path(__file__).resolve().parents[3]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(root)}
    told = subprocess.run([sys.executable, "-c", program], cwd=root, env=environment, capture_output=True, check=True)
    compiled = rows_of(random_connections(np.random.default_rng(1), 60, 9, 9, 9000))
    assert json.loads(told.stdout) == compiled.tolist()


def test_what_gives_way_is_counted():
    kernel = Connections(256)
    hosts = [Connection((0, i), 443, 5, "S0", EPOCH_US + i, EPOCH_US + i) for i in range(300)]
    kernel.columns(batch_of(hosts))
    assert (kernel.stats.entered, kernel.stats.forgotten_hosts, kernel.stats.crowded_out) == (300, 44, 0)
    assert kernel.given_up == 44
    kernel.columns(batch_of(to_one_host(70_000, step_us=1)))
    assert kernel.stats.crowded_out == 300 + 70_000 - 65_536
    # and counts no more, though it is not two seconds old
    last = Connection((0, 299), 443, 5, "S0", EPOCH_US + 70_000, EPOCH_US + 70_000)
    (row,) = kernel.columns(batch_of([last]))
    assert row[NAMES.index("count")] == row[NAMES.index("srv_count")] == 1


def test_too_few_hosts_for_a_window_are_refused():
    with pytest.raises(ValueError, match="hosts is 255, expected more than 255"):
        Connections(255)

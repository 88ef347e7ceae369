"""The context of flow records: kernels give what their plain twin gives, causally, in bounded tables, however cut."""

import math
import os
import subprocess
import sys
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.batch import ACTIVE_TIMEOUT, END_DETECTED, END_NS, SNAPSHOT, FlowBatch
from flows.columns import INDEX, NAMES
from flows.context import context as module
from flows.context.columns import CONTEXT_COLUMNS, CONTEXT_NAMES, context_contract
from flows.context.context import Context
from tests.support.context_twin import ContextTwin
from tests.support.episodes import Flow, judged
from tests.support.examples import examples

HOSTS = {4: ["10.0.0.1", "10.0.0.2", "192.0.2.3", "198.51.100.4"], 6: ["fd00::1", "2001:db8::2", "2001:db8:0:1::3"]}


def flow_of(
    version: int, hosts: tuple[int, int], ports: tuple[int, int], protocol: int, size: tuple[int, int],
    packets: tuple[int, int], at: float, lasts: float, report: int, news: int, seen: int,
) -> Flow:  # fmt: skip
    source, target = (HOSTS[version][k % len(HOSTS[version])] for k in hosts)
    return Flow(
        source, target, port=ports[1], source_port=ports[0], protocol=protocol, sent=size[0] if packets[0] else 0,
        answered=size[1] if packets[1] else 0, packets=packets[0], back=packets[1], at=at, lasts=lasts, report=report,
        news=news, end=SNAPSHOT if report else END_DETECTED, seen=seen,
    )  # fmt: skip


flows = st.builds(
    flow_of,
    version=st.sampled_from([4, 4, 6]),
    hosts=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    ports=st.tuples(st.sampled_from([40000, 53, 443]), st.sampled_from([22, 53, 443, 50000, 0])),
    protocol=st.sampled_from([1, 6, 6, 6, 17, 17, 58]),
    size=st.tuples(st.sampled_from([0, 0, 60, 900]), st.sampled_from([0, 0, 300, 30_000])),
    packets=st.tuples(st.sampled_from([0, 1, 2, 60]), st.sampled_from([0, 0, 1, 80])),
    at=st.sampled_from([0.0, 1.0, 2.0]) | st.floats(0, 3000).map(lambda at: round(at, 3)),
    lasts=st.sampled_from([0.0, 1.0, 6.3, 45.1]),
    report=st.sampled_from([0, 0, 0, 1]),
    news=st.sampled_from([0, 1, 2, 2, 60]),
    seen=st.integers(0, 127),
)


def varied(flow: Flow, n: int, every: float, field: str) -> list[Flow]:
    """The flow so many times, each with another value in one field."""
    v6 = ":" in flow.source
    host = {"source": "fd00::1:{}:{}" if v6 else "10.1.{}.{}", "target": "fd00::2:{}:{}" if v6 else "10.2.{}.{}"}
    values = [host[field].format(i >> 6, 1 + i % 64) if field in host else 1024 + i for i in range(n)]
    return [flow._replace(**{field: value}, at=flow.at + i * every * 1.0307) for i, value in enumerate(values)]


bursts = st.builds(
    varied,
    flows,
    st.sampled_from([1, 5, 15, 120]),
    st.sampled_from([0.0, 0.004, 0.3, 20.0, 600.0]),
    st.sampled_from(["source_port", "port", "source", "target"]),
)
traffic = st.lists(bursts, min_size=1, max_size=5).map(lambda parts: list(chain(*parts)))
orders = st.sampled_from(["by time", "as they come"])


def batch_of(told: list[Flow], order: str = "as they come") -> FlowBatch:
    return judged(sorted(told, key=lambda flow: flow.at + flow.lasts) if order == "by time" else told)[0]


def part(batch: FlowBatch, first: int, end: int) -> FlowBatch:
    return FlowBatch(batch.identity[first:end], batch.values[first:end])


@examples(150)
@given(traffic, orders, st.integers(0, 2**128 - 1))
def test_the_kernels_give_what_their_plain_twin_gives(told: list[Flow], order: str, seed: int) -> None:
    batch = batch_of(told, order)
    found, expected = Context(4096, seed).observe(batch), ContextTwin().observe(batch)
    for k, name in enumerate(CONTEXT_NAMES):
        # A deviation is a difference of sums of squares: near 0 its digits are lost, whichever way it is added up.
        assert found[:, k] == pytest.approx(expected[:, k], rel=1e-6, abs=1e-6), name


@examples(100)
@given(traffic, orders, st.lists(st.integers(0, 600), max_size=12), st.integers(1, 4096))
def test_a_row_does_not_hang_on_how_records_are_cut_into_batches(
    told: list[Flow], order: str, cuts: list[int], capacity: int
) -> None:
    batch = batch_of(told, order)
    whole = Context(capacity, 1).observe(batch)
    context, edges = Context(capacity, 2), sorted({0, len(batch), *(cut % (len(batch) + 1) for cut in cuts)})
    parts = [context.observe(part(batch, first, end)) for first, end in pairwise(edges)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


@examples(60)
@given(traffic, traffic, orders)
def test_what_comes_later_changes_no_row(told: list[Flow], later: list[Flow], order: str) -> None:
    first, second = batch_of(told, order), batch_of(later, order)
    both = FlowBatch(np.concatenate([first.identity, second.identity]), np.concatenate([first.values, second.values]))
    alone = Context(4096, 1).observe(first)
    assert Context(4096, 1).observe(both)[: len(first)].tobytes() == alone.tobytes()


def test_a_new_flow_meets_its_target_before_one_of_its_peers_that_went_on() -> None:
    told = [Flow(at=0.0, lasts=9.0, report=1, source_port=40001), Flow(at=5.0, lasts=4.0), Flow(at=20.0)]
    seen = dict(zip(CONTEXT_NAMES, Context(64).observe(batch_of(told))[-1], strict=True))
    assert seen["src_new_peers_day"] == pytest.approx(1, rel=1e-3)


@examples(60)
@given(traffic, st.randoms(use_true_random=False), st.sampled_from([4096, 5]))
def test_the_order_of_records_that_end_at_one_moment_does_not_matter(
    told: list[Flow], random: object, capacity: int
) -> None:
    told = [flow._replace(at=flow.at // 1, lasts=1.0) for flow in told]
    told.sort(key=lambda flow: flow.at)
    shuffled = list(range(len(told)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    shuffled.sort(key=lambda i: told[i].at)
    rows = Context(capacity, 1).observe(batch_of(told))
    other = Context(capacity, 2).observe(batch_of([told[i] for i in shuffled]))
    assert other.tobytes() == rows[shuffled].tobytes()


def test_flows_that_end_at_one_moment_do_not_see_each_other() -> None:
    told = [Flow(port=1000 + i, at=5.0, lasts=1.0) for i in range(50)]
    rows = Context(64).observe(batch_of(told))
    assert (rows == rows[0]).all()
    assert rows[0, CONTEXT_NAMES.index("src_flows_10s")] == 0
    after = Context(64).observe(batch_of([*told, Flow(port=1, at=5.0, lasts=1.001)]))[-1]
    assert after[CONTEXT_NAMES.index("src_flows_10m")] == pytest.approx(50, rel=1e-4)


@examples(40)
@given(traffic, st.integers(1, 3), st.integers(0, 2**128 - 1))
def test_with_hardly_any_places_nothing_breaks_and_what_gives_way_is_counted(
    told: list[Flow], capacity: int, seed: int
) -> None:
    batch = batch_of(told)
    context = Context(capacity, seed)
    rows = context.observe(batch)
    assert np.isfinite(rows).all()
    assert context.evicted == _left_out(context)


def _left_out(context: Context) -> int:
    """Rows that were admitted and are not there: by the counts that the table keeps of itself."""
    tables = (context._sources, context._targets, context._links, context._pairs, context._services)
    full = [table for table in tables if table.ends[2] == len(table.keys)]
    return sum(int(table.ends[3]) for table in full)  # one that is not full has evicted nobody


def test_a_run_of_peers_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PEERS", 8)
    batch = batch_of([Flow(port=1000 + i) for i in range(30)])
    context = Context(64, 1)
    cut = np.concatenate([context.observe(part(batch, i, i + 3)) for i in range(0, 30, 3)])
    assert len(context._ends) < 8
    assert cut.tobytes() == Context(64, 1).observe(batch).tobytes()
    assert cut[:, CONTEXT_NAMES.index("src_flows_10s")].tolist() == [8 * (i // 8) for i in range(30)]


def test_rows_are_the_same_whatever_the_hash_seed() -> None:
    batch = batch_of([Flow(f"10.0.0.{i % 7}", f"10.0.1.{i % 5}", port=i % 11, at=0.3 * i) for i in range(300)])
    rows = {Context(64, seed).observe(batch).tobytes() for seed in (1, 2**127 - 1, None)}
    assert len(rows) == 1


def test_forged_sources_push_nobody_out() -> None:
    client = [Flow("10.0.0.5", "198.51.100.9", port=443, at=i * 10.0) for i in range(5)]
    flood = [
        Flow(f"11.{i >> 8}.{i & 255}.1", "198.51.100.7", port=80, sent=0, answered=0, at=50 + i * 0.0005)
        for i in range(4000)
    ]
    rows = Context(256).observe(batch_of([*client, *flood, client[0]._replace(at=60.0)]))
    assert rows[-1, CONTEXT_NAMES.index("pair_flows_day")] == pytest.approx(5, rel=1e-2)
    assert rows[-2, CONTEXT_NAMES.index("dst_new_source_share_10s")] > 0.9


def test_a_sweep_of_nobody_pushes_nobody_out() -> None:
    client = [Flow("10.0.0.5", "198.51.100.9", port=443, at=i * 10.0) for i in range(5)]
    sweep = [
        Flow("10.0.0.6", f"11.{i >> 8}.{i & 255}.1", port=80, sent=0, answered=0, at=50 + i * 0.0005)
        for i in range(4000)
    ]
    rows = Context(256).observe(batch_of([*client, *sweep, client[0]._replace(at=60.0)]))
    assert rows[-1, CONTEXT_NAMES.index("pair_flows_day")] == pytest.approx(5, rel=1e-2)
    assert rows[-2, CONTEXT_NAMES.index("src_failed_share_10s")] > 0.9


def test_a_flow_that_goes_on_is_counted_once_and_what_it_grew_by_as_well() -> None:
    reports = [
        Flow(sent=1000 * (k + 1), answered=100 * (k + 1), packets=10 * (k + 1), back=10 * (k + 1), lasts=60.0 * (k + 1),
             report=k, news=20, end=SNAPSHOT)
        for k in range(5)
    ]  # fmt: skip
    row = Context(64).observe(batch_of([*reports, Flow(at=300.001, lasts=0.0, source_port=40001)]))[-1]
    seen = dict(zip(CONTEXT_NAMES, row, strict=True))
    assert seen["pair_flows_day"] == pytest.approx(1, rel=1e-2)
    assert seen["pair_sent_day"] == pytest.approx(5000, rel=1e-2)
    assert seen["pair_open_day"] == pytest.approx(300, rel=1e-1)


def test_what_an_active_timeout_cut_off_is_no_new_flow() -> None:
    cut = batch_of([Flow(lasts=120.0, end=ACTIVE_TIMEOUT), Flow(at=121.0, lasts=100.0), Flow(at=230.0)])
    cut.values[:, INDEX["connection_duration"]] = [120e6, 221e6, 0.0]
    seen = dict(zip(CONTEXT_NAMES, Context(64).observe(cut)[-1], strict=True))
    assert seen["pair_flows_day"] == pytest.approx(1, rel=1e-2)
    assert seen["pair_sent_day"] == pytest.approx(1000, rel=1e-2)


def test_a_conversation_met_in_the_middle_is_counted_for_who_asked() -> None:
    asked = [Flow("10.0.0.5", "198.51.100.9", port=443, source_port=50000, at=i) for i in range(3)]
    turned = Flow("198.51.100.9", "10.0.0.5", port=50000, source_port=443, at=5, seen=0)
    seen = dict(zip(CONTEXT_NAMES, Context(64).observe(batch_of([*asked, turned]))[-1], strict=True))
    assert seen["pair_flows_day"] == pytest.approx(3, rel=1e-3)


def test_a_record_that_comes_late_is_weighed_by_its_age() -> None:
    told = [Flow(at=100.0, lasts=0.0), Flow(at=80.0, lasts=0.0), Flow(at=100.0, lasts=0.0)]
    seen = dict(zip(CONTEXT_NAMES, Context(64).observe(batch_of(told))[-1], strict=True))
    for name in ("src_flows_10s", "dst_flows_10s", "pair_flows_10s"):
        assert seen[name] == pytest.approx(1 + math.exp(-2)), name


def test_a_late_record_sees_its_source_as_it_was_left() -> None:
    told = [Flow(at=100.0, lasts=0.0), Flow(at=80.0, lasts=0.0)]
    seen = dict(zip(CONTEXT_NAMES, Context(64).observe(batch_of(told))[-1], strict=True))
    assert seen["src_flows_1s"] == 1


def test_a_long_flow_counts_its_packets_over_its_time() -> None:
    long = Flow(packets=10_000, back=0, answered=1, lasts=100.0, news=10_000)
    seen = dict(zip(CONTEXT_NAMES, Context(64).observe(batch_of([long, Flow(at=100.001)]))[-1], strict=True))
    assert 500 < seen["src_packets_10s"] < 1100


def test_the_columns_stand_as_the_kernel_writes_them() -> None:
    from flows.context import rows

    assert [getattr(rows, name.upper()) for name in CONTEXT_NAMES] == list(range(len(CONTEXT_NAMES)))
    assert len(CONTEXT_NAMES) == rows.CONTEXT_WIDTH


def test_columns_of_a_record_are_its_values_and_then_its_context() -> None:
    batch = batch_of([Flow(at=i) for i in range(9)])
    columns = Context(64, 1).columns(batch)
    assert columns.shape == (9, len(context_contract().columns))
    assert columns[:, : len(NAMES)].tobytes() == batch.values.tobytes()
    assert columns[:, len(NAMES) :].tobytes() == Context(64, 1).observe(batch).tobytes()


def test_the_names_of_columns_are_no_others() -> None:
    assert len(set(CONTEXT_NAMES) | set(NAMES)) == len(CONTEXT_COLUMNS) + len(NAMES)


def test_compiled_and_interpreted_kernels_give_the_same(tmp_path: Path) -> None:
    batch = batch_of(
        [
            Flow(f"10.0.0.{i % 7}", f"10.0.1.{i % 5}", port=i % 11, at=0.3 * (i // 2), lasts=0.3 * (i % 2))
            for i in range(200)
        ]
    )
    np.savez(tmp_path / "batch.npz", identity=batch.identity, values=batch.values)
    code = (
        "import sys, numpy as np\n"
        "from flows.batch import FlowBatch\n"
        "from flows.context.context import Context\n"
        "held = np.load(sys.argv[1])\n"
        "np.save(sys.argv[2], Context(8, 1).observe(FlowBatch(held['identity'], held['values'])))\n"
    )
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "batch.npz"), str(tmp_path / "rows.npy")]
    subprocess.run(command, env=environment, check=True, timeout=120)
    compiled = Context(8, 1).observe(batch)
    assert np.load(tmp_path / "rows.npy") == pytest.approx(compiled, rel=1e-12, abs=1e-12)
    assert len(set(batch.identity[:, END_NS].tolist())) < len(batch)

import numpy as np
import pytest

from flows.columns import INDEX, NAMES
from training.datasets.times import LATEST_US, LONGEST_US
from training.sequences import (
    IDLE_NS,
    LINGER_NS,
    MOST_SNAPSHOTS,
    SNAPSHOT_NS,
    FlowReports,
    Lanes,
    Sequences,
    joined,
    of_each_group,
    rehomed,
    reports,
    sequences,
)

SECOND = 1_000_000_000


def host(*numbers: int) -> np.ndarray:
    return np.array([(0, number) for number in numbers], dtype=np.int64)


def at(*seconds: float) -> np.ndarray:
    return np.array([int(second * SECOND) for second in seconds], dtype=np.int64)


def lanes(**changes: float) -> Lanes:
    settings = {"lanes": 2, "steps": 4, "state_drop": 0.0, "gap_unknown": 0.0, "gap_decades": 0.0, "reset_s": 600.0}
    return Lanes(**{**settings, **changes})  # type: ignore[arg-type]


def once(host: np.ndarray, start: np.ndarray, known: np.ndarray) -> Sequences:
    """Sequences of flows that are reported once, at these times."""
    order = np.lexsort((start, known))
    return sequences(host, start, FlowReports(order, known[order], np.ones(len(order), dtype=np.bool_)))


def test_a_flow_is_first_reported_when_the_meter_would() -> None:
    values = np.zeros((4, len(NAMES)))
    values[1, INDEX["rst_flag_count"]] = 1
    values[2, INDEX["fin_flag_count"]] = 2
    told = reports(values, at(0, 0, 0, 0), at(1, 1, 1, 10))
    known = dict(zip(told.row.tolist(), told.known_ns.tolist(), strict=True))
    # Silent for long, reset, closed by both sides, running for long.
    assert known == {0: SNAPSHOT_NS, 1: SECOND + LINGER_NS, 2: SECOND + LINGER_NS, 3: SNAPSHOT_NS}
    assert told.advances.all()
    assert IDLE_NS > SNAPSHOT_NS


def test_a_long_flow_is_reported_again_until_nothing_is_new_and_advances_once() -> None:
    values = np.zeros((2, len(NAMES)))
    values[0, INDEX["fin_flag_count"]] = 2
    told = reports(values, at(0, 5), at(75, 60))
    assert [(row, known // SECOND) for row, known in zip(told.row.tolist(), told.known_ns.tolist(), strict=True)] == [
        (0, 10),
        (1, 15),
        (0, 70),
        (1, 75),
        (0, 77),
    ]
    assert told.advances.tolist() == [True, True, False, False, False]


def test_a_flow_that_goes_on_for_a_century_is_reported_for_an_hour_and_at_its_end() -> None:
    century = LONGEST_US * 1000
    start = np.array([LATEST_US * 1000])
    told = reports(np.zeros((1, len(NAMES))), start, start + century)
    assert len(told) == 1 + MOST_SNAPSHOTS + 1
    assert (told.known_ns[-2:] - start).tolist() == [SNAPSHOT_NS + 3600 * SECOND, century + IDLE_NS]
    assert told.advances.tolist() == [True, *[False] * (MOST_SNAPSHOTS + 1)]


def test_later_reports_are_no_steps_of_a_sequence() -> None:
    found = sequences(host(7, 7), at(0, 20), reports(np.zeros((2, len(NAMES))), at(0, 20), at(40, 20)))
    assert found.row.tolist() == [0, 1]
    assert found.gap_s.tolist() == [0, 20]


def test_a_sequence_is_one_hosts_flows_in_report_order() -> None:
    found = once(host(7, 5, 7, 5), at(0, 1, 2, 3), at(10, 11, 4, 13))
    assert found.row.tolist() == [1, 3, 2, 0]
    assert found.first.tolist() == [True, False, True, False]


def test_a_gap_counts_from_the_latest_start_and_is_never_negative() -> None:
    found = once(host(7, 7, 7, 7, 9), at(0, 50, 20, 60, 1000), at(60, 55, 30, 65, 1000))
    # Row 2 is known first, then row 1, then row 0 which began before both, then row 3.
    assert found.row.tolist() == [2, 1, 0, 3, 4]
    assert found.gap_s.tolist() == [0.0, 30.0, 0.0, 10.0, 0.0]


def test_rehoming_keeps_every_flow_and_draws_few_hosts() -> None:
    hosts = rehomed(1000, 24, np.random.default_rng(1))
    assert len(np.unique(hosts, axis=0)) == 24
    assert (hosts == rehomed(1000, 24, np.random.default_rng(1))).all()


def test_an_epoch_shows_every_step_once_and_fills_without_weight() -> None:
    source = joined([once(host(1, 1, 2, 3, 3), at(0, 1, 2, 3, 4), at(0, 1, 2, 3, 4))] * 3)
    chunks = list(lanes().chunks(source, np.random.default_rng(0)))
    shown = np.concatenate([chunk.row[chunk.weight > 0] for chunk in chunks])
    assert np.bincount(shown).tolist() == [3] * 5


def test_a_state_starts_anew_with_a_host_a_lane_and_a_long_silence() -> None:
    source = once(host(1, 1, 1, 1, 1, 1), at(0, 1, 2, 700, 701, 702), at(0, 1, 2, 700, 701, 702))
    (chunk,) = lanes(lanes=1, steps=8).chunks(source, np.random.default_rng(0))
    assert chunk.reset[0, :6].tolist() == [1, 0, 0, 1, 0, 0]
    assert np.isnan(chunk.gap_s[0, 3]), "after a reset no gap is known"
    assert chunk.gap_s[0, [1, 2, 4, 5]] == pytest.approx([1, 1, 1, 1])


def test_states_are_lost_as_often_as_asked() -> None:
    n = 4096
    source = once(host(*[1] * n), at(*range(n)), at(*range(n)))
    chunks = list(lanes(lanes=1, steps=64, state_drop=0.25).chunks(source, np.random.default_rng(0)))
    assert 0.2 < np.mean([chunk.reset for chunk in chunks]) < 0.3


def test_gaps_are_only_ever_shortened() -> None:
    n = 64
    source = once(host(*[1] * n), at(*range(0, 10 * n, 10)), at(*range(0, 10 * n, 10)))
    gaps = np.concatenate(
        [chunk.gap_s for chunk in lanes(lanes=1, gap_decades=3.0).chunks(source, np.random.default_rng(0))], axis=1
    )[0, 1:]
    assert (gaps <= 10).all()
    assert (gaps >= 10e-3).all()
    assert gaps.min() < 0.5 < gaps.max()


def test_the_same_generator_gives_the_same_epoch() -> None:
    source = once(host(1, 2, 2, 3), at(0, 1, 2, 3), at(0, 1, 2, 3))
    first, second = (
        list(lanes(state_drop=0.3, gap_unknown=0.3).chunks(source, np.random.default_rng(5))) for _ in range(2)
    )
    assert all((a.row == b.row).all() and (a.reset == b.reset).all() for a, b in zip(first, second, strict=True))


def two_networks() -> tuple[Sequences, np.ndarray]:
    """Sequences of 3, 5 and 40 flows of one network and of 2 and 2 of another, and the network of each step."""
    lengths = [3, 5, 40, 2, 2]
    steps = sum(lengths)
    first = np.zeros(steps, dtype=np.bool_)
    first[np.cumsum([0, *lengths[:-1]])] = True
    return Sequences(np.arange(steps), first, np.where(first, 0.0, 1.0)), np.repeat([0, 0, 0, 1, 1], lengths)


def test_an_epoch_takes_so_many_steps_of_each_network() -> None:
    source, network = two_networks()
    for seed in range(20):
        drawn = of_each_group(source, network, 10, np.random.default_rng(seed))
        assert np.bincount(network[drawn.row]).tolist() == [10, 4]
        assert len(set(drawn.row.tolist())) == 14
        starts = np.flatnonzero(drawn.first)
        for begin, end in zip(starts, [*starts[1:], len(drawn)], strict=True):
            assert (np.diff(drawn.row[begin:end]) == 1).all()  # a stretch of one sequence
        assert (drawn.gap_s[drawn.first] == 0).all()
        assert (drawn.gap_s[~drawn.first] == 1).all()


def test_stretches_of_a_long_sequence_begin_anywhere() -> None:
    source, network = two_networks()
    begins = {
        int(row)
        for seed in range(200)
        for row in of_each_group(source, network, 10, np.random.default_rng(seed)).row[:1]
    }
    assert len(begins) > 15


def test_all_is_taken_where_there_is_room() -> None:
    source, network = two_networks()
    drawn = of_each_group(source, network, 1000, np.random.default_rng(1))
    assert sorted(drawn.row.tolist()) == list(range(52))
    assert drawn.first.sum() == 5

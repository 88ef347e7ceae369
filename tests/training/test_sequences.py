import numpy as np
import pytest

from flows.columns import INDEX, NAMES
from training.sequences import IDLE_NS, LINGER_NS, SNAPSHOT_NS, Lanes, joined, rehomed, report_ns, sequences

SECOND = 1_000_000_000


def host(*numbers: int) -> np.ndarray:
    return np.array([(0, number) for number in numbers], dtype=np.int64)


def at(*seconds: float) -> np.ndarray:
    return np.array([int(second * SECOND) for second in seconds], dtype=np.int64)


def lanes(**changes: float) -> Lanes:
    settings = {"lanes": 2, "steps": 4, "state_drop": 0.0, "gap_unknown": 0.0, "gap_decades": 0.0, "reset_s": 600.0}
    return Lanes(**{**settings, **changes})  # type: ignore[arg-type]


def test_a_flow_is_known_when_the_meter_would_report_it() -> None:
    values = np.zeros((4, len(NAMES)))
    values[1, INDEX["rst_flag_count"]] = 1
    values[2, INDEX["fin_flag_count"]] = 2
    start, end = at(0, 0, 0, 0), at(1, 1, 1, 60)
    # Silent for long, reset, closed by both sides, long running.
    assert report_ns(values, start, end).tolist() == [SNAPSHOT_NS, SECOND + LINGER_NS, SECOND + LINGER_NS, SNAPSHOT_NS]
    assert IDLE_NS > SNAPSHOT_NS


def test_a_sequence_is_one_hosts_flows_in_report_order() -> None:
    found = sequences(host(7, 5, 7, 5), at(0, 1, 2, 3), at(10, 11, 4, 13))
    assert found.row.tolist() == [1, 3, 2, 0]
    assert found.first.tolist() == [True, False, True, False]


def test_a_gap_counts_from_the_latest_start_and_is_never_negative() -> None:
    found = sequences(host(7, 7, 7, 9), at(0, 50, 20, 1000), at(60, 55, 30, 1000))
    # Row 2 is known first, then row 1, then row 0 which began before both.
    assert found.row.tolist() == [2, 1, 0, 3]
    assert found.gap_s.tolist() == [0.0, 30.0, 0.0, 0.0]


def test_rehoming_keeps_every_flow_and_draws_few_hosts() -> None:
    hosts = rehomed(1000, 24, np.random.default_rng(1))
    assert len(np.unique(hosts, axis=0)) == 24
    assert (hosts == rehomed(1000, 24, np.random.default_rng(1))).all()


def test_an_epoch_shows_every_step_once_and_fills_without_weight() -> None:
    source = joined([sequences(host(1, 1, 2, 3, 3), at(0, 1, 2, 3, 4), at(0, 1, 2, 3, 4))] * 3)
    chunks = list(lanes().chunks(source, np.random.default_rng(0)))
    shown = np.concatenate([chunk.row[chunk.weight > 0] for chunk in chunks])
    assert np.bincount(shown).tolist() == [3] * 5


def test_a_state_starts_anew_with_a_host_a_lane_and_a_long_silence() -> None:
    source = sequences(host(1, 1, 1, 1, 1, 1), at(0, 1, 2, 700, 701, 702), at(0, 1, 2, 700, 701, 702))
    (chunk,) = lanes(lanes=1, steps=8).chunks(source, np.random.default_rng(0))
    assert chunk.reset[0, :6].tolist() == [1, 0, 0, 1, 0, 0]
    assert np.isnan(chunk.gap_s[0, 3]), "after a reset no gap is known"
    assert chunk.gap_s[0, [1, 2, 4, 5]] == pytest.approx([1, 1, 1, 1])


def test_gaps_are_only_ever_shortened() -> None:
    n = 64
    source = sequences(host(*[1] * n), at(*range(0, 10 * n, 10)), at(*range(0, 10 * n, 10)))
    gaps = np.concatenate(
        [chunk.gap_s for chunk in lanes(lanes=1, gap_decades=3.0).chunks(source, np.random.default_rng(0))], axis=1
    )[0, 1:]
    assert (gaps <= 10).all()
    assert (gaps >= 10e-3).all()
    assert gaps.min() < 0.5 < gaps.max()


def test_the_same_generator_gives_the_same_epoch() -> None:
    source = sequences(host(1, 2, 2, 3), at(0, 1, 2, 3), at(0, 1, 2, 3))
    first, second = (
        list(lanes(state_drop=0.3, gap_unknown=0.3).chunks(source, np.random.default_rng(5))) for _ in range(2)
    )
    assert all((a.row == b.row).all() and (a.reset == b.reset).all() for a, b in zip(first, second, strict=True))

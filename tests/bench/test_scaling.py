"""The simulation of runs over many captures agrees with what is known of queues."""

from dataclasses import replace

import pytest

from tests.bench.scaling import STATIONS, Setup, simulate

FREE = Setup(
    captures=1000,
    cores=4,
    scheduler_s=0.0,
    capture_bytes=1.0,
    store_bytes_s=1e15,
    core_s=1.0,
    spread=0.0,
    lines_bytes=1.0,
    network_bytes_s=1e15,
    main_s=0.0,
)


def test_cores_alone_take_their_share_each() -> None:
    assert simulate(FREE).seconds == pytest.approx(250)
    assert simulate(FREE.times(1, 5)).seconds == pytest.approx(50)


@pytest.mark.parametrize(
    ("station", "slow"),
    [
        ("scheduler", {"scheduler_s": 2.0}),
        ("store", {"store_bytes_s": 0.5}),
        ("network", {"network_bytes_s": 0.5}),
        ("main process", {"main_s": 2.0}),
    ],
)
def test_no_run_is_faster_than_its_slowest_station(station: str, slow: dict[str, float]) -> None:
    outcome = simulate(replace(FREE, **slow))  # type: ignore[arg-type]  # all are floats
    assert outcome.bottleneck == station
    assert outcome.busy[STATIONS.index(station)] > 0.99
    assert 2000 <= outcome.seconds < 2010


def test_captures_of_uneven_size_wait_for_those_before_them() -> None:
    even, uneven = simulate(FREE), simulate(replace(FREE, spread=1.5))
    assert even.waiting <= FREE.cores < uneven.waiting

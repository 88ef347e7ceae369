"""Every packet that reached an interface is accounted for, also when far more come than can be metered."""

import time
from pathlib import Path

import pytest

from tests.support.load import FRAME_BYTES, counted, replay, sessions, stopped, throttled
from tests.support.sensors import Watch, watching

pytestmark = pytest.mark.live

RATE = 40_000  # packets/s sent
SECONDS = 4
BLOCKS, BLOCK_BYTES = 16, 65_536
SMALL_RING = ("--set", f"capture.ring_blocks={BLOCKS}", "--set", f"capture.ring_block_bytes={BLOCK_BYTES}")
HELD = BLOCKS * BLOCK_BYTES // FRAME_BYTES  # no more packets find room in the ring, whatever stands around each


def parts(record: dict[str, int | dict[str, int]]) -> int:
    """Sum of what became of the packets."""
    undecoded = record["undecoded"]
    assert isinstance(undecoded, dict)
    return sum(record[name] for name in ("metered", "filtered", "shed", "dropped")) + sum(undecoded.values())  # type: ignore[misc]


def check_accounts(watch: Watch, arrived: int) -> dict[str, int]:
    """Each record adds up, totals never shrink, and the last one knows every packet."""
    records = [record["flowvigil"] for record in watch.records("stats")]
    assert [record["final"] for record in records] == [False] * (len(records) - 1) + [True]
    for record in records:
        assert record["received"] == parts(record) + record["waiting"]
        assert record["difference"] == 0
    received = [record["received"] for record in records]
    assert received == sorted(received)
    assert records[-1]["waiting"] == 0
    assert records[-1]["received"] == arrived
    return dict(records[-1])


@pytest.mark.parametrize(
    ("share", "loses"),
    [(1.0, False), (0.10, None), (0.05, None), (0.01, None)],
    ids=["half", "full", "double", "tenfold"],
)
def test_accounts_are_exact_at_any_load(
    namespaces: tuple[str, str], tmp_path: Path, share: float, loses: bool | None
) -> None:
    left, right = namespaces
    capture = sessions(tmp_path / "sessions.pcap")
    with watching(right, tmp_path, *SMALL_RING, "--set", "stats.interval_s=1", write=False) as watch:
        with counted(right, "fv1") as count, throttled(watch.process, share):
            sent = replay(left, "fv0", capture, packets_per_s=RATE, packets=RATE * SECONDS)
        result = watch.stop()
    assert result.code == 0, result
    assert count[0] == sent == RATE * SECONDS
    last = check_accounts(watch, sent)
    assert len(watch.records("stats")) >= SECONDS
    lost = last["dropped"] + last["shed"]
    if loses is not None:
        assert (lost > 0) == loses, last
    if lost:
        steps = [record["flowvigil"]["message"] for record in watch.records("sensor")]
        assert any("overload" in step for step in steps)


def test_accounts_are_exact_where_more_comes_than_the_ring_holds(namespaces: tuple[str, str], tmp_path: Path) -> None:
    """The sensor stands still while packets come, so that it must lose those beyond what the ring holds."""
    left, right = namespaces
    capture = sessions(tmp_path / "sessions.pcap")
    with watching(right, tmp_path, *SMALL_RING, "--set", "stats.interval_s=1", write=False) as watch:
        with counted(right, "fv1") as count:
            sent = 0
            for _ in range(SECONDS):
                with stopped(watch.process):
                    sent += replay(left, "fv0", capture, packets_per_s=RATE, packets=RATE)
                received_is(watch, sent)
        result = watch.stop()
    assert result.code == 0, result
    assert count[0] == sent == RATE * SECONDS
    last = check_accounts(watch, sent)
    assert len(watch.records("stats")) >= SECONDS
    assert last["dropped"] >= SECONDS * (RATE - HELD)
    assert 0 < last["metered"] + last["shed"] <= SECONDS * HELD
    steps = [record["flowvigil"]["message"] for record in watch.records("sensor")]
    assert any("overload" in step for step in steps)


def received_is(watch: Watch, packets: int) -> None:
    """Wait for an account of so many packets, none of which waits."""
    deadline = time.monotonic() + 30
    while not any(
        record["flowvigil"]["received"] == packets and not record["flowvigil"]["waiting"]
        for record in watch.records("stats")
    ):
        assert time.monotonic() < deadline, watch.records("stats")[-1:]
        time.sleep(0.05)


def test_accounts_are_exact_with_two_workers_and_a_filter(namespaces: tuple[str, str], tmp_path: Path) -> None:
    left, right = namespaces
    capture = sessions(tmp_path / "sessions.pcap")
    options = ("--set", "capture.workers=2", "--filter", "not host 10.7.0.1", "--set", "stats.interval_s=1")
    with watching(right, tmp_path, *options, write=False) as watch:
        with counted(right, "fv1") as count:
            sent = replay(left, "fv0", capture, packets_per_s=RATE, packets=2 * 9600)
        time.sleep(1.5)
        result = watch.stop()
    assert result.code == 0, result
    last = check_accounts(watch, count[0])
    assert sent == 2 * 9600
    assert last["filtered"] == 2 * 24  # of 400 sessions of 24 packets one is left out
    assert last["table_flows"] == 0
    assert last["flows"] >= 399

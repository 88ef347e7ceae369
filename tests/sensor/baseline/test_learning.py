"""A site learnt from traffic of our own making: its own normal, attacks within it, and what is too little."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

from flows.batch import END_NS, END_SHIFT_NS, IDENTITY_WIDTH, REPORTED_NS, SRC_LOW, FlowBatch, empty_batch
from flows.block import block_of
from flows.meter import Meter, concatenate
from models.bundle import load_bundle, save_bundle
from models.fusion import Hybrid
from models.site import Habit
from sensor.baseline import judged
from sensor.baseline.budget import PARTS, UNUSUAL
from sensor.baseline.judged import SOURCE, Kept, Records, drawn, hashes, parts
from sensor.baseline.learning import (
    BUDGET,
    CALIBRATION,
    DAY_NS,
    Asked,
    Learning,
    ToldFlows,
    TooLittleError,
    _left_out,
    _odd,
    _period,
    _weighed,
    learn,
)
from sensor.baseline.record_file import RecordFile
from sensor.cli.build import build_judge, build_row_maker, load_model
from sensor.episodes.candidates import Candidate
from sensor.errors import InputError
from sensor.run.detection import in_parts
from sensor.settings.config import Config
from sensor.synth.catalogue import CATALOGUE
from sensor.synth.generate import generate
from training import memory
from training.datasets.rows import empty

pytest.importorskip("sklearn")
from sensor.cli.learning import SameRecords, SiteSensor, fit_forest

pytestmark = [pytest.mark.takes(18)]
CONFIG = Config()
SCENARIOS = {scenario.name: scenario for scenario in CATALOGUE}


@cache
def metered(*names: str, seed: int = 5, minutes: float = 40.0) -> FlowBatch:
    """Records of these scenarios side by side, as a judge gets them."""
    packets = generate([SCENARIOS[name] for name in names], seed, minutes).packets
    meter = Meter(news_only=True)
    block = block_of([packet.frame for packet in packets], [packet.ts_ns for packet in packets])
    return concatenate([meter.feed(block), meter.drain()])


@pytest.fixture(scope="module")
def bundle() -> Hybrid:
    return load_model(CONFIG)


def again_and_again(records: FlowBatch) -> Records:
    return lambda: in_parts(records)


def learnt(
    bundle: Hybrid, records: FlowBatch, alerts_per_day: float = 1.0, learn_by: Callable[..., Learning] = learn
) -> Learning:
    return learn_by(
        bundle, again_and_again(records), SiteSensor(CONFIG), Asked(alerts_per_day), fit_forest, lambda _: None
    )


def told(bundle: Hybrid, records: FlowBatch) -> set[tuple[str, str]]:
    """Source and technique of what the sensor says with a bundle."""
    bundle.forget()
    judge = build_judge(CONFIG, bundle)
    items = [item for part in in_parts(records) for item in judge.judge(part)] + judge.finish()
    bundle.forget()
    return {(item.source.ip, item.technique.id) for item in items if hasattr(item, "action") and item.technique}


@pytest.fixture(scope="module")
def normal(bundle: Hybrid) -> Learning:
    return learnt(bundle, metered("normal"))


def test_normal_traffic_of_the_site_is_flagged_as_often_as_the_rate_says(bundle: Hybrid, normal: Learning) -> None:
    other = metered("normal", seed=6)
    site = normal.hybrid
    shares = []
    for model in (bundle, site):
        judge = build_judge(CONFIG, model)
        model.forget()
        flagged = [judge.assess(part).judgement.verdict > 0 for part in in_parts(other)]
        model.forget()
        shares.append(float(np.concatenate(flagged).mean()))
    assert 0.002 <= shares[1] <= 0.02  # of forty minutes, part of them as after a start
    assert site.site is not None
    assert site.site.learned.flows == normal.period.flows
    assert site.site.warming == (BUDGET,)
    assert site.normal.median[site.normal.used].tolist() != bundle.normal.median[site.normal.used].tolist()


@pytest.mark.parametrize("attack", ["portscan", "ssh", "synflood", "dns-tunnel"])
def test_an_attack_within_the_learning_period_is_found_afterwards(bundle: Hybrid, attack: str) -> None:
    before = told(bundle, metered("normal", attack, seed=8, minutes=20.0))
    site = learnt(bundle, metered("normal", attack, seed=7, minutes=20.0))
    assert site.site.learned.left_out > 0
    after = told(site.hybrid, metered("normal", attack, seed=8, minutes=20.0))
    missing = before - after
    assert not missing
    assert before


def test_the_same_traffic_gives_the_same_bundle_also_where_numbers_lie_in_files(
    bundle: Hybrid, normal: Learning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "IN_MEMORY_BYTES", 1 << 10)
    monkeypatch.setattr(judged, "AT_ONCE", 997)
    again = learnt(bundle, metered("normal"), learn_by=partial(learn, empty=empty))
    for name, learning in (("one", normal), ("two", again)):
        save_bundle(tmp_path / name, learning.hybrid, {})
    for file in ("manifest.json", "weights.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    read = load_bundle(tmp_path / "one", normal.hybrid.contract)
    assert read.site == normal.hybrid.site


def test_nothing_and_too_little_are_told_apart(bundle: Hybrid) -> None:
    with pytest.raises(TooLittleError, match="no flow"):
        learnt(bundle, empty_batch())
    few = metered("normal", minutes=1.0)
    site = learnt(bundle, few)
    assert site.site.warming == (CALIBRATION, BUDGET)
    assert site.hybrid.novel is bundle.novel
    assert site.hybrid.thresholds == bundle.thresholds


def test_flows_of_which_each_is_alone_are_too_little(bundle: Hybrid) -> None:
    records = metered("normal", minutes=1.0)
    two = FlowBatch(records.identity[:2].copy(), records.values[:2])
    two.identity[1, [END_NS, REPORTED_NS]] += 3600 * 10**9
    with pytest.raises(TooLittleError, match=r"found .* of traffic, silences of more than 10 min left out"):
        learnt(bundle, two)


def kept_of(time_ns: np.ndarray, source: np.ndarray | None = None) -> Kept:
    """Records of different flows."""
    n, ones = len(time_ns), np.ones(len(time_ns))
    sides = np.zeros(n, dtype=np.uint64)
    return Kept(
        ones, ones, np.zeros(n, dtype=np.int16), ones > 0, np.arange(n, dtype=np.uint64),
        sides if source is None else source, sides, time_ns.astype(np.int64), ones > 0,
    )  # fmt: skip


@pytest.mark.parametrize("stray_days", [0, 21_000, 80_000])
def test_a_packet_of_another_time_changes_no_part_of_the_period(stray_days: int) -> None:
    """1970, a year later, and the year 2189, from which on nanoseconds by parts are no numbers of 64 bits."""
    day = np.arange(0, DAY_NS, 60 * 10**9) + 20_000 * DAY_NS
    found = _period(kept_of(np.append(day, stray_days * DAY_NS)), np.empty)
    assert found.parts == tuple(range(PARTS))
    assert found.days == pytest.approx(1, rel=0.01)
    assert [found.part(int(time_ns)) for time_ns in day[60::120]] == list(range(PARTS))


def test_what_a_host_attacks_is_left_out_though_its_beat_is_a_habit() -> None:
    """A controller's beat through the whole period, and guesses of the same host in the middle."""
    identity = [0] * IDENTITY_WIDTH
    identity[SRC_LOW] = 7
    host = np.repeat(hashes(np.array([identity]), SOURCE), 4)
    minute = 60 * 10**9
    kept = kept_of(np.array([5, 300, 301, 500]) * minute, host)

    def candidate(name: str, kind: str, start: int, end: int, *, attack: bool) -> Candidate:
        return Candidate(
            kind, "10.0.0.7", "10.0.0.8", "pair", (kind, "10.0.0.7", "10.0.0.8", 443, 6), 2.0, attack, True,
            start * minute, end * minute, 9, tuple(identity), id=name,
        )  # fmt: skip

    attack = candidate("B", "guessing", 300, 300, attack=True)
    beat = candidate("A", "beacon", 0, 600, attack=False)
    told = ToldFlows(np.array([0, 1, 3], dtype=np.uint64), np.array([0, 1, 0]), {"A": 0, "B": 1})
    for before in ([attack, beat], [beat, attack]):
        assert _left_out(kept, before, told, {beat.subject}).tolist() == [False, True, True, False]
        assert _left_out(kept, before, told, set()).tolist() == [True, True, True, True]


def test_a_habit_of_unusual_traffic_is_held_to_the_threshold_that_is_in_force() -> None:
    habit = Habit(UNUSUAL, "10.0.0.7", None, 0, 6, 1.2, 1.0)
    assert _weighed(habit, 1e10).level == pytest.approx(0.6)
    assert _weighed(habit, 10.0).level == pytest.approx(6.0)
    assert _weighed(replace(habit, kind="beacon"), 1e10).level == 1.2


def test_unusual_traffic_that_is_not_told_takes_no_memory(normal: Learning) -> None:
    assert all(one.opened for one in (*normal.before, *normal.budget.candidates) if one.kind == UNUSUAL)


def test_one_packet_of_last_month_leaves_both_halves_something_to_fit_on() -> None:
    normal = np.ones(1000, dtype=np.bool_)
    normal[:100] = False
    odd = _odd(normal)
    assert abs(int((odd & normal).sum()) - 450) <= 75
    assert len(np.unique(np.flatnonzero(np.diff(odd)))) == 11


def test_a_site_is_learnt_from_a_spool_as_from_memory(tmp_path: Path) -> None:
    records = metered("normal", minutes=1.0)
    kept = RecordFile(tmp_path)
    for part in in_parts(records):
        kept.add(part)
    assert len(kept) == len(records)
    for _ in range(2):  # it is gone through several times
        back = concatenate(list(kept.batches()))
        assert back.identity.tobytes() == records.identity.tobytes()
        assert back.values.tobytes() == records.values.tobytes()
    kept.close()
    assert list(tmp_path.iterdir()) == []


def test_records_that_are_not_as_many_the_second_time_end_it_and_what_became_of_them_is_told() -> None:
    records, problems = metered("normal", minutes=1.0), ["part-3.parquet: damaged"]
    passes = iter([[records], [records, records], []])
    same = SameRecords(lambda: iter(next(passes)), problems)
    assert sum(map(len, same())) == len(records)
    for found in (2 * len(records), 0):
        problems.append(f"part-{found}.parquet: no such file")
        with pytest.raises(InputError, match=f"found {found:,} flow records, {len(records):,} a moment ago") as error:
            list(same())
        assert error.value.others == tuple(problems[1:])


def test_rows_are_drawn_from_the_chosen_records_alone() -> None:
    records = metered("normal", minutes=20.0)
    chosen = np.arange(len(records)) % 3 == 0
    sample = drawn(parts(again_and_again(records)), chosen, seed=1, most=50)
    assert len(sample.rows) == 50
    assert chosen[sample.number].all()
    assert (sample.rows == records.values[sample.number]).all()
    assert (drawn(parts(again_and_again(records)), chosen, seed=1, most=50).number == sample.number).all()


def test_a_sensor_that_is_started_anew_remembers_nothing(bundle: Hybrid) -> None:
    records = metered("normal", minutes=20.0)
    half = FlowBatch(records.identity[len(records) // 2 :], records.values[len(records) // 2 :])

    def two_parts() -> Iterator[FlowBatch]:
        yield FlowBatch(records.identity[: len(records) // 2], records.values[: len(records) // 2])
        yield half

    make = partial_row_maker(bundle)
    at_ns = int(half.identity[0, END_NS] + half.identity[0, END_SHIFT_NS])
    *_, anew = parts(two_parts, make, [at_ns])
    *_, fresh = parts(lambda: iter([half]), make)
    assert anew.rows.tobytes() == fresh.rows.tobytes()
    *_, on = parts(two_parts, make)
    assert on.rows.tobytes() != fresh.rows.tobytes()


def partial_row_maker(bundle: Hybrid) -> Callable[[], object]:
    return lambda: build_row_maker(bundle, 1024)


def test_hashes_tell_flows_apart() -> None:
    identity = metered("normal", minutes=1.0).identity
    words: Sequence[int] = [0, 1, 2, 3, 4, 5, 6]
    assert len(np.unique(hashes(identity, list(words)))) == len(np.unique(identity[:, words], axis=0))


def test_a_bundle_without_support_learns_too(bundle: Hybrid) -> None:
    plain = replace(bundle, support=None)
    assert learnt(plain, metered("normal", minutes=20.0)).hybrid.support is None

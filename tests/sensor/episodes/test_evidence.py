"""Evidence: the e-values, their bound, and the table of hosts."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flows.batch import END_NS, IDENTITY_WIDTH, IP_VERSION, NEW_PACKETS, REPORT, SRC_LOW, FlowBatch
from flows.columns import COLUMNS
from sensor.episodes.evidence import (
    F_ANEW,
    F_CLOCK,
    F_FRESH,
    F_INDEX,
    F_ROW,
    FADE_NS,
    MIXTURE,
    EvidenceTable,
    FlaggedRows,
)

CUT = 0.0005
S = 1_000_000_000


def table(**changes: float) -> EvidenceTable:
    options = {"capacity": 64, "cut_known": CUT, "cut_novel": CUT, "threshold": 1e5, "quiet_ns": 300 * S, "seed": 1}
    return EvidenceTable(**(options | changes))


def observe(
    evidence: EvidenceTable, known: list[float], novel: list[float] | None = None, *, hosts: list[int] | None = None,
    report: int = 0, every_s: float = 0.0, starts_s: float = 0.0,
) -> FlaggedRows:  # fmt: skip
    n = len(known)
    identity = np.zeros((n, IDENTITY_WIDTH), dtype=np.int64)
    identity[:, SRC_LOW] = hosts or 7
    identity[:, IP_VERSION] = 4
    identity[:, END_NS] = S + np.round((starts_s + np.arange(n) * every_s) * S)
    identity[:, REPORT] = report
    identity[:, NEW_PACKETS] = 1
    return evidence.observe(
        FlowBatch(identity, np.zeros((n, len(COLUMNS)))), np.array(known), np.array(novel or [1.0] * n)
    )


def e_value(p: float, cut: float = CUT) -> float:
    """The definition, in plain words of Python."""
    return MIXTURE * 0.5 / math.sqrt(p * cut) if p < cut else (1 - MIXTURE) / (1 - cut)


def test_the_expected_e_value_of_chance_is_one() -> None:
    p = (np.arange(10**6) + 0.5) / 10**6
    assert np.mean([e_value(float(x), 0.05) for x in p]) == pytest.approx(1, abs=1e-3)


def test_evidence_is_the_running_product_that_never_falls_below_one() -> None:
    p = [CUT / 10, 0.5, CUT / 2, *[0.9] * 300, CUT / 100, 0.3, CUT / 3]
    expected, running = [], 1.0
    for x in p:
        running = max(1.0, running * e_value(x))
        if x < CUT:
            expected.append(math.log(running))
    found = observe(table(threshold=1e9), p)
    assert found.words[:, F_INDEX].tolist() == [0, 2, 303, 305]
    assert found.evidence[:, 0].tolist() == pytest.approx(expected)
    assert found.evidence[:, 1].tolist() == [0] * 4


def test_chance_opens_an_episode_less_often_than_promised() -> None:
    rng = np.random.default_rng(5)
    threshold, flows = 100.0, 200_000
    found = observe(table(threshold=threshold, quiet_ns=0), rng.uniform(size=flows).tolist())
    openings = np.count_nonzero(found.evidence[:, 0] >= math.log(threshold))
    assert 0 < openings <= flows / threshold


def test_further_reports_of_a_flow_weigh_less_and_less() -> None:
    first, second = (observe(table(), [CUT / 10], report=k).evidence[0, 0] for k in (0, 1))
    assert second == pytest.approx(first / 2)


def test_each_lane_has_evidence_of_its_own() -> None:
    found = observe(table(), [CUT / 10, 1.0, CUT / 10], [1.0, CUT / 10, CUT / 10])
    once = found.evidence[0, 0]
    spoken = math.log((1 - MIXTURE) / (1 - CUT))  # what an unflagged flow subtracts
    assert found.evidence[:, 0].tolist() == pytest.approx([once, once + spoken, 2 * once + spoken])
    assert found.evidence[:, 1].tolist() == pytest.approx([0, once, 2 * once])


def test_a_flow_that_says_nothing_is_evidence_for_and_against_nobody() -> None:
    spoken = observe(table(), [CUT / 10, CUT / 10])
    silent = observe(table(), [CUT / 10, *[math.nan] * 50, CUT / 10], [1.0, *[CUT / 99] * 50, 1.0])
    assert silent.words[:, F_INDEX].tolist() == [0, 51]
    assert silent.evidence.tolist() == spoken.evidence.tolist()


def test_evidence_fades_in_traffic_time_and_is_gone_after_the_time_to_fade() -> None:
    once = observe(table(), [CUT / 10]).evidence[0, 0]
    faded = math.log(1e5) * 60 * S / FADE_NS
    found = observe(table(), [CUT / 10] * 3, every_s=60)
    assert found.evidence[:, 0].tolist() == pytest.approx([once, 2 * once - faded, 3 * once - 2 * faded])
    assert found.words[:, F_ANEW].tolist() == [1, 0, 0]
    apart = observe(table(), [CUT / 10] * 3, every_s=FADE_NS / S)
    assert apart.evidence[:, 0].tolist() == pytest.approx([once] * 3)
    assert apart.words[:, F_ANEW].tolist() == [1, 1, 1]


def test_the_clock_is_that_of_the_newest_record_of_anybody_and_never_runs_back() -> None:
    evidence = table()
    observe(evidence, [0.5], hosts=[8], starts_s=100)
    late = observe(evidence, [CUT / 10] * 3, starts_s=50, every_s=40)
    assert late.words[:, F_CLOCK].tolist() == [101 * S, 101 * S, 131 * S]


def test_a_host_that_reached_the_threshold_starts_anew_after_the_quiet_time() -> None:
    once = observe(table(), [CUT / 20]).evidence[0, 0]
    faded = math.log(1e3) * 40 * S / FADE_NS
    found = observe(table(quiet_ns=30 * S, threshold=1e3), [CUT / 20] * 4, every_s=40)
    assert once < math.log(1e3) < 2 * once - faded
    assert found.evidence[:, 0].tolist() == pytest.approx([once, 2 * once - faded, once, 2 * once - faded])


def test_the_host_not_flagged_for_longest_gives_way() -> None:
    evidence = table(capacity=2)
    found = observe(evidence, [CUT / 2] * 5, hosts=[1, 2, 1, 3, 2])
    assert found.words[:, F_FRESH].tolist() == [1, 1, 0, 1, 1]
    assert found.words[:, F_ROW].tolist() == [0, 1, 0, 1, 0]
    once = found.evidence[0, 0]
    assert found.evidence[:, 0].tolist() == pytest.approx([once, once, 2 * once, once, once])


def test_nothing_depends_on_the_seed() -> None:
    rng = np.random.default_rng(3)
    p, hosts = rng.choice([CUT / 9, 0.5], 3000).tolist(), rng.integers(1, 400, 3000).tolist()
    runs = [observe(table(seed=seed, capacity=100), p, hosts=hosts) for seed in (1, 2, 2**127)]
    for run in runs[1:]:
        assert np.array_equal(run.words, runs[0].words)
        assert np.array_equal(run.evidence, runs[0].evidence)


def test_a_lane_that_is_off_never_flags() -> None:
    assert len(observe(table(cut_known=0.0), [1e-9, 0.5]).words) == 0


def test_an_impossible_cut_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cut of the novel lane is 0\.7, expected 0 to 0.5"):
        table(cut_novel=0.7)


def test_the_kernel_runs_interpreted() -> None:
    program = (
        "import sys; sys.path.insert(0, 'tests/sensor/episodes');"
        "from test_evidence import *; f = observe(table(), [CUT / 10, 0.5] * 20); print(f.evidence.tobytes().hex())"
    )
    root = Path(__file__).resolve().parents[3]
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
    )  # fmt: skip
    compiled = observe(table(), [CUT / 10, 0.5] * 20).evidence
    assert np.frombuffer(bytes.fromhex(result.stdout), dtype=np.float64) == pytest.approx(compiled.ravel())

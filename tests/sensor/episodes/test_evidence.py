"""Evidence: the e-values, their bound, and the table of hosts."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flows.batch import END_NS, IDENTITY_WIDTH, IP_VERSION, NEW_PACKETS, REPORT, SRC_LOW, FlowBatch
from flows.columns import COLUMNS, INDEX
from sensor.episodes.evidence import (
    F_FRESH,
    F_INDEX,
    F_POOL,
    F_ROW,
    MIXTURE,
    NO_EXCHANGE,
    UNUSUAL,
    EvidenceTable,
    FlaggedRows,
)

CUT = 0.0005
S = 1_000_000_000


def table(**changes: float) -> EvidenceTable:
    options = {"capacity": 64, "cut_known": CUT, "cut_novel": CUT, "threshold": 1e5, "quiet_ns": 300 * S, "seed": 1}
    return EvidenceTable(pool_of_label=np.array([2, 2, 3], dtype=np.int64), **(options | changes))


def observe(
    evidence: EvidenceTable, known: list[float], novel: list[float] | None = None, *, hosts: list[int] | None = None,
    payload: float = 10.0, report: int = 0, every_s: int = 1, labels: list[int] | None = None,
) -> FlaggedRows:  # fmt: skip
    n = len(known)
    identity = np.zeros((n, IDENTITY_WIDTH), dtype=np.int64)
    identity[:, SRC_LOW] = hosts or 7
    identity[:, IP_VERSION] = 4
    identity[:, END_NS] = np.arange(n) * every_s * S
    identity[:, REPORT] = report
    identity[:, NEW_PACKETS] = 1
    values = np.zeros((n, len(COLUMNS)))
    values[:, INDEX["bwd_packets"]] = values[:, INDEX["fwd_bytes"]] = payload
    return evidence.observe(
        FlowBatch(identity, values), np.array(known), np.array(novel or [1.0] * n), np.array(labels or [1] * n)
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
    found = observe(table(threshold=threshold, quiet_ns=0), rng.uniform(size=flows).tolist(), payload=0)
    openings = np.count_nonzero(found.evidence[:, 0] >= math.log(threshold))
    assert 0 < openings <= flows / threshold


def test_further_reports_of_a_flow_weigh_less_and_less() -> None:
    first, second = (observe(table(), [CUT / 10], report=k).evidence[0, 0] for k in (0, 1))
    assert second == pytest.approx(first / 2)


def test_pools_follow_payload_lane_and_label() -> None:
    flagged = [CUT / 2, CUT / 2, 1.0, 1.0]
    found = observe(table(), flagged, [1.0, 1.0, CUT / 2, 1.0], labels=[1, 2, 2, 2])
    assert found.words[:, F_POOL].tolist() == [2, 3, UNUSUAL]
    assert observe(table(), flagged, payload=0).words[:, F_POOL].tolist() == [NO_EXCHANGE] * 2


def test_a_pool_that_reached_the_threshold_starts_anew_after_the_quiet_time() -> None:
    evidence = table(quiet_ns=30 * S)
    once = observe(evidence, [CUT / 20]).evidence[0, 0]
    found = observe(table(quiet_ns=30 * S), [CUT / 20] * 4, every_s=40)
    assert found.evidence[:, 0].tolist() == pytest.approx([once, 2 * once, once, 2 * once])


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

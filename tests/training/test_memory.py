"""Keeping to so much memory: what is reckoned in parts is what it is at once, and what is resident stays below."""

import os
import subprocess
import sys

import numpy as np
import pytest

from models.scaling import fit_scaling
from models.sklearn_trees import forest_from_sklearn
from tests.support.evaluations import hybrid, table
from training import measure, memory
from training.datasets.rows import column_blocks, different, empty, taken
from training.datasets.texts import coded_texts, counted_texts
from training.fit.forests import fit_isolation_forest
from training.fit.scaling import moved_rows, scaled_rows, scaling_of

ROWS, COLUMNS = 40_001, {f"column {i}": i for i in range(2, 23)}
PAST_MEMORY = """
import numpy as np
from training import memory
from training.datasets.rows import column_blocks, stacked, taken
block = np.arange(16_384 * 64, dtype=np.float64).reshape(-1, 64)
with memory.bounded(160 << 20):
    table = stacked((block for _ in range(64)), (64 * 16_384, 64), block.dtype)  # 537 MB
    drawn = taken(table, np.random.default_rng(1).permutation(len(table)))
    total = sum(float(some.sum()) for _, some in column_blocks(drawn, range(0, 64, 16)))
print(total == 64 * float(block[:, ::16].sum()))
# of this program alone: what wait4 tells counts the one that began it
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return np.random.default_rng(1).lognormal(3, 4, (ROWS, 25))


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is cut by memory is cut small, and lies in files."""
    monkeypatch.setattr(memory, "IN_MEMORY_BYTES", 1 << 10)
    monkeypatch.setattr(memory, "LARGEST_BLOCK", 8 * ROWS * 2)
    monkeypatch.setattr(memory, "LEAST_BLOCK", 1)


@pytest.mark.usefixtures("in_parts")
def test_a_scaling_that_is_fitted_and_applied_in_parts_is_that_of_all_rows_bit_by_bit(values: np.ndarray) -> None:
    at_once, in_parts = fit_scaling(values, COLUMNS), scaling_of(values, COLUMNS)
    assert in_parts.columns == at_once.columns
    for name in ("index", "center", "scale"):
        assert getattr(in_parts, name).tobytes() == getattr(at_once, name).tobytes()
    assert scaled_rows(in_parts, values).tobytes() == at_once.transform(values).tobytes()
    assert np.array_equal(moved_rows(in_parts, values), values[:, at_once.index] != 0)


@pytest.mark.parametrize(("sample", "seed"), [(256, 7), (1, 3), (33, 2**31 - 1)])
def test_trees_that_are_given_their_own_rows_are_those_of_scikit_learn(
    values: np.ndarray, sample: int, seed: int
) -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    scaling = fit_scaling(values, COLUMNS)
    model = ensemble.IsolationForest(n_estimators=40, max_samples=sample, random_state=seed, n_jobs=1)
    expected = forest_from_sklearn(model.fit(scaling.transform(values))).arrays()
    ours = fit_isolation_forest(scaling, values, 40, sample, seed).arrays()
    assert {name: array.tobytes() for name, array in ours.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


@pytest.mark.usefixtures("in_parts")
def test_columns_some_at_a_time_are_the_columns(values: np.ndarray) -> None:
    parts = list(column_blocks(values, [3, 1, 20]))
    assert [chosen for chosen, _ in parts] == [slice(0, 2), slice(2, 3)]
    assert np.array_equal(np.concatenate([some for _, some in parts], axis=1), values[:, [3, 1, 20]])


@pytest.mark.usefixtures("in_parts")
def test_texts_and_digests_are_counted_as_numpy_does() -> None:
    rng = np.random.default_rng(2)
    texts = np.array(["BENIGN", "", "DoS", "Portscan"])[rng.integers(0, 4, ROWS)]
    for found, expected in zip(counted_texts(texts), np.unique(texts, return_counts=True), strict=True):
        assert np.array_equal(found, expected)
    for found, expected in zip(coded_texts(texts), np.unique(texts, return_inverse=True), strict=True):
        assert np.array_equal(found, expected)
    words = rng.integers(0, 1 << 63, 5000, dtype=np.uint64)[rng.integers(0, 5000, ROWS)]
    assert different(words) == len(np.unique(words))


def test_an_array_that_lies_in_a_file_is_written_and_taken_from_as_any_other(
    values: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "IN_MEMORY_BYTES", 1 << 10)
    array = empty(values.shape, np.float64)
    array[:] = values
    rows = np.random.default_rng(3).permutation(ROWS)[:999]
    assert taken(array, rows).tobytes() == values[rows].tobytes()


def test_reports_that_are_judged_in_parts_are_judged_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    flows = table()
    model, told = hybrid(flows), flows.reports()

    def judged() -> list[bytes]:
        parts = measure.chunked_steps(flows, flows.host, told, model.normal.columns)
        found = measure.joined_judgements([model.judge(steps) for _, steps in parts])
        model.forget()
        return [array.tobytes() for array in (found.verdict, found.p_known, found.p_novel, *found.scores.values())]

    at_once = judged()
    monkeypatch.setattr(measure, "CHUNK", 97)
    assert judged() == at_once


def test_what_is_resident_stays_within_the_bound_when_rows_are_several_times_as_many() -> None:
    said = subprocess.run([sys.executable, "-c", PAST_MEMORY], stdout=subprocess.PIPE, check=True, timeout=120).stdout
    right, most_kb = said.split()
    assert right == b"True"
    assert int(most_kb) < 240 << 10, f"{int(most_kb) >> 10} MiB"


def test_a_bound_below_what_is_in_use_is_told_in_a_line() -> None:
    with memory.bounded(1 << 20), pytest.raises(memory.MemoryBoundError, match="--memory 1M is too little: a test has"):
        memory.check("a test")
    memory.check("nothing is refused without a bound")


def test_an_array_in_a_file_needs_no_call_that_only_some_systems_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "IN_MEMORY_BYTES", 0)
    monkeypatch.delattr(os, "posix_fallocate")
    array = empty((3, 10_000), np.int64)
    array[:] = 7
    assert array.sum() == 7 * array.size

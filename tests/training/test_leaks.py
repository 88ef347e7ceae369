from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from flows.columns import INDEX, NAMES, usable_by_models
from training.datasets.collection import read_dataset
from training.datasets.leaks import Shared, leaks
from training.datasets.table import FlowTable

pytest.importorskip("polars")

SEEN = INDEX["flow_duration"]


def table(
    first: list[float], label: list[str], day: list[str] | None = None, missing: tuple[str, ...] = ()
) -> FlowTable:
    """Flows that differ in one column."""
    n = len(first)
    values = np.zeros((n, len(NAMES)))
    values[:, SEEN] = first
    none = np.zeros(n, dtype=np.int64)
    days = np.array(day or ["2017-07-03"] * n)
    labels = np.array(label)
    return FlowTable(values, np.zeros((n, 2), np.int64), none, none, labels, labels, days, missing, {}, "", none)


def test_equal_flows_of_two_labels_are_counted_by_pair() -> None:
    found = leaks(table([1, 1, 1, 2, 2, 3, 3], ["BENIGN", "BENIGN", "Bot", "Bot", "DoS Hulk", "Bot", "Bot"]))
    assert found.labels == (Shared(("BENIGN", "Bot"), 1, (2, 1)), Shared(("Bot", "DoS Hulk"), 1, (1, 1)))
    assert (found.rows, found.repeated) == (7, 4)
    assert found.days == ()


def test_equal_flows_on_two_days_are_counted_by_pair() -> None:
    found = leaks(table([1, 1, 1, 2], ["Bot"] * 4, ["2017-07-05", "2017-07-03", "2017-07-05", "2017-07-03"]))
    assert found.days == (Shared(("2017-07-03", "2017-07-05"), 1, (1, 2)),)
    assert found.labels == ()


def test_spellings_of_one_label_are_no_contradiction() -> None:
    assert leaks(table([1, 1], ["Web Attack – XSS", "Web Attack - XSS"])).labels == ()


def test_columns_that_no_model_sees_make_no_difference() -> None:
    flows = table([1, 1], ["BENIGN", "Bot"])
    flows.values[0, INDEX["subflow_fwd_packets"]] = 5
    assert len(leaks(flows).labels) == 1
    flows.values[0, INDEX["fwd_init_win_bytes"]] = 5
    assert leaks(flows).labels == ()


def test_columns_that_the_table_lacks_make_no_difference() -> None:
    flows = table([1, 1], ["BENIGN", "Bot"], missing=("fwd_init_win_bytes",))
    flows.values[0, INDEX["fwd_init_win_bytes"]] = 5
    assert len(leaks(flows).labels) == 1


def test_a_table_without_flows_leaks_nothing() -> None:
    found = leaks(table([], []))
    assert (found.rows, found.repeated, found.labels, found.days) == (0, 0, (), ())


def test_counts_are_those_of_a_plain_search() -> None:
    rng = np.random.default_rng(4)
    labels = rng.choice(["BENIGN", "Bot", "DDoS", "PortScan"], 400).tolist()
    first = rng.integers(0, 150, 400).tolist()
    counts = Counter(zip(first, labels, strict=True))
    expected = []
    for one, other in combinations(sorted(set(labels)), 2):
        common = [value for value in set(first) if counts[value, one] and counts[value, other]]
        flows = sum(counts[value, one] for value in common), sum(counts[value, other] for value in common)
        expected.append(Shared((one, other), len(common), flows))
    found = leaks(table(first, labels))
    assert found.labels == tuple(expected)
    assert found.repeated == 400 - len(set(first))


def test_the_public_sample_has_no_flow_of_two_labels_and_few_on_two_days(shared_data: Path) -> None:
    sample = read_dataset(shared_data / "cic-ids-2017", lambda _: None)
    found = leaks(sample)
    columns = [INDEX[name] for name in usable_by_models(fingerprints=True) if name not in sample.missing]
    assert found.repeated == len(sample) - len(np.unique(sample.values[:, columns], axis=0))
    assert found.labels == ()
    assert 0 < sum(sum(pair.flows) for pair in found.days) < 100

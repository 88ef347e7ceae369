from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("scipy")

from tests.training.labelled_tables import DAY_NS, FIRST_NS, category, mixed, table
from training.explore.census import census
from training.explore.columns import column_report
from training.explore.document import document_of
from training.explore.exploration import explore
from training.explore.page import _shared_rows
from training.explore.repeats import repeats
from training.explore.sample import of_all, per_family, sampled
from training.explore.table import ExploredColumn
from training.page.content import Paragraph

ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 1), st.sampled_from("ab"), st.sampled_from(["1", "2"])), min_size=1
)


@given(ROWS)
def test_repeated_rows_are_counted_as_by_comparing_all_of_them(rows: list[tuple[int, int, str, str]]) -> None:
    families, parts = [row[2] for row in rows], [row[3] for row in rows]
    found = repeats(table(families, {"x": [row[0] for row in rows], "y": [row[1] for row in rows]}, parts=parts))
    kinds = [(row[0], row[1], row[2]) for row in rows]
    assert found.duplicates == len(kinds) - len(set(kinds))
    assert found.unique.tolist() == [kind not in kinds[:i] for i, kind in enumerate(kinds)]
    assert found.by_family == {f: Counter(families)[f] - sum(k[2] == f for k in set(kinds)) for f in set(families)}
    assert found.contradictory == sum(any(o[:2] == r[:2] and o[2] != r[2] for o in rows) for r in rows)
    assert found.leaking == sum(any(o[:3] == r[:3] and o[3] != r[3] for o in rows) for r in rows)


def test_places_that_have_rows_in_common_are_named() -> None:
    made = table(["a", "a", "a", "b", "b"], {"x": [1, 1, 2, 1, 3]}, parts=["1", "2", "2", "3", "1"])
    found = repeats(made)
    assert [(pair.first, pair.second, pair.different) for pair in found.of_families] == [("a", "b", 1)]
    assert [(pair.first, pair.second, pair.different) for pair in found.of_parts] == [
        ("1", "2", 1), ("1", "3", 1), ("2", "3", 1),
    ]  # fmt: skip


def test_many_parts_are_not_looked_at_in_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    made = mixed(parts=[str(row) for row in range(300)])
    assert repeats(made).of_parts is not None
    monkeypatch.setattr("training.explore.repeats.MOST_PLACES", 299)
    found = explore(made, lambda _: None)
    assert found.repeats.of_parts is None
    assert document_of(found)["repeats"]["of_parts"] is None
    (note,) = _shared_rows("Days", found.repeats.of_parts)
    assert isinstance(note, Paragraph)
    assert note.text.startswith("Days are too many to be looked at in pairs")


@given(ROWS)
def test_common_rows_are_counted_on_both_sides_whatever_their_family(rows: list[tuple[int, int, str, str]]) -> None:
    parts = [row[3] for row in rows]
    made = table([row[2] for row in rows], {"x": [r[0] for r in rows], "y": [r[1] for r in rows]}, parts=parts)
    of = {part: [row[:2] for row in rows if row[3] == part] for part in ("1", "2")}
    both = set(of["1"]) & set(of["2"])
    sides = (sum(row in both for row in of["1"]), sum(row in both for row in of["2"]))
    assert [(pair.different, pair.rows) for pair in repeats(made).of_parts] == ([(len(both), sides)] if both else [])


def test_columns_that_no_model_sees_do_not_tell_rows_apart() -> None:
    made = table(["a", "a"], {"x": [1, 1], "y": [1, 2]})
    assert repeats(made).duplicates == 0
    assert repeats(replace(made, unfit=("y",))).duplicates == 1
    assert (
        repeats(replace(made, columns=(ExploredColumn("x", ""), ExploredColumn("y", "", seen=False)))).duplicates == 1
    )


def test_zero_has_no_sign() -> None:
    assert repeats(table(["a", "a"], {"x": [0.0, -0.0]})).duplicates == 1


def test_a_category_tells_rows_apart_unless_no_model_sees_it() -> None:
    ports = {"port": category(["80", "22"])}
    assert repeats(table(["a", "a"], {"x": [1, 1]}, categories=ports)).duplicates == 0
    assert repeats(table(["a", "a"], {"x": [1, 1]}, categories=ports, aside=("port",))).duplicates == 1


def test_values_in_other_columns_make_other_rows() -> None:
    assert repeats(table(["a", "a"], {"x": [1, 2], "y": [2, 1]})).duplicates == 0


def test_rows_are_counted_by_the_hour_and_none_is_lost() -> None:
    made = table(["b", "a", "a"], {"x": [1, 2, 3]}, time_ns=FIRST_NS + np.array([0, DAY_NS - 1, DAY_NS]))
    found = census(made)
    assert list(found.hourly) == ["2017-07-03", "2017-07-04"]
    assert found.hourly["2017-07-03"][[0, 23]].tolist() == [[0, 1], [1, 0]], "families stand most rows first"
    assert sum(int(hours.sum()) for hours in found.hourly.values()) == 3


def test_a_table_without_times_has_no_span() -> None:
    found = census(table(["a"], {"x": [1]}, time_ns=None))
    assert (found.first_ns, found.last_ns, found.hourly) == (None, None, {})


def test_labels_stand_with_their_family_and_parts() -> None:
    labels = category(["hulk", "eye", "hulk", "fine"])
    found = census(table(["DoS", "DoS", "DoS", "BENIGN"], {"x": [1] * 4}, parts=["1", "2", "2", "1"], label=labels))
    assert [(entry.family, entry.label, entry.rows, entry.parts) for entry in found.labels] == [
        ("DoS", "hulk", 2, ("1", "2")),
        ("DoS", "eye", 1, ("2",)),
        ("BENIGN", "fine", 1, ("1",)),
    ]
    assert found.families == {"DoS": 3, "BENIGN": 1}


def test_a_sample_is_bounded_repeatable_and_of_every_family() -> None:
    made = mixed(900)
    rows = per_family(made, limit=40)
    assert np.bincount(made.family.codes[rows]).tolist() == [40, 40, 40]
    assert rows.tolist() == sorted(set(per_family(made, limit=40).tolist()))
    assert per_family(made, limit=10_000).tolist() == list(range(900))
    assert len(of_all(made, limit=100)) == 100


def test_a_sample_keeps_to_the_rows_that_are_marked() -> None:
    made = mixed(300)
    marked = np.arange(300) % 3 == 0
    assert set(per_family(made, marked, limit=20).tolist()) <= set(np.flatnonzero(marked).tolist())


def test_columns_that_say_nothing_of_their_own_are_named() -> None:
    x = np.arange(1000.0)
    rare = np.where(x < 3, 1.0, 0.0)
    made = table(["a"] * 1000, {"x": x, "still": [4.0] * 1000, "again": x, "rare": rare, "still too": [4.0] * 1000})
    found = column_report(made, sampled(made, np.arange(1000)))
    assert [(column.name, column.value) for column in found.constant] == [("still", 4.0), ("still too", 4.0)]
    assert [(column.name, column.share) for column in found.nearly] == [("rare", 0.997)]
    assert found.equal == (("x", "again"),)
    assert found.telling == (0, 3)


def test_columns_that_differ_outside_the_sample_only_are_not_taken_for_equal() -> None:
    made = table(["a"] * 4, {"x": [1, 2, 3, 4], "y": [1, 2, 3, 5], "z": [1, 2, 3, 5], "still": [0, 0, 0, 1]})
    found = column_report(made, sampled(made, np.array([0, 1, 2])))
    assert found.equal == (("y", "z"),)
    assert found.constant == ()


@pytest.mark.parametrize("rows", [65_536, 65_537, 131_073])
def test_tables_longer_than_a_block_are_counted_whole(rows: int) -> None:
    values = np.arange(rows, dtype=np.float64)
    values[-1] = values[0]
    made = table(["a"] * rows, {"x": values, "y": values})
    assert repeats(made).duplicates == 1
    assert column_report(made, sampled(made, np.arange(100))).equal == (("x", "y"),)


def test_public_flows_repeat_as_a_comparison_of_all_their_values_counts_them(shared_data: Path) -> None:
    pytest.importorskip("polars")
    from flows.columns import INDEX, usable_by_models
    from training.datasets.collection import read_dataset
    from training.explore.flows import table_of

    flows = read_dataset(shared_data / "cic-ids-2017" / "improved-sample-mon-thu.csv.gz", lambda _: None)
    columns = [INDEX[name] for name in usable_by_models(fingerprints=True) if name not in flows.missing]
    _, kind = np.unique(flows.values[:, columns], axis=0, return_inverse=True)
    found = repeats(table_of(flows))
    assert found.contradictory == 0, "else a repeated row may be of another family"
    assert found.duplicates == len(flows) - len(set(kind.tolist()))
    of = {day: set(kind[flows.day == day].tolist()) for day in sorted(set(flows.day.tolist()))}
    common = {(one, other): len(of[one] & of[other]) for one, other in combinations(of, 2)}
    pairs = {(pair.first, pair.second): pair.different for pair in found.of_parts}
    assert pairs == {days: number for days, number in common.items() if number}
    assert pairs

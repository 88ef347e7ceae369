"""Masked columns: rows that know nothing of some are scored as if these held a fixed value, which no reason names."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.attribution import top_columns
from models.bundle import BundleError, load_bundle, save_bundle
from models.detector import FlowSteps
from models.fusion import Hybrid
from models.masking import Masking, Values, fit_masking
from models.scaling import fit_scaling
from tests.models.builders import CONTRACT, WIDTH, make_hybrid, make_steps, raw_values

MASKED = {"column_3": 3, "column_7": 7, "column_11": 11}


def masking(fill: float = 2.5) -> Masking:
    return Masking(tuple(MASKED), np.array(list(MASKED.values())), np.full(len(MASKED), fill))


def with_masking(fill: float = 2.5) -> Hybrid:
    return replace(make_hybrid(), masking=masking(fill))


def masked(values: Values, rows: slice = slice(None)) -> Values:
    """A copy whose rows know nothing of the columns."""
    out = values.copy()
    out[rows, list(MASKED.values())] = np.nan
    return out


def steps_with(values: Values, steps: FlowSteps) -> FlowSteps:
    return FlowSteps(values, steps.host, steps.time_ns, steps.advances, masked=True)


# ---------------------------------------------------------------- filling


def test_masked_cells_get_their_columns_value_and_all_others_stay() -> None:
    values = raw_values(50, 1)
    rows = masked(values, slice(10, 20))
    out = masking().filled(rows)
    assert (out[10:20, list(MASKED.values())] == 2.5).all()
    known = np.isfinite(rows)
    assert out[known].tobytes() == values[known].tobytes()
    assert np.isnan(rows).any()  # the rows themselves are left as they are


def test_a_column_of_which_only_some_is_known_keeps_that() -> None:
    values = raw_values(4, 1)
    rows = values.copy()
    rows[2, 7] = np.nan
    out = masking().filled(rows)
    assert out[2, 7] == 2.5
    assert np.delete(out, 7, axis=1).tobytes() == np.delete(values, 7, axis=1).tobytes()


def test_the_median_of_the_rows_that_know_stands_for_a_column() -> None:
    values = raw_values(101, 2)
    rows = np.concatenate([values, masked(raw_values(300, 3))])
    fitted = fit_masking(rows, MASKED)
    assert fitted.columns == tuple(MASKED)
    assert fitted.fill.tolist() == np.median(values[:, list(MASKED.values())], axis=0).tolist()


def test_filled_rows_can_be_fitted_on_and_unfilled_ones_cannot() -> None:
    rows = np.concatenate([raw_values(101, 2), masked(raw_values(300, 3))])
    with pytest.raises(ValueError, match="scaling needs finite rows"):
        fit_scaling(rows, MASKED)
    scaling = fit_scaling(fit_masking(rows, MASKED).filled(rows), MASKED)
    assert np.isfinite(scaling.center).all()


def test_a_column_that_no_row_knows_has_no_value() -> None:
    with pytest.raises(ValueError, match="no row knows column_3, column_7, column_11"):
        fit_masking(masked(raw_values(9, 1)), MASKED)


@pytest.mark.parametrize(
    ("columns", "index", "fill", "words"),
    [
        ((), [], [], "no columns"),
        (("a", "a"), [1, 2], [0.0, 0.0], "twice"),
        (("a",), [1, 2], [0.0], "shapes"),
        (("a",), [1], [0.0, 1.0], "shapes"),
        (("a",), [-1], [0.0], "negative"),
        (("a",), [1], [np.nan], "not finite"),
    ],
)
def test_what_is_no_masking_is_refused(
    columns: tuple[str, ...], index: list[int], fill: list[float], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Masking(columns, np.array(index, dtype=np.int64), np.array(fill))


# ---------------------------------------------------------------- judging


def test_masked_rows_are_judged_as_filled_ones_by_every_detector() -> None:
    hybrid, steps = with_masking(), make_steps(300, 20)
    rows = masked(steps.values, slice(0, 300, 3))
    found = hybrid.judge(steps_with(rows, steps))
    hybrid.forget()
    expected = hybrid.judge(replace(steps, values=masking().filled(rows)))
    for name, scores in expected.scores.items():
        assert np.isfinite(found.scores[name]).all()
        assert np.array_equal(found.scores[name], scores)
    assert np.array_equal(found.p_known, expected.p_known)
    assert np.array_equal(found.verdict, expected.verdict)


def test_a_row_that_knows_all_is_judged_the_same_whether_others_may_be_masked_or_not() -> None:
    hybrid, steps = with_masking(), make_steps(300, 20)
    plain = hybrid.judge(steps)
    hybrid.forget()
    among = hybrid.judge(steps_with(steps.values, steps))
    assert np.array_equal(plain.p_known, among.p_known)
    assert np.array_equal(plain.p_novel, among.p_novel)


def test_a_model_without_values_to_stand_for_columns_refuses_masked_rows() -> None:
    hybrid, steps = make_hybrid(), make_steps(3, 1)
    assert hybrid.maskable == ()
    with pytest.raises(ValueError, match="test-1 has no values that stand for masked columns"):
        hybrid.judge(steps_with(masked(steps.values), steps))


@pytest.mark.parametrize(("columns", "index"), [(("column_3",), [4]), (("no_column",), [3])])
def test_masked_columns_are_those_that_the_model_uses(columns: tuple[str, ...], index: list[int]) -> None:
    with pytest.raises(ValueError, match="is none that the model uses, or stands elsewhere"):
        replace(make_hybrid(), masking=Masking(columns, np.array(index), np.zeros(1)))


# ---------------------------------------------------------------- reasons

GROUPS = [[0, 3], [7], [11], [5, 8], [2], [1]]


def test_a_masked_column_is_never_among_those_that_moved_the_score() -> None:
    hybrid, values = with_masking(1e6), raw_values(60, 4)
    lanes = np.ones((60, 2), dtype=np.bool_)
    before = top_columns(hybrid, values, lanes, GROUPS)
    found = top_columns(hybrid, masked(values), lanes, GROUPS)
    assert set(before.ravel().tolist()) & set(MASKED.values())  # or the test says nothing
    assert not set(found.ravel().tolist()) & set(MASKED.values())
    assert (np.diff(np.sort(found, axis=1), axis=1) > 0).all()


def test_rows_beside_masked_ones_are_explained_as_by_themselves() -> None:
    hybrid, values = with_masking(), raw_values(30, 4)
    lanes = np.ones((30, 2), dtype=np.bool_)
    alone = top_columns(hybrid, values[::2], lanes[::2], GROUPS)
    mixed = top_columns(hybrid, masked(values, slice(1, 30, 2)), lanes, GROUPS)
    assert np.array_equal(mixed[::2], alone)


def test_where_too_little_is_known_fewer_columns_are_named() -> None:
    hybrid, values = with_masking(), masked(raw_values(5, 4))
    found = top_columns(hybrid, values, np.ones((5, 2), dtype=np.bool_), [[3], [7, 11], [5]])
    assert (found[:, 0] == 5).all()
    assert (found[:, 1:] == -1).all()


# ---------------------------------------------------------------- in bundles


def change(directory: Path, section: object) -> None:
    file = directory / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"masked": section}))


def test_a_bundle_keeps_what_stands_for_masked_columns(tmp_path: Path) -> None:
    hybrid = with_masking(1 / 3)
    save_bundle(tmp_path, hybrid, {})
    loaded = load_bundle(tmp_path, CONTRACT)
    assert json.loads((tmp_path / "manifest.json").read_text())["masked"] == dict.fromkeys(MASKED, 1 / 3)
    assert loaded.maskable == tuple(MASKED)
    rows = masked(raw_values(20, 5))
    assert loaded.filled(rows).tobytes() == hybrid.filled(rows).tobytes()
    save_bundle(tmp_path / "again", loaded, {})
    for name in ("manifest.json", "weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_a_bundle_whose_rows_know_all_says_nothing_of_masked_columns(tmp_path: Path) -> None:
    save_bundle(tmp_path, make_hybrid(), {})
    assert "masked" not in json.loads((tmp_path / "manifest.json").read_text())
    assert load_bundle(tmp_path, CONTRACT).masking is None


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (None, "masked is null"),
        ([], "masked is a list"),
        ({}, "masking has no columns"),
        ({"column_99": 1.0}, "masked names 'column_99', expected columns of the feature contract"),
        ({"\x1b[2J": 1.0}, "masked names"),
        ({"column_3": None}, "column_3 is null"),
        ({"column_3": True}, "column_3 is a truth value"),
        ({"column_3": 1e308}, "expected a finite number"),
        ({"column_3": "0"}, "column_3 is text"),
    ],
)
def test_what_is_no_masking_is_refused_in_a_line(tmp_path: Path, section: object, words: str) -> None:
    save_bundle(tmp_path, make_hybrid(), {})
    change(tmp_path, section)
    with pytest.raises(BundleError, match=words) as caught:
        load_bundle(tmp_path, CONTRACT)
    assert str(caught.value).isprintable()


def test_a_column_that_no_detector_sees_is_not_masked() -> None:
    hybrid = make_hybrid()
    unused = next(i for i in range(WIDTH) if i not in hybrid.seen)
    with pytest.raises(ValueError, match="none that the model uses"):
        replace(
            hybrid,
            normal=hybrid.normal.only(hybrid.seen),
            masking=Masking((f"column_{unused}",), np.array([unused]), np.zeros(1)),
        )

"""Columns that moved a verdict are those that make the difference, for each row by itself."""

import numpy as np
import pytest

from models.attribution import top_columns
from models.calibration import fit_calibration
from models.detector import FlowSteps, Vector
from models.fusion import Hybrid, Member
from models.normal import NormalProfile
from tests.models.builders import contract_of

WIDTH = 6
KNOWN, NOVEL = (True, False), (False, True)


class Weighted:
    """Score is a weighted sum of the columns."""

    def __init__(self, name: str, *weights: float) -> None:
        self.name = name
        self.weights = np.array(weights)
        self.advanced = 0

    def score(self, steps: FlowSteps) -> Vector:
        self.advanced += int(steps.advances.sum())
        return steps.values @ self.weights

    def forget(self) -> None:
        pass


def model(known: Weighted, novel: Weighted) -> Hybrid:
    normal = np.random.default_rng(1).normal(size=(2000, WIDTH))
    calibrated = [Member(one, fit_calibration(normal @ one.weights)) for one in (known, novel)]
    levels = [np.quantile(normal, q, axis=0) for q in (0.01, 0.5, 0.99, 0.999)]
    return Hybrid(
        known=(calibrated[0],),
        novel=(calibrated[1],),
        labels=("BENIGN", "attack"),
        techniques=(None, None),
        thresholds={0.001: (0.0005, 0.0005)},
        normal=NormalProfile(tuple("abcdef"), *levels),
        contract=contract_of("abcdef"),
        model_id="test",
    )


def named(values: list[float], lanes: tuple[bool, bool], groups: list[list[int]] | None = None) -> list[int]:
    hybrid = model(Weighted("first", 1, 1, 1, 0, 0, 0), Weighted("second", 0, 0, 0, 3, 2, 1))
    allowed = [[column] for column in range(WIDTH)] if groups is None else groups
    found: list[int] = top_columns(hybrid, np.array([values]), np.array([lanes]), allowed)[0].tolist()
    assert hybrid.known[0].detector.advanced == 0  # type: ignore[attr-defined]
    return found


def test_the_columns_that_make_the_score_are_named_strongest_first() -> None:
    assert named([1.0, 9.0, 4.0, 50.0, 50.0, 50.0], KNOWN) == [1, 2, 0]


def test_only_the_lanes_asked_about_count() -> None:
    assert named([9.0, 9.0, 9.0, 3.0, 3.0, 3.0], NOVEL) == [3, 4, 5]


def test_columns_that_may_not_be_named_are_not() -> None:
    assert named([1.0, 9.0, 4.0, 0.0, 0.0, 0.0], KNOWN, [[0], [2], [5]])[:2] == [2, 0]


def test_columns_of_a_group_are_restored_together_and_the_one_that_keeps_most_speaks_for_it() -> None:
    # Columns 0 and 1 together outweigh column 2, which outweighs each of them.
    assert named([4.0, 5.0, 6.0, 0.0, 0.0, 0.0], KNOWN, [[2], [0, 1], [3], [4, 5]])[:2] == [1, 2]


def test_a_column_that_is_normal_does_not_speak_for_a_group_in_which_others_are_not() -> None:
    hybrid = model(Weighted("first", 1, 1, 1, 0, 0, 0), Weighted("second", 0, 0, 0, 3, 2, 1))
    median = hybrid.normal.median.tolist()
    # What is below normal takes evidence away, so the normal column keeps more of it.
    found = named([*median[:3], 9.0, median[4], median[5] - 5], NOVEL, [[4, 5], [3], [0, 1, 2]])
    assert 5 in found
    assert 4 not in found


def test_a_group_is_named_by_one_of_its_own_where_nothing_helps() -> None:
    hybrid = model(Weighted("first", 1, 1, 1, 0, 0, 0), Weighted("second", 0, 0, 0, 3, 2, 1))
    found = named(hybrid.normal.median.tolist(), KNOWN, [[0, 3], [1, 4], [2, 5]])
    assert sorted(column % 3 for column in found) == [0, 1, 2]


def test_an_array_of_positions_is_groups_of_one() -> None:
    hybrid = model(Weighted("first", 1, 2, 3, 1, 2, 3), Weighted("second", 1, 0, 1, 0, 1, 0))
    values, lanes = np.random.default_rng(2).normal(size=(30, WIDTH)) * 4, np.ones((30, 2), dtype=np.bool_)
    alone = top_columns(hybrid, values, lanes, [[column] for column in range(WIDTH)])
    assert np.array_equal(alone, top_columns(hybrid, values, lanes, np.arange(WIDTH)))


def test_each_column_is_named_once_also_where_nothing_helps() -> None:
    found = named([0.0] * WIDTH, KNOWN)
    assert len(set(found)) == 3


@pytest.mark.parametrize("rows", [1, 300])
def test_a_rows_columns_do_not_depend_on_its_neighbours(rows: int) -> None:
    hybrid = model(Weighted("first", 1, 2, 3, 1, 2, 3), Weighted("second", 1, 0, 1, 0, 1, 0))
    values = np.random.default_rng(2).normal(size=(300, WIDTH)) * 4
    lanes = np.ones((300, 2), dtype=np.bool_)
    everything = [[0, 3], [1], [2], [4, 5]]
    whole = top_columns(hybrid, values, lanes, everything)
    parts = [top_columns(hybrid, values[i : i + rows], lanes[i : i + rows], everything) for i in range(0, 300, rows)]
    assert np.array_equal(whole, np.concatenate(parts))

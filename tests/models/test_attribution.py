"""Columns that moved a verdict are those that make the difference, for each row by itself."""

import numpy as np
import pytest

from models.attribution import top_columns
from models.calibration import fit_calibration
from models.detector import Steps, Vector
from models.fusion import Hybrid, Member, NormalProfile

WIDTH = 6
KNOWN, NOVEL = (True, False), (False, True)


class Weighted:
    """Score is a weighted sum of the columns."""

    def __init__(self, name: str, *weights: float) -> None:
        self.name = name
        self.weights = np.array(weights)
        self.advanced = 0

    def score(self, steps: Steps) -> Vector:
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
        contract="test",
        model_id="test",
    )


def named(values: list[float], lanes: tuple[bool, bool], candidates: list[int] | None = None) -> list[int]:
    hybrid = model(Weighted("first", 1, 1, 1, 0, 0, 0), Weighted("second", 0, 0, 0, 3, 2, 1))
    allowed = np.array(range(WIDTH) if candidates is None else candidates)
    found: list[int] = top_columns(hybrid, np.array([values]), np.array([lanes]), allowed)[0].tolist()
    assert hybrid.known[0].detector.advanced == 0  # type: ignore[attr-defined]
    return found


def test_the_columns_that_make_the_score_are_named_strongest_first() -> None:
    assert named([1.0, 9.0, 4.0, 50.0, 50.0, 50.0], KNOWN) == [1, 2, 0]


def test_only_the_lanes_asked_about_count() -> None:
    assert named([9.0, 9.0, 9.0, 3.0, 3.0, 3.0], NOVEL) == [3, 4, 5]


def test_columns_that_may_not_be_named_are_not() -> None:
    assert named([1.0, 9.0, 4.0, 0.0, 0.0, 0.0], KNOWN, [0, 2, 5])[:2] == [2, 0]


def test_each_column_is_named_once_also_where_nothing_helps() -> None:
    found = named([0.0] * WIDTH, KNOWN)
    assert len(set(found)) == 3


@pytest.mark.parametrize("rows", [1, 300])
def test_a_rows_columns_do_not_depend_on_its_neighbours(rows: int) -> None:
    hybrid = model(Weighted("first", 1, 2, 3, 1, 2, 3), Weighted("second", 1, 0, 1, 0, 1, 0))
    values = np.random.default_rng(2).normal(size=(300, WIDTH)) * 4
    lanes = np.ones((300, 2), dtype=np.bool_)
    everything = np.arange(WIDTH)
    whole = top_columns(hybrid, values, lanes, everything)
    parts = [top_columns(hybrid, values[i : i + rows], lanes[i : i + rows], everything) for i in range(0, 300, rows)]
    assert np.array_equal(whole, np.concatenate(parts))

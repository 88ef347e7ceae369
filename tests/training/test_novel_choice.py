"""Which size the novel lane's forest gets: the rule on given figures, and that nobody sees what he is judged by."""

from typing import Any

import numpy as np
import pytest

from models.detector import Vector
from tests.support.kdd_tables import COUNTS, kdd_table, small_recipe
from training.arrays import Mask
from training.recipe_sections import IsolationForestRecipe

pytestmark = pytest.mark.takes(10)

for package in ("polars", "sklearn"):
    pytest.importorskip(package)

from training.evaluation import novel_choice as room  # noqa: E402  # scikit-learn may be missing
from training.evaluation.novel_choice import DRAWINGS, Candidate, NovelChoice, compared  # noqa: E402
from training.fit.kdd import PreparedRecords, prepared  # noqa: E402

SIZES = [(20, 64), (20, 32), (20, 128), (12, 128), (10, 256)]  # samples of 512 would be more than a fit has
ATTACKS = [name for name in sorted(COUNTS) if name != "normal"]


def quiet(_: str) -> None:
    """Progress for nobody."""


def nothing_known(known: PreparedRecords) -> Vector:
    """p-values of a known lane that finds nothing."""
    return np.ones(len(known.x))


def choice(*candidates: tuple[int, list[float]]) -> NovelChoice:
    """Candidates of so many nodes that find these shares of the attacks at each of two rates and in each drawing."""
    rows = [
        Candidate(IsolationForestRecipe(trees=nodes, sample=2), nodes, np.tile(np.array(found), (2, DRAWINGS, 1)))
        for nodes, found in candidates
    ]
    return NovelChoice((0.005, 0.05), tuple(f"a{i}" for i in range(len(candidates[0][1]))), 1000, tuple(rows))


def test_another_size_is_chosen_where_it_finds_more_by_more_than_chance() -> None:
    own = [0.1, 0.2, 0.3, 0.4]
    assert choice((10, own), (20, [0.3, 0.4, 0.5, 0.6])).chosen == 1
    assert choice((10, own), (20, [0.3, 0.4, 0.5, 0.6]), (30, [0.5, 0.6, 0.7, 0.8])).chosen == 2
    assert choice((10, own), (20, own)).chosen == 0
    assert choice((10, own), (20, [0.0, 0.1, 0.2, 0.3])).chosen == 0


def test_the_recipes_size_stands_where_one_attack_or_one_drawing_makes_the_whole_difference() -> None:
    assert choice((10, [0.1, 0.5, 0.5, 0.5]), (20, [0.9, 0.5, 0.5, 0.5])).chosen == 0
    told = choice((10, [0.1, 0.1, 0.1]), (20, [0.1, 0.1, 0.1]))
    told.candidates[1].found[:, 0] = 0.9
    assert told.chosen == 0


def test_the_recipes_size_stands_where_another_finds_surely_less_at_another_rate() -> None:
    told = choice((10, [0.1, 0.2, 0.3, 0.4]), (20, [0.3, 0.4, 0.5, 0.6]))
    told.candidates[1].found[1] -= 0.25
    assert told.chosen == 0


def test_a_single_attack_changes_nothing() -> None:
    assert choice((10, [0.1]), (20, [0.9])).chosen == 0


def test_an_attack_is_judged_by_what_the_others_choose() -> None:
    told = choice((10, [0.5, 0.3, 0.3, 0.3]), (20, [0.0, 0.4, 0.4, 0.4]))
    assert told.chosen == 0  # the first attack speaks against the other size, which all others choose
    assert told.found_by_others == pytest.approx([0.0, 0.3, 0.3, 0.3])
    assert told.as_dict()["recall_of_unseen"] == pytest.approx(told.found_by_others.mean(), abs=1e-6)


def test_the_choice_is_by_the_first_rate_and_every_drawing_counts_alike() -> None:
    found = np.zeros((2, DRAWINGS, 2))
    found[1, 0] = 0.6
    own = Candidate(IsolationForestRecipe(trees=3, sample=2), 9, found)
    other = Candidate(IsolationForestRecipe(trees=2, sample=2), 5, found + 0.3)
    told = NovelChoice((0.005, 0.05), ("a", "b"), 100, (own, other))
    assert told.chosen == 1
    content = told.as_dict()
    assert content["chosen_at"] == "0.005"
    row, better = content["candidates"]
    assert row["recall"]["0.005"] == {"mean": 0.0, "spread": 0.0}
    assert row["recall"]["0.05"]["mean"] == pytest.approx(0.6 / DRAWINGS)
    assert row["recall"]["0.05"]["spread"] == pytest.approx(np.std([0.6] + [0] * (DRAWINGS - 1), ddof=1), abs=1e-6)
    assert row["gain"] == {rate: {"mean": 0.0, "error": 0.0} for rate in ("0.005", "0.05")}
    assert better["gain"]["0.005"]["mean"] == pytest.approx(0.3)


def test_no_fit_sees_an_attack_or_the_fold_that_it_is_judged_by(monkeypatch: pytest.MonkeyPatch) -> None:
    known = prepared(small_recipe(), kdd_table(), 7)
    given: list[tuple[int, Mask]] = []
    fits = room.isolation_forest

    def seen(own: PreparedRecords, rows: Mask, size: Any) -> Any:
        given.append((own.seed, rows & own.normal))
        return fits(own, rows, size)

    monkeypatch.setattr(room, "isolation_forest", seen)
    told = compared(known, nothing_known(known), quiet)
    assert told.attacks == tuple(ATTACKS)
    assert told.rates == (0.01, 0.001, 0.05)
    folds, sizes = known.recipe.calibrate.folds, len(told.candidates)
    assert len(given) == sizes * (DRAWINGS * folds + 1)
    for seed in range(7, 7 + DRAWINGS):
        apart = [rows for own, rows in given if own == seed and not rows[known.normal].all()]
        assert len(apart) == sizes * folds
        left_out = sum((known.normal & ~rows).astype(int) for rows in apart)
        assert (left_out == sizes * known.normal).all()


def test_the_same_seed_gives_the_same_choice_and_the_recipes_own_size_stands_first() -> None:
    known = [prepared(small_recipe(), kdd_table(), 7) for _ in range(2)]
    first, again = (compared(own, nothing_known(own), quiet).as_dict() for own in known)
    assert first == again
    assert (first["recipe"], first["normal"]) == (0, COUNTS["normal"])
    assert [(own["trees"], own["sample"]) for own in first["candidates"]] == SIZES
    assert list(first["candidates"][0]["recall"]) == ["0.001", "0.01", "0.05"]


def test_more_false_alarms_never_find_less_and_what_the_known_lane_finds_is_found() -> None:
    known = prepared(small_recipe(), kdd_table(), 7)
    p_known = np.where(known.table.label == "back", 0.004, nothing_known(known))
    told = compared(known, p_known, quiet)
    for candidate in told.candidates:
        ascending = candidate.found[np.argsort(told.rates)]
        assert (np.diff(ascending, axis=0) >= 0).all()
        assert ((candidate.found >= 0) & (candidate.found <= 1)).all()
        back = candidate.found[:, :, ATTACKS.index("back")]
        assert (back[0] == 1).all()  # a lane has half of 1 %
        assert (back[1] < 1).all()

import numpy as np
import pytest

pytest.importorskip("scipy")

from scipy.stats import spearmanr

from tests.training.labelled_tables import category, mixed, table
from training.explore.comparison import comparisons
from training.explore.correlation import correlations
from training.explore.effects import amounts_differ
from training.explore.hypotheses import NOT_SUPPORTED, SUPPORTED, Ruling, verdicts
from training.explore.repeats import repeats
from training.explore.table import Hypothesis, LabelledTable

SHORTER = Hypothesis("Scans are shorter.", "Scan", "duration", "less")


def quiet(_: str) -> None:
    pass


def judged(made: LabelledTable, *claims: Hypothesis) -> list[tuple[Ruling | None, Ruling | None]]:
    with_claims = table(
        [made.family.names[code] for code in made.family.codes],
        {column.name: made.values[:, i] for i, column in enumerate(made.columns)},
        hypotheses=claims,
        unfit=made.unfit,
    )
    found = verdicts(with_claims, repeats(with_claims).unique)
    return [(verdict.all_rows, verdict.different_rows) for verdict in found]


def test_a_claim_that_holds_is_supported_with_its_effect() -> None:
    tested, _ = judged(mixed(), SHORTER)[0]
    assert tested is not None
    assert (tested.verdict, tested.reason) == (SUPPORTED, "a large effect")
    assert tested.outcome.difference.effect < -0.9


def test_a_claim_of_which_the_opposite_holds_is_not_supported() -> None:
    tested, _ = judged(mixed(), Hypothesis("Scans are longer.", "Scan", "duration", "greater"))[0]
    assert tested is not None
    assert (tested.verdict, tested.reason) == (NOT_SUPPORTED, "the opposite holds, by a large effect")


def test_a_difference_that_nobody_would_notice_is_not_supported_however_small_its_p() -> None:
    rng = np.random.default_rng(2)
    values = np.concatenate((rng.normal(0.1, 1, 20_000), rng.normal(0.0, 1, 20_000)))
    made = table(["Scan"] * 20_000 + ["BENIGN"] * 20_000, {"duration": values})
    tested, _ = judged(made, Hypothesis("Scans are longer.", "Scan", "duration", "greater"))[0]
    assert tested is not None
    assert tested.outcome.p < 1e-6
    assert (tested.verdict, tested.reason) == (NOT_SUPPORTED, "the difference is negligible")


def test_chance_is_told_from_an_effect_by_the_number_of_rows() -> None:
    made = table(["Scan"] * 4 + ["BENIGN"] * 4, {"duration": [1, 2, 3, 6, 2.5, 4, 5, 7]})
    tested, _ = judged(made, SHORTER)[0]
    assert tested is not None
    assert tested.reason == "chance explains the difference"


def test_few_rows_are_said_with_the_verdict() -> None:
    made = table(["Scan"] * 10 + ["BENIGN"] * 100, {"duration": [*range(10), *range(50, 150)]})
    tested, _ = judged(made, SHORTER)[0]
    assert tested is not None
    assert tested.reason == "a large effect; only 10 rows"


def test_repeated_rows_alone_do_not_carry_a_claim() -> None:
    values = [1.0] * 400 + list(range(2, 42)) + list(range(2, 402))
    made = table(
        ["Scan"] * 440 + ["BENIGN"] * 400, {"duration": values, "other": [0.5] * 400 + [float(i) for i in range(440)]}
    )
    everywhere, different = judged(made, Hypothesis("Scans last as ones.", "Scan", "duration", "less"))[0]
    assert everywhere is not None
    assert different is not None
    assert everywhere.outcome.rows == 440
    assert different.outcome.rows == 41
    assert abs(different.outcome.difference.effect) < abs(everywhere.outcome.difference.effect)


def test_spread_is_told_from_size() -> None:
    rng = np.random.default_rng(4)
    values = np.concatenate((rng.lognormal(8, 0.1, 300), rng.lognormal(5, 1.5, 300)))
    made = table(["Guess"] * 300 + ["BENIGN"] * 300, {"size": values})
    spread = Hypothesis("Guesses repeat themselves.", "Guess", "size", "less", spread=True)
    size = Hypothesis("Guesses are smaller.", "Guess", "size", "less")
    (first, _), (second, _) = judged(made, spread, size)
    assert first is not None
    assert second is not None
    assert (first.verdict, second.verdict) == (SUPPORTED, NOT_SUPPORTED)


@pytest.mark.parametrize(
    "claim", [Hypothesis("s", "Absent", "duration", "less"), Hypothesis("s", "Scan", "absent", "less")]
)
def test_what_a_table_cannot_tell_is_not_tested(claim: Hypothesis) -> None:
    assert judged(mixed(), claim) == [(None, None)]


def test_nothing_is_tested_on_unfit_columns_or_without_normal_rows() -> None:
    assert judged(mixed(unfit=("duration",)), SHORTER) == [(None, None)]
    assert judged(table(["Scan"] * 9, {"duration": range(9)}), SHORTER) == [(None, None)]


def test_every_column_and_category_of_every_family_is_tested_strongest_first() -> None:
    made = mixed()
    found = comparisons(made, (0, 1, 2), repeats(made).unique, quiet)
    assert len(found) == 2 * (3 + 1)
    effects = [abs(comparison.all_rows.difference.effect) for comparison in found]
    assert effects == sorted(effects, reverse=True)
    assert {(comparison.family, comparison.column) for comparison in found[-2:]} <= {
        ("Scan", "noise"), ("Flood", "noise"), ("Flood", "flag"),
    }  # fmt: skip


def test_a_comparison_is_that_of_its_own_family_and_column() -> None:
    made = mixed()
    found = comparisons(made, (0, 1, 2), repeats(made).unique, quiet)
    of = {name: made.values[made.family.codes == i] for i, name in enumerate(made.family.names)}
    for comparison in found:
        if comparison.column != "flag":
            i = [column.name for column in made.columns].index(comparison.column)
            expected = amounts_differ(of[comparison.family], of["BENIGN"])[i]
            assert comparison.all_rows.difference == expected
            assert comparison.typical == np.median(of[comparison.family][:, i])


def test_a_category_is_told_by_its_most_frequent_value() -> None:
    made = mixed()
    found = comparisons(made, (), repeats(made).unique, quiet)
    scan = next(comparison for comparison in found if comparison.family == "Scan")
    assert (scan.typical, scan.all_rows.difference.size) == ("S0", "large")


def test_corrected_p_is_never_below_the_plain_one() -> None:
    made = mixed()
    for comparison in comparisons(made, (0, 1, 2), repeats(made).unique, quiet):
        for outcome in (comparison.all_rows, comparison.different_rows):
            assert outcome.p >= outcome.difference.p


@pytest.mark.parametrize("families", [["BENIGN"] * 5, ["Scan"] * 5, [""] * 5, ["Scan", "Flood"] * 2 + [""]])
def test_without_a_normal_and_another_class_nothing_is_compared(families: list[str]) -> None:
    made = table(families, {"x": range(5)})
    assert comparisons(made, (0,), repeats(made).unique, quiet) == ()


def test_correlations_are_spearmans() -> None:
    made = mixed()
    found = correlations(made, (0, 1, 2), np.arange(len(made)))
    names = [column.name for column in made.columns]
    order = [names.index(name) for name in found.names]
    assert sorted(order) == [0, 1, 2]
    assert found.matrix == pytest.approx(spearmanr(made.values[:, order]).statistic)
    strengths = [abs(pair.rho) for pair in found.pairs]
    assert strengths == sorted(strengths, reverse=True)
    assert found.between("size", "noise") == pytest.approx(spearmanr(made.values[:, 1], made.values[:, 2]).statistic)


def test_columns_that_move_together_stand_together() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(2, 200))
    made = table(["x"] * 200, {"a": a, "b": b, "a again": -a + 0.01 * b, "b again": b + 0.01 * a})
    names = correlations(made, (0, 1, 2, 3), np.arange(200)).names
    assert abs(names.index("a") - names.index("a again")) == 1
    assert abs(names.index("b") - names.index("b again")) == 1


def test_columns_that_do_not_vary_are_not_correlated() -> None:
    made = table(
        ["x"] * 4, {"a": [1, 2, 3, 4], "still": [1] * 4, "b": [4, 3, 2, 1]}, categories={"c": category("abcd")}
    )
    found = correlations(made, (0, 1, 2), np.arange(4))
    assert set(found.names) == {"a", "b"}
    assert found.pairs[0].rho == pytest.approx(-1.0)
    assert correlations(made, (1,), np.arange(4)).pairs == ()
    assert correlations(made, (), np.arange(4)).pairs == ()

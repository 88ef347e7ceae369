"""Evaluation of connection records: who judges what, which attacks are novel, and what the page and the JSON say."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.baselines import save_baselines
from models.bundle import save_bundle
from tests.support.evaluations import as_csv, forests
from tests.support.evaluations import table as flow_table
from tests.support.kdd_tables import COUNTS, as_kdd_text, kdd_table, recipe_text, small_recipe
from training.datasets.kdd import KddTable
from training.errors import DatasetError
from training.evaluation import kdd as room
from training.evaluation.evaluation import Evaluation, evaluate
from training.evaluation.figures import unsupervised
from training.evaluation.kdd import by_leaving_out
from training.evaluation.question import Protocol, Question, QuestionError
from training.evaluation.records import scored_records, seen_by_bundle
from training.evaluation.table import table_of
from training.fit.kdd import PreparedRecords, fit_kdd, fit_kdd_baselines
from training.measure import HYBRID

pytestmark = pytest.mark.takes(30)

for package in ("polars", "sklearn", "matplotlib", "jinja2"):
    pytest.importorskip(package)

NOVEL = ("back", "guess_passwd")
NAMES = ["hybrid", "random_forest", "iforest", "logistic_regression", "gradient_boosting", "one_column"]


def quiet(_: str) -> None:
    """Progress for nobody."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles with and without content columns, fitted without two attacks; their training file and another one."""
    from training.datasets.packed import sha256_of

    directory = tmp_path_factory.mktemp("kdd")
    table = kdd_table()
    train = table.take(~np.isin(table.label, NOVEL))
    digest = sha256_of(as_kdd_text(train, directory / "train.txt"))
    other = kdd_table(seed=2)
    both = other.take(np.arange(len(other)))
    both.records[:30] = train.records[:30]
    as_kdd_text(both, directory / "test.txt")
    rows = dict.fromkeys(np.unique(train.label).tolist(), 1)
    for name, content in (("all", True), ("flow", False)):
        recipe = small_recipe(content=content)
        text = recipe_text(digest).replace("content: true", f"content: {str(content).lower()}")
        about = {"recipe": text, "dataset": {"sha256": digest, "rows": rows}, "warnings": ["of <b>1998</b>"]}
        hybrid = fit_kdd(recipe, train, 7, quiet)
        save_bundle(directory / name, hybrid, about)
        save_baselines(directory / name, fit_kdd_baselines(recipe, train, 7, quiet), hybrid)
    return directory


def asked(made: Path, protocol: Protocol = "time", file: str = "test.txt", **changes: Any) -> Question:
    settings = {"bundle": made / "all", "dataset": made / file, "protocol": protocol, "hosts": None, "seed": 1}
    return Question(**settings | changes)


@pytest.fixture(scope="module")
def evaluation(made: Path) -> Evaluation:
    return evaluate(asked(made, beside=made / "flow"), quiet)


@pytest.fixture(scope="module")
def page(evaluation: Evaluation) -> str:
    from training.evaluation.report.document import document
    from training.page.render import html_of

    return html_of(document(evaluation, "flowvigil evaluate a b"))


def test_members_rates_and_classes_are_as_for_flows(evaluation: Evaluation) -> None:
    content = evaluation.content
    assert content["novel_choice"] is None  # of leave-one-out alone
    assert list(content["members"]) == NAMES
    assert (content["n"], content["rehomed"], content["deletion"]) == (sum(COUNTS.values()), None, None)
    assert content["records"]["columns"] == 41
    assert content["records"]["labels"] == COUNTS
    for member in content["members"].values():
        assert list(member["rates"]) == ["0.001", "0.01", "0.05"]
        for row in member["rates"].values():
            assert set(row["per_class"]) == set(COUNTS) - {"normal"}
            assert {name: own["novel"] for name, own in row["per_class"].items()} == {
                name: name in NOVEL for name in COUNTS if name != "normal"
            }


def test_novel_recall_is_that_of_attacks_that_the_bundle_was_not_fitted_on(evaluation: Evaluation) -> None:
    told = evaluation.outcome.whole.as_is
    novel = np.isin(told.label, NOVEL)
    assert told.novel is not None
    assert (told.novel == novel).all()
    assert evaluation.content["records"]["novel"] == {name: COUNTS[name] for name in NOVEL}
    for name, member in evaluation.content["members"].items():
        for rate, row in member["rates"].items():
            found = told.found(name, float(rate))
            assert row["novel_recall"] == pytest.approx(found[novel].mean(), abs=1e-6)
            assert row["recall"] == pytest.approx(found[told.family != "BENIGN"].mean(), abs=1e-6)
            assert row["per_family"]["Probe"]["novel_recall"] is None
            assert row["per_family"]["R2L"]["novel_recall"] == row["per_class"]["guess_passwd"]["recall"]
        half = member["at_0.5"]
        assert (half["novel_recall"] is None) == (name in ("iforest", "one_column"))


def test_the_unsupervised_lane_has_the_whole_rate_to_spend(evaluation: Evaluation) -> None:
    assert evaluation.content["unsupervised"]["members"] == ["iforest"]
    whole = evaluation.outcome.whole.as_is
    chance = np.random.default_rng(2).random(len(whole)) / 8  # the made-up attacks are no outliers
    told = unsupervised(replace(whole, p_novel=chance), ["iforest"])
    attack, novel = whole.family != "BENIGN", np.isin(whole.label, NOVEL)
    for rate, row in told["rates"].items():
        found = chance < float(rate)
        assert row["detection_rate"] == pytest.approx(found[attack].mean(), abs=1e-6)
        assert row["novel_detection_rate"] == pytest.approx(found[novel].mean(), abs=1e-6)
        assert row["fpr"] == pytest.approx(found[~attack].mean(), abs=1e-6)
        assert row["fpr_interval"][0] < row["fpr"] < row["fpr_interval"][1]
    assert 0.3 < told["rates"]["0.05"]["detection_rate"] < 0.5


def test_records_that_stand_in_both_files_are_counted(evaluation: Evaluation) -> None:
    counts = evaluation.content["records"]["also_in_training"]
    assert counts["distinct"] >= 30
    assert counts["rows"] >= 30
    (note,) = evaluation.content["notes"]
    assert note.startswith(f"{counts['rows']} of the {evaluation.content['n']:,} judged records")
    assert evaluation.content["drift"]["against"] == "the normal records that were fitted on"


def test_the_training_file_itself_is_told(made: Path) -> None:
    content = evaluate(asked(made, file="train.txt"), quiet).content
    assert content["notes"][0].startswith("this is the training file")
    assert content["records"]["also_in_training"] is None
    assert content["members"][HYBRID]["rates"]["0.01"]["novel_recall"] is None  # there is nothing novel in it


def test_a_training_file_that_is_not_at_hand_is_told(made: Path, tmp_path: Path) -> None:
    alone = as_kdd_text(kdd_table(seed=3), tmp_path / "alone.txt")
    content = evaluate(asked(made, dataset=alone), quiet).content
    assert "not at hand" in content["notes"][0]
    assert content["drift"]["against"] == "the bundle's stored quantiles of normal traffic"
    there = evaluate(asked(made, dataset=alone, data=made), quiet).content
    assert "stand in the training file" in there["notes"][0]


def test_another_file_of_that_name_is_not_the_training_file(made: Path, tmp_path: Path) -> None:
    alone = as_kdd_text(kdd_table(seed=3), tmp_path / "alone.txt")
    as_kdd_text(kdd_table(seed=4), tmp_path / "train.txt")
    assert "not at hand" in evaluate(asked(made, dataset=alone), quiet).content["notes"][0]


def test_a_random_split_is_inflated_and_judges_a_third(made: Path) -> None:
    told = evaluate(asked(made, "random"), quiet)
    assert told.content["inflated"]
    assert told.content["notes"][0].startswith("INFLATED")
    assert told.content["records"]["labels"] == {name: round(0.3 * n) for name, n in COUNTS.items()}
    assert told.content["members"]["random_forest"]["at_0.5"]["f1"] > 0.9


def test_leave_one_out_judges_each_attack_by_a_fit_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    table = kdd_table()
    given: list[PreparedRecords] = []
    fits = room.hybrid_of

    def seen(known: PreparedRecords, novel: Any) -> Any:
        given.append(known)
        return fits(known, novel)

    monkeypatch.setattr(room, "hybrid_of", seen)
    outcome = by_leaving_out(small_recipe(), table, 1, quiet)
    attacks = [name for name in sorted(COUNTS) if name != "normal"]
    assert list(outcome.left_out) == attacks
    for known, (attack, own) in zip(given, outcome.left_out.items(), strict=True):
        assert (known.target[known.table.label == attack] == -1).all()
        assert (known.target[known.table.label == "neptune"] >= 0).any() == (attack != "neptune")
        assert set(own.table.label) == {attack, "normal"}
        assert (own.table.label == attack).sum() == COUNTS[attack]
        fitted = {row.tobytes() for row in known.table.records[known.normal]}
        judged = {row.tobytes() for row in own.table.values[own.table.label == "normal"]}
        assert len(judged & fitted) < 0.01 * len(judged)
        assert own.as_is.novel is not None
        assert (own.as_is.novel == (own.table.label == attack)).all()
    whole = outcome.whole.as_is
    assert (whole.family != "BENIGN").sum() == sum(COUNTS[name] for name in attacks)
    assert (whole.label == "normal").sum() == len(attacks) * round(0.2 * COUNTS["normal"])


def test_leave_one_out_fits_what_hangs_on_normal_records_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = {"prepared": 0, "fit_novel": 0}

    def counting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            counted[name] += 1
            return call(*arguments)

        return called

    for name in counted:
        monkeypatch.setattr(room, name, counting(name, getattr(room, name)))
    by_leaving_out(small_recipe(), kdd_table(), 1, quiet)
    assert counted == {"prepared": 2, "fit_novel": 1}  # once for all attacks, and once to compare sizes of the forest


def test_one_attack_alone_leaves_nothing_to_fit() -> None:
    table = kdd_table()
    with pytest.raises(DatasetError, match=r"has one attack \(neptune\)"):
        by_leaving_out(small_recipe(), table.take(np.isin(table.label, ("normal", "neptune"))), 1, quiet)


def test_the_other_bundle_stands_beside_with_the_same_rows(evaluation: Evaluation, page: str) -> None:
    other = evaluation.content["beside"]
    assert other["records"]["columns"] == 28
    assert list(other["members"]) == NAMES
    assert "13 columns of a record tell what was said in the session" in page
    assert "U2R happens inside an open session" in page


def test_bundles_of_different_rates_are_compared_at_those_they_share(made: Path, tmp_path: Path) -> None:
    from training.evaluation.report.document import document
    from training.page.render import html_of

    train = kdd_table()
    save_bundle(tmp_path / "other", fit_kdd(small_recipe(rates=[0.01, 0.02], content=False), train, 7, quiet), {})
    told = evaluate(asked(made, beside=tmp_path / "other"), quiet)
    assert list(told.content["beside"]["members"][HYBRID]["rates"]) == ["0.01", "0.02"]
    assert "   1 %: " in table_of(told.content)
    page = html_of(document(told, "flowvigil evaluate a b"))
    assert "small at 1 %" in page
    assert "small at 5 %" not in page


def test_bundles_of_different_rows_do_not_stand_beside_each_other(made: Path, tmp_path: Path) -> None:
    save_bundle(tmp_path / "flows", forests(flow_table()), {})
    with pytest.raises(QuestionError, match="judge different rows; expected one kind"):
        evaluate(asked(made, beside=tmp_path / "flows"), quiet)


def test_the_page_is_of_records_and_of_nothing_re_homed(page: str) -> None:
    for text in ("novel recall", "Anomaly detection rate of the unsupervised lane (iforest) alone", "in the fit"):
        assert text in page
    assert "Of the bundle: of &lt;b&gt;1998&lt;/b&gt;" in page
    for text in ("re-homed", "shared hosts", "flows</th>", "deletion test", "None", "nan"):
        assert text not in page


def test_the_table_of_text_tells_what_is_novel(evaluation: Evaluation) -> None:
    text = table_of(evaluation.content)
    assert "novel recall" in text
    assert sum(line.endswith("  novel") for line in text.splitlines()) == len(NOVEL)
    assert "recall of the hybrid by family, small / small" in text
    assert "re-homed" not in text


@pytest.mark.parametrize("option", [{"hosts": 3}, {"days": ("2017-07-03",)}])
def test_records_have_no_days_and_no_hosts(made: Path, option: dict[str, Any]) -> None:
    with pytest.raises(QuestionError, match="judges connection records"):
        evaluate(asked(made, **option), quiet)


def test_flows_are_not_for_a_bundle_of_records_nor_the_other_way_round(made: Path, tmp_path: Path) -> None:
    flows = as_csv(flow_table(), tmp_path / "flows.csv")
    with pytest.raises(DatasetError, match=r"small judges records of NSL-KDD") as error:
        evaluate(asked(made, dataset=flows), quiet)
    assert "\n" not in str(error.value)
    save_bundle(tmp_path / "flows", forests(flow_table()), {})
    with pytest.raises(DatasetError, match=r"made judges flows") as error:
        evaluate(asked(made, bundle=tmp_path / "flows"), quiet)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kept", ["normal", "neptune"])
def test_a_file_of_one_kind_tells_nothing_apart(made: Path, tmp_path: Path, kept: str) -> None:
    table = kdd_table()
    alone = as_kdd_text(table.take(table.label == kept), tmp_path / "alone.txt")
    with pytest.raises(DatasetError, match="only; expected normal ones and attacks"):
        evaluate(asked(made, dataset=alone), quiet)


def test_a_record_is_judged_alike_in_any_company() -> None:
    train: KddTable = kdd_table()
    hybrid = fit_kdd(small_recipe(), train, 7, quiet)
    records = seen_by_bundle(kdd_table(seed=5), content=True)
    order = np.random.default_rng(1).permutation(len(records))[:300]
    whole, some = scored_records(hybrid, None, records), scored_records(hybrid, None, records.take(order))
    for name, scores in whole.scores.items():
        assert (some.scores[name] == scores[order]).all()
    assert (whole.take(order).verdicts[0.01] == some.verdicts[0.01]).all()


def test_attacks_left_out_stand_in_one_table(made: Path) -> None:
    from training.evaluation.report.document import document
    from training.page.render import html_of

    told = evaluate(asked(made, "leave-one-out"), quiet)
    assert told.content["left_out"]["satan"]["rehomed"] is None
    assert told.content["importance"]["left_out"] == "neptune"
    page = html_of(document(told, "flowvigil evaluate a b"))
    assert "The hybrid of the fit without each attack" in page
    assert "Attacks left out" in page
    assert len(told.content["notes"]) == 3
    sizes = [(own["trees"], own["sample"]) for own in told.content["novel_choice"]["candidates"]]
    assert sizes == [(20, 64), (20, 32), (20, 128), (12, 128), (10, 256)]
    assert "Sizes of Isolation Forest on clusters and attacks that no fit saw" in page
    assert "20 of 64 (recipe" in page
    lines = table_of(told.content).splitlines()
    told_sizes = [line.split("  ")[0] for line in lines if " of " in line and " ± 0." in line]
    assert told_sizes == ["20 of 64", "20 of 32", "20 of 128", "12 of 128", "10 of 256"]

"""The report: figures as people read them, and every caution that the figures need."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flows.columns import INDEX
from models.attribution import Groups
from models.bundle import save_bundle
from models.fusion import Hybrid
from tests.support.evaluations import DAYS, KNOWN_COLUMN, NOVEL_COLUMN, as_csv, forests, quiet, table
from training.datasets.table import FlowTable
from training.evaluation.evaluation import Evaluation, evaluate
from training.evaluation.outcome import Model
from training.evaluation.question import Question
from training.evaluation.table import table_of
from training.recipe import Recipe

pytestmark = pytest.mark.takes(12)


@pytest.fixture(scope="module", autouse=True)
def needs_the_train_extra() -> None:
    for package in ("polars", "matplotlib", "jinja2"):
        pytest.importorskip(package)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Question:
    """A bundle that was fitted on the first day of the file that it is asked about."""
    from training.datasets.collection import read_dataset

    directory: Path = tmp_path_factory.mktemp("report")
    flows = as_csv(table(), directory / "flows.csv")
    about: dict[str, Any] = {
        "dataset": {"sha256": read_dataset(flows, quiet).sha256},
        "days": {"fit": [DAYS[0]], "calibrated": DAYS[1], "its_attacks_are_fitted": True},
        "warnings": ["<b>one office</b>"],
    }
    save_bundle(directory / "bundle", forests(table()), about)
    return Question(directory / "bundle", flows, "time", 4, 1)


def explained(
    hybrid: Hybrid, values: NDArray[np.float64], lanes: NDArray[np.bool_], groups: Groups
) -> NDArray[np.int64]:
    """Both columns that the model looks at, and one that it does not."""
    del hybrid, lanes, groups
    return np.tile([KNOWN_COLUMN, NOVEL_COLUMN, INDEX["active_std"]], (len(values), 1))


@pytest.fixture(scope="module")
def evaluation(asked: Question) -> Evaluation:
    return evaluate(asked, quiet, explained)


def page_of(evaluation: Evaluation) -> str:
    from training.evaluation.report.document import document
    from training.page.render import html_of

    return html_of(document(evaluation, "flowvigil evaluate a b"))


def test_days_that_the_bundle_was_fitted_on_are_told(evaluation: Evaluation) -> None:
    fitted, attacks, thresholds = evaluation.content["notes"]
    assert fitted.endswith(
        f"lie on days that the bundle was fitted on ({DAYS[0]}): what it finds there it may only remember"
    )
    assert attacks.startswith(f"the attacks of {DAYS[1]} were fitted on as well")
    assert f"are of {DAYS[1]}, whose normal traffic set the thresholds" in thresholds
    for text in (page_of(evaluation), table_of(evaluation.content)):
        assert all(note in text for note in (fitted, attacks, thresholds))


def test_unfitted_days_need_no_such_note(asked: Question) -> None:
    content = evaluate(Question(asked.bundle, asked.dataset, "time", 4, 1, (DAYS[2],)), quiet, explained).content
    assert content["notes"] == []
    assert list(content["dataset"]["days"]) == [DAYS[2]]
    assert content["drift"]["against"] == "normal flows of the training days"


def test_texts_of_the_bundle_are_shown_and_never_obeyed(evaluation: Evaluation) -> None:
    page = page_of(evaluation)
    assert "Of the bundle: &lt;b&gt;one office&lt;/b&gt;" in page
    assert "<b>" not in page


def test_the_deletion_test_is_told(evaluation: Evaluation) -> None:
    told = evaluation.content["deletion"]
    assert list(told["rates"]) == ["0.01", "0.05"]
    assert told["rates"]["0.05"]["as_is"]["alerts"] > 0
    assert told["rates"]["0.05"]["as_is"]["share"] > 0.8
    assert told["flow_by_flow"]["flows"] > 50
    page = page_of(evaluation)
    assert "67 columns may be named and make 18 reasons" in page
    assert "Alerts that clear when three reasons, or others, are restored" in page


def test_the_page_is_the_same_for_the_same_evaluation(evaluation: Evaluation) -> None:
    assert page_of(evaluation) == page_of(evaluation)


def test_a_share_reads_as_one_or_nothing_only_where_it_is() -> None:
    from training.evaluation.report.tables import number, percent

    assert [number(value) for value in (0.0, 0.0001, 0.5, 0.9999, 1.0, None)] == [
        "0.000", "< 0.001", "0.500", "> 0.999", "1.000", "–"
    ]  # fmt: skip
    assert [percent(value) for value in (0.0007, 0.0296, 0.155)] == ["0.07 %", "2.96 %", "15.5 %"]


def test_families_left_out_have_a_section_each(asked: Question, monkeypatch: pytest.MonkeyPatch) -> None:
    def fitted(recipe: Recipe, train: FlowTable, held_back: FlowTable, *_: Any, **__: Any) -> Model:
        del recipe, train, held_back
        return forests(table()), None

    monkeypatch.setattr("training.evaluation.flows.refitted", fitted)
    monkeypatch.setattr("training.evaluation.flows.stored_recipe", lambda _: None)
    question = Question(asked.bundle, asked.dataset, "leave-one-out", 4, 1)
    told = evaluate(question, quiet, explained)
    assert list(told.content["left_out"]) == ["DoS", "PortScan"]
    assert told.content["importance"]["left_out"] == "PortScan"
    assert told.content["n"] == len(told.outcome.whole.table) < len(told.outcome.whole.as_is)
    page = page_of(told)
    for family in ("DoS", "PortScan"):
        assert f"{family}: " in page
    assert "flows judged by a fit that had none of its flows." in page

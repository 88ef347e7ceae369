import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from tests.training.labelled_tables import DAY_NS, FIRST_NS, category, mixed, table
from training.explore.choice import separating
from training.explore.document import document_of
from training.explore.exploration import Exploration, explore
from training.explore.findings import findings
from training.explore.page import page_of
from training.explore.scale import signed_log, ticks
from training.explore.table import ExploredColumn, Hypothesis, LabelledTable
from training.page.render import html_of

HOSTILE = "<img src=x onerror=alert(1)>\x1b]0;\u202e$"
SCANS = Hypothesis("Scans are shorter.", "Scan", "duration", "less")
FLOODS = Hypothesis("Floods are shorter.", "Flood", "duration", "less")


def quiet(_: str) -> None:
    pass


def explored(made: LabelledTable) -> Exploration:
    return explore(made, quiet)


def page_with(found: Exploration) -> str:
    return html_of(page_of(found, "flowvigil explore made.csv -o x.html", quiet))


def html(made: LabelledTable) -> str:
    return page_with(explored(made))


def test_the_same_table_gives_the_same_page_byte_for_byte() -> None:
    assert html(mixed(hypotheses=(SCANS,))) == html(mixed(hypotheses=(SCANS,)))


def test_a_table_whose_columns_never_vary_has_a_page() -> None:
    page = html(table(["BENIGN", "Scan"], {"size": [1, 1]}, categories={"flag": category(["S0", "SF"])}))
    assert "Families against normal traffic" in page


def test_the_findings_are_those_of_the_table() -> None:
    made = mixed(hypotheses=(SCANS, FLOODS))
    text = " ".join(findings(explored(made)))
    normal = int((made.family.codes == made.family.names.index("BENIGN")).sum())
    assert f"made.csv holds 300 flows from 2017-07-03 00:00 to 2017-07-03 04:59 UTC in 2 days. {normal} " in text
    assert "No row repeats another." in text
    assert "Scan by duration (median" in text
    assert "1 of 2 testable hypotheses hold; not supported: Floods are shorter." in text


def test_the_page_has_its_findings_counts_and_the_line_that_makes_it_again() -> None:
    made = mixed(hypotheses=(SCANS,), repairs={"rows without a length, left out": 12})
    found = explored(made)
    page = page_with(found)
    assert findings(found)[0] in page
    for text in (
        "supported: a large effect",
        "rows without a length, left out",
        "flowvigil explore made.csv -o x.html",
    ):
        assert text in page


def test_names_of_the_dataset_stay_text_on_the_page() -> None:
    made = table(
        [HOSTILE] * 40 + ["BENIGN"] * 40,
        {HOSTILE: [float(i % 17) for i in range(80)], "y": [float(i) for i in range(80)]},
        parts=[HOSTILE, "other"] * 40,
        name=HOSTILE,
        files=(HOSTILE,),
        part_is=HOSTILE,
        categories={HOSTILE: category([HOSTILE, "b"] * 40)},
        repairs={HOSTILE: 1},
        unfit=(HOSTILE + "2",),
        pairs=((HOSTILE, "y"),),
        hypotheses=(Hypothesis(HOSTILE, HOSTILE, HOSTILE, "less"),),
        techniques={HOSTILE: HOSTILE},
    )
    page = html(made)
    assert "<img" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;\\x1b]0;\\u202e$" in page
    assert json.loads(json.dumps(document_of(explored(made)), allow_nan=False))["dataset"] == HOSTILE


def test_a_name_that_is_no_unicode_can_be_shown() -> None:
    html(mixed(name="caf\udce9.csv", categories={"x\udce9": category(["\udce9"] * 300)})).encode()


@pytest.mark.parametrize(
    ("families", "sentence"),
    [
        (["BENIGN"] * 30, "All 30 labelled ones are normal, so there is no class to compare them with."),
        ([""] * 30, "Nobody has labelled them, so nothing is compared by class."),
        (["Scan"] * 20 + ["Flood"] * 10, "0 (0 %) are normal and 30 (100 %) attacks of 2 families"),
    ],
)
def test_a_table_without_two_classes_has_all_but_the_tests_and_says_why(families: list[str], sentence: str) -> None:
    made = table(families, {"x": range(30), "y": [i % 7 for i in range(30)]}, hypotheses=(SCANS,))
    found = explored(made)
    page = page_with(found)
    assert sentence in page
    assert "there is nothing to test columns against" in page
    assert "Distribution of x" in page
    assert document_of(found)["tests"] == []


def test_partly_labelled_rows_are_counted_apart() -> None:
    made = table(["BENIGN", "Scan", ""] * 10, {"x": range(30), "y": [i % 7 for i in range(30)]})
    assert document_of(explored(made))["families"] == {"": 10, "BENIGN": 10, "Scan": 10}
    assert "unlabelled" in html(made)


@pytest.mark.parametrize(
    "made",
    [
        table(["BENIGN"], {"x": [1.0]}),
        table(["BENIGN", "Scan"], {"x": [1.0, 1.0]}),
        table(["BENIGN", "Scan"] * 3, {"x": [0.0] * 6, "y": [-5e9, 1.0, 3e12, -1.0, 0.0, 2.0]}),
        table(["BENIGN", "Scan"] * 3, {"x": range(6)}, time_ns=None),
        replace(table(["BENIGN", "Scan"] * 3, {"x": range(6)}), columns=(ExploredColumn("x", "", "category"),)),
        table(["BENIGN", "Scan"] * 3, {"x": range(6)}, unfit=("x",)),
    ],
    ids=["one row", "one value", "huge and negative", "no times", "no amounts", "nothing fit"],
)
def test_a_poor_table_has_a_page_too(made: LabelledTable) -> None:
    assert html(made).rstrip().endswith("</html>")


def test_many_days_are_a_bar_each_and_few_a_chart_each() -> None:
    for days, charts in ((3, 3), (40, 1)):
        made = table(["BENIGN"] * days, {"x": range(days)}, time_ns=FIRST_NS + np.arange(days) * DAY_NS)
        assert len(re.findall(r'<title id="days?-', html(made))) == charts


def test_large_families_are_sampled_and_the_page_says_so() -> None:
    rows = 20_100
    made = table(["BENIGN"] * rows + ["Scan"] * 50, {"x": np.arange(rows + 50.0) % 999, "y": np.arange(rows + 50.0)})
    found = explored(made)
    assert "use 20,000 rows, drawn with seed 20170703, of normal, and all rows of other families" in page_with(found)
    tests = document_of(found)["tests"]
    assert {(test["all_rows"]["rows"], test["all_rows"]["normal_rows"]) for test in tests} == {(50, 20_000)}
    assert document_of(found)["families"]["BENIGN"] == rows


def test_the_document_has_all_tests_and_all_verdicts() -> None:
    document: dict[str, Any] = document_of(explored(mixed(hypotheses=(SCANS, FLOODS))))
    assert len(document["tests"]) == 2 * (3 + 1)
    assert [claim["all_rows"]["verdict"] for claim in document["hypotheses"]] == ["supported", "not supported"]
    assert document["days"] == {"1": 150, "2": 150}


def test_columns_that_are_alike_are_drawn_once() -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate((rng.normal(0, 1, 100), rng.normal(5, 1, 100)))
    made = table(
        ["BENIGN"] * 100 + ["Scan"] * 100,
        {"x": x, "x twice": 2 * x + 1e-9 * rng.normal(size=200), "n": rng.normal(size=200)},
    )
    assert len({"x", "x twice"} & set(separating(explored(made)))) == 1
    assert "n" in separating(explored(made))


@pytest.mark.parametrize("limits", [(0.0, 8.2), (-1.0, 5.0), (0.0, 0.4), (-9.0, -3.0), (0.0, 20.0)])
def test_ticks_lie_within_the_axis_and_apart(limits: tuple[float, float]) -> None:
    places, labels = ticks(*limits, "µs")
    assert len(places) == len(labels)
    assert all(limits[0] <= place <= limits[1] for place in places)
    assert places == sorted(set(places))


def test_the_scale_keeps_order_sign_and_zero() -> None:
    values = np.array([-1e9, -1.0, 0.0, 1e-3, 1.0, 1e9])
    scaled = signed_log(values)
    assert (np.diff(scaled) > 0).all()
    assert (np.sign(scaled) == np.sign(values)).all()

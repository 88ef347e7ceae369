from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("polars")
pytest.importorskip("scipy")
pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from scipy.stats import false_discovery_control, mannwhitneyu

from flows.kdd.columns import KDD_COLUMNS
from tests.training.kdd_lines import NAMES, records, written
from tests.training.labelled_tables import category, table
from training.datasets.kdd import read_kdd
from training.datasets.kdd_overlap import overlap
from training.errors import DatasetError
from training.explore.dataset import read_labelled
from training.explore.document import document_of
from training.explore.exploration import Exploration, explore
from training.explore.findings import findings
from training.explore.hypotheses import NOT_SUPPORTED, SUPPORTED, verdicts
from training.explore.kdd import FLOODS, GUESSING, HYPOTHESES, PROBES
from training.explore.page import page_of
from training.explore.repeats import repeats
from training.explore.table import Hypothesis, LabelledTable
from training.labels import KDD_FAMILIES
from training.page.render import html_of

QUIET = {"serror_rate": "0.00", "num_failed_logins": "0", "dst_host_diff_srv_rate": "0.00"}


def quiet(_: str) -> None:
    pass


def lines(times: int = 40) -> list[str]:
    """Normal records, floods with SYN errors, guesses with failed logins, and other attacks of their families."""
    return [
        *records(["normal"] * 2 * times, **QUIET),
        *records(["neptune"] * times, **QUIET | {"serror_rate": "1.00", "src_bytes": "1"}),
        *records(["guess_passwd"] * times, **QUIET | {"num_failed_logins": "1", "src_bytes": "2"}),
        *records(["warezclient"] * 9 * times, **QUIET | {"src_bytes": "3"}),
        *records(["satan"] * times, **QUIET | {"src_bytes": "4"}),
    ]


def explored(path: Path) -> Exploration:
    return explore(read_labelled(path, quiet), quiet)


def page(found: Exploration) -> str:
    return html_of(page_of(found, "flowvigil explore kdd.txt -o x.html", quiet))


def verdict_of(found: Exploration, subject: str, column: str) -> str | None:
    claims = (v for v in found.verdicts if (v.hypothesis.subject, v.hypothesis.column) == (subject, column))
    judged = next(claims).all_rows
    return judged and judged.verdict


def test_a_claim_about_an_attack_is_tested_on_its_rows_alone() -> None:
    labels = category(["guess"] * 10 + ["other"] * 990 + ["normal"] * 1000)
    values = [5.0] * 10 + [0.0] * 1990
    made = table(["R2L"] * 1000 + ["BENIGN"] * 1000, {"failed": values, "n": range(2000)}, label=labels)
    claims = (
        Hypothesis("The family fails.", "R2L", "failed", "greater"),
        Hypothesis("Guesses fail.", "R2L", "failed", "greater", label="guess"),
    )
    made = replace(made, hypotheses=claims)
    family, guess = verdicts(made, repeats(made).unique)
    assert family.all_rows is not None
    assert guess.all_rows is not None
    assert (family.all_rows.verdict, guess.all_rows.verdict) == (NOT_SUPPORTED, SUPPORTED)
    assert (family.all_rows.outcome.rows, guess.all_rows.outcome.rows) == (1000, 10)
    plain = [
        mannwhitneyu(values[:rows], values[1000:], alternative="greater", method="asymptotic").pvalue
        for rows in (1000, 10)
    ]
    corrected = [family.all_rows.outcome.p, guess.all_rows.outcome.p]
    assert corrected == pytest.approx(false_discovery_control(plain).tolist())


@pytest.mark.parametrize("label", ["absent", "normal"])
def test_a_claim_about_an_attack_that_is_not_there_is_not_tested(label: str) -> None:
    made = table(["R2L", "BENIGN"] * 5, {"x": range(10)}, label=category(["guess", "normal"] * 5))
    made = replace(made, hypotheses=(Hypothesis("s", "R2L", "x", "greater", label=label),))
    assert verdicts(made, repeats(made).unique)[0].all_rows is None
    assert f"not tested: no {label} here" in page(explore(made, quiet))


def test_a_claim_about_many_rows_of_an_attack_takes_a_sample_of_them() -> None:
    rows = 20_050
    made = table(["DoS"] * rows + ["BENIGN"] * 9, {"x": np.arange(rows + 9.0)}, label=category(["syn"] * (rows + 9)))
    made = replace(made, hypotheses=(Hypothesis("s", "DoS", "x", "less", label="syn"),))
    judged = verdicts(made, repeats(made).unique)[0].all_rows
    assert judged is not None
    assert judged.outcome.rows == 20_000


def test_every_claim_names_columns_attacks_and_one_of_three_ideas() -> None:
    assert {claim.topic for claim in HYPOTHESES} == {FLOODS, PROBES, GUESSING}
    for claim in HYPOTHESES:
        assert claim.column in NAMES
        assert not claim.label or KDD_FAMILIES[claim.label] == claim.family
    assert len(set(HYPOTHESES)) == len(HYPOTHESES)


def test_the_three_ideas_are_told_on_the_page_in_its_findings_and_in_the_document(tmp_path: Path) -> None:
    found = explored(written(tmp_path / "kdd.txt", lines()))
    assert verdict_of(found, "neptune", "serror_rate") == SUPPORTED
    assert verdict_of(found, "guess_passwd", "num_failed_logins") == SUPPORTED
    assert verdict_of(found, "R2L", "num_failed_logins") == NOT_SUPPORTED
    assert verdict_of(found, "ipsweep", "srv_diff_host_rate") is None
    text, shown = " ".join(findings(found)), page(found)
    assert text in shown.replace("&#39;", "'")
    assert "most clearly guess_passwd by num_failed_logins (δ = +1.00)" in text
    assert "not supported: Attacks from remote to local fail more logins" in text
    for topic in (FLOODS, PROBES, GUESSING):
        assert f"{topic}: " in text
    for title in ("Box plots of serror_rate", "Connections by label", "src_bytes against dst_bytes", "flag by family"):
        assert title in shown
    claims = document_of(found)["hypotheses"]
    assert {(claim["label"], claim["topic"]) for claim in claims} >= {("neptune", FLOODS), ("guess_passwd", GUESSING)}


def test_an_attack_has_its_own_technique_beside_its_familys_other_ones(tmp_path: Path) -> None:
    labels = document_of(explored(written(tmp_path / "kdd.txt", lines(5))))["labels"]
    techniques = {entry["label"]: entry["technique"] for entry in labels}
    assert techniques == {
        "normal": None, "neptune": "T1499.001", "guess_passwd": "T1110.001", "warezclient": "T1048.003",
        "satan": "T1595.002",
    }  # fmt: skip


def test_the_same_file_gives_the_same_page(tmp_path: Path) -> None:
    path = written(tmp_path / "kdd.txt", lines(5))
    assert page(explored(path)) == page(explored(path))


def test_symbols_stand_as_text_and_unknown_ones_as_one(tmp_path: Path) -> None:
    mixed = records(["normal"], service="quic", protocol_type="udp") + records(["normal"], service="http")
    made = read_labelled(written(tmp_path / "kdd.txt", mixed), quiet)
    service = made.categories["service"]
    assert [service.names[code] for code in service.codes] == ["unknown", "http"]
    assert [column.name for column in made.columns] == [column.name for column in KDD_COLUMNS]
    assert made.repairs == {"cells of an unknown service": 1}


def test_files_of_a_directory_are_parts_and_what_they_share_is_counted_as_the_reader_does(tmp_path: Path) -> None:
    train = records(["normal", "neptune", "satan", "smurf"] * 3)
    test = [*train[:3], train[0], train[1].replace("neptune", "smurf"), *records(["normal"], src_bytes="999999")]
    written(tmp_path / "train.txt", train)
    written(tmp_path / "test.txt", test)
    made = read_labelled(tmp_path, quiet)
    assert (made.part_is, made.files) == ("file", ("test.txt", "train.txt"))
    (common,) = repeats(made).of_parts
    found = overlap(*(read_kdd(tmp_path / name, quiet) for name in made.files))
    assert (common.different, common.rows) == (found.distinct, found.rows) == (3, (5, 3))
    assert "Files that have rows in common" in page(explore(made, quiet))


def test_files_one_after_the_other_are_as_one_file(tmp_path: Path) -> None:
    rows = lines(3)
    one = read_labelled(written(tmp_path / "kdd.txt", rows), quiet)
    (tmp_path / "d").mkdir()
    written(tmp_path / "d" / "a.txt", rows[:20])
    written(tmp_path / "d" / "b.txt", rows[20:])
    two = read_labelled(tmp_path / "d", quiet)

    def named(made: LabelledTable, name: str) -> list[str]:
        coded = getattr(made, name)
        return [coded.names[code] for code in coded.codes]

    assert np.array_equal(one.values, two.values)
    assert all(named(one, name) == named(two, name) for name in ("label", "family"))
    assert named(two, "part") == ["a.txt"] * 20 + ["b.txt"] * (len(rows) - 20)


def test_a_damaged_part_of_a_pattern_is_named_and_one_without_rows_is_skipped(tmp_path: Path) -> None:
    import polars as pl

    written(tmp_path / "kdd.txt", lines(3))
    whole = pl.read_csv(tmp_path / "kdd.txt", has_header=False, new_columns=[*NAMES, "class", "difficulty"])
    (tmp_path / "parts").mkdir()
    for name, rows in (("a", whole[:20]), ("b", whole[20:]), ("c", whole[:0])):
        rows.write_parquet(tmp_path / "parts" / f"{name}.parquet")
    told: list[str] = []
    assert len(read_labelled(tmp_path / "parts" / "*.parquet", told.append)) == len(whole)
    whole[:1].write_csv(tmp_path / "parts" / "d.csv", include_header=False)  # one record, no header
    assert len(read_labelled(tmp_path / "parts", quiet)) == len(whole) + 1
    (tmp_path / "parts" / "d.csv").unlink()
    assert f"skipped {tmp_path / 'parts' / 'c.parquet'}: has no rows" in told
    (tmp_path / "parts" / "b.parquet").write_bytes((tmp_path / "parts" / "b.parquet").read_bytes()[:-9])
    with pytest.raises(DatasetError, match=r"b\.parquet.*is a broken Parquet file"):
        read_labelled(tmp_path / "parts" / "*.parquet", quiet)


def test_what_is_neither_flows_nor_kdd_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "people.csv", ["name,age", "Ada,36"])
    with pytest.raises(DatasetError, match=r"people\.csv:1: is neither a table of flows nor one of KDD records"):
        read_labelled(path, quiet)


def test_nsl_kdd_bears_out_its_known_hypotheses(shared_data: Path) -> None:
    made = read_labelled(shared_data / "nsl-kdd" / "KDDTrain+.txt.gz", quiet)
    found = {v.hypothesis: v for v in verdicts(made, repeats(made).unique)}
    told = {
        (claim.subject, claim.column): round(v.all_rows.outcome.difference.effect, 2)
        for claim, v in found.items()
        if v.all_rows is not None
    }
    assert told["neptune", "serror_rate"] > 0.8
    assert told["guess_passwd", "num_failed_logins"] > 0.9
    assert told["R2L", "num_failed_logins"] < 0.147

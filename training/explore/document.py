"""The exploration as one JSON document. Names of the dataset stand in it as they are; JSON escapes them."""

from dataclasses import asdict
from typing import Any

from training.explore.comparison import Comparison, TestResult
from training.explore.exploration import Exploration
from training.explore.findings import findings
from training.explore.hypotheses import UNTESTED, Ruling, Verdict
from training.explore.sample import ROWS_FOR_CORRELATION, ROWS_PER_FAMILY, SEED
from training.label_map import recorded

SCHEMA = "exploration/1"


def document_of(found: Exploration) -> dict[str, Any]:
    """Everything on the page and all tests, as JSON's types. p is the corrected one throughout."""
    table, counted = found.table, found.census
    return {
        "schema": SCHEMA,
        "dataset": table.name,
        "files": list(table.files),
        "sha256": table.sha256,
        "findings": list(findings(found)),
        "rows": len(table),
        "first_ns": counted.first_ns,
        "last_ns": counted.last_ns,
        "families": counted.families,
        "labels": [
            {**asdict(entry), "technique": table.technique(entry.family, entry.label)} for entry in counted.labels
        ],
        table.part_is + "s": counted.parts,
        "repeats": {
            "duplicates": found.repeats.duplicates,
            "by_family": found.repeats.by_family,
            "contradictory": found.repeats.contradictory,
            "of_families": [asdict(pair) for pair in found.repeats.of_families],
            "leaking": found.repeats.leaking,
            "of_parts": None if found.repeats.of_parts is None else [asdict(pair) for pair in found.repeats.of_parts],
        },
        "repairs": table.repairs,
        **recorded(table.label_map),
        "columns": {
            "all": [column.name for column in table.columns],
            "unfit": list(table.unfit),
            "constant": [asdict(column) for column in found.columns.constant],
            "nearly_constant": [asdict(column) for column in found.columns.nearly],
            "equal": [list(group) for group in found.columns.equal],
            "tested": [table.columns[i].name for i in found.telling],
        },
        "correlations": [asdict(pair) for pair in found.correlations.pairs],
        "hypotheses": [_verdict(verdict) for verdict in found.verdicts],
        "tests": [_comparison(comparison) for comparison in found.comparisons],
        "sample": {"per_family": ROWS_PER_FAMILY, "correlation": ROWS_FOR_CORRELATION, "seed": SEED},
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "family": comparison.family,
        "column": comparison.column,
        "measure": comparison.measure,
        "typical": comparison.typical,
        "normal": comparison.normal,
        "all_rows": _outcome(comparison.all_rows),
        "different_rows": _outcome(comparison.different_rows),
    }


def _outcome(outcome: TestResult) -> dict[str, Any]:
    return {**asdict(outcome.difference), "p": outcome.p, "rows": outcome.rows, "normal_rows": outcome.normal_rows}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        **asdict(verdict.hypothesis),
        "all_rows": _tested(verdict.all_rows),
        "different_rows": _tested(verdict.different_rows),
    }


def _tested(tested: Ruling | None) -> dict[str, Any]:
    if tested is None:
        return {"verdict": UNTESTED}
    return {"verdict": tested.verdict, "reason": tested.reason, **_outcome(tested.outcome)}

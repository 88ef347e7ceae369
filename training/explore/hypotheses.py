"""Named hypotheses: claims made before looking, each with a verdict.

One-sided Mann-Whitney U tests, corrected together.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.arrays import Mask
from training.explore.comparison import TestResult, rows_of
from training.explore.effects import NEGLIGIBLE, amounts_differ, corrected
from training.explore.sample import drawn, per_family
from training.explore.scale import signed_log
from training.explore.table import Codes, Hypothesis, LabelledTable

ALPHA = 0.01
# Fewer rows than this are too few to generalise from, whatever p says.
FEW = 30

SUPPORTED, NOT_SUPPORTED, UNTESTED = "supported", "not supported", "not tested"


@dataclass(frozen=True, slots=True)
class Ruling:
    """The outcome of a test and what follows from it for the claim."""

    outcome: TestResult
    verdict: str  # SUPPORTED or NOT_SUPPORTED
    reason: str  # in words


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a hypothesis on all rows and on different rows; None where the table cannot tell."""

    hypothesis: Hypothesis
    all_rows: Ruling | None
    different_rows: Ruling | None


def verdicts(table: LabelledTable, unique: Mask) -> tuple[Verdict, ...]:
    """Test a table's hypotheses, in their order."""
    testable = [hypothesis for hypothesis in table.hypotheses if _can_tell(table, hypothesis)]
    everywhere = _tested(table, testable, None)
    different = _tested(table, testable, unique)
    return tuple(Verdict(h, everywhere.get(h), different.get(h)) for h in table.hypotheses)


def _can_tell(table: LabelledTable, hypothesis: Hypothesis) -> bool:
    names = {column.name for column in table.columns} - set(table.unfit)
    return table.has_normal() and hypothesis.column in names and stands_in(table, hypothesis)


def stands_in(table: LabelledTable, claim: Hypothesis) -> bool:
    """Whether the table has any row of those that a claim is about."""
    if claim.family not in table.family.names or claim.label not in (*table.label.names, ""):
        return False
    return len(subject_rows(table, claim, None)) > 0


def subject_rows(table: LabelledTable, claim: Hypothesis, among: Mask | None) -> Codes:
    """Rows that a claim is about, in ascending order, a sample where they are many, drawn among those marked."""
    mine = table.family.codes == table.family.names.index(claim.family)
    if claim.label:
        mine &= table.label.codes == table.label.names.index(claim.label)
    return drawn(np.flatnonzero(mine if among is None else mine & among))


def _tested(table: LabelledTable, claims: list[Hypothesis], among: Mask | None) -> dict[Hypothesis, Ruling]:
    outcomes = []
    sample = per_family(table, among)
    names = [column.name for column in table.columns]
    for claim in claims:
        column = names.index(claim.column)
        mine = subject_rows(table, claim, among) if claim.label else rows_of(table, sample, claim.family)
        family, normal = (table.column(rows, column) for rows in (mine, rows_of(table, sample, table.normal)))
        if claim.spread:
            family, normal = _distances(family), _distances(normal)
        found = amounts_differ(family[:, None], normal[:, None], claim.direction)[0]
        outcomes.append(TestResult(found, found.p, len(family), len(normal)))
    ps = corrected([outcome.p for outcome in outcomes])
    return {
        claim: _judged(claim, replace(outcome, p=float(p)))
        for claim, outcome, p in zip(claims, outcomes, ps, strict=True)
    }


def _distances(values: NDArray[np.float64]) -> NDArray[np.float64]:
    scaled = signed_log(values)
    result: NDArray[np.float64] = np.abs(scaled - np.median(scaled))
    return result


def _judged(claim: Hypothesis, outcome: TestResult) -> Ruling:
    effect = outcome.difference.effect if claim.direction == "greater" else -outcome.difference.effect
    if outcome.difference.size == NEGLIGIBLE:
        return Ruling(outcome, NOT_SUPPORTED, "the difference is negligible")
    if effect < 0:
        return Ruling(outcome, NOT_SUPPORTED, f"the opposite holds, by a {outcome.difference.size} effect")
    if outcome.p >= ALPHA:
        return Ruling(outcome, NOT_SUPPORTED, "chance explains the difference")
    few = f"; only {outcome.rows} rows" if outcome.rows < FEW else ""
    return Ruling(outcome, SUPPORTED, f"a {outcome.difference.size} effect{few}")

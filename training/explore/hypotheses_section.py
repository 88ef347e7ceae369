"""The page's section of hypotheses: claims, verdicts, and what the columns look like that they are about."""

from training.explore.box_charts import claim_charts
from training.explore.exploration import Exploration
from training.explore.hypotheses import ALPHA, Ruling, Verdict, stands_in
from training.page.content import Block, Charts, Heading, PageTable, Paragraph, Section
from training.page.numbers import count, effect, p_value

HEADINGS = (
    Heading("Hypothesis"), Heading("Column"), Heading("Rows", True, "attack, normal"),
    Heading("Verdict", hint="all rows"), Heading("δ", True), Heading("p", True, "corrected"),
    Heading("Verdict", hint="different rows"), Heading("δ", True), Heading("p", True, "corrected"),
)  # fmt: skip


def hypotheses_section(found: Exploration) -> tuple[Section, ...]:
    """A table for each topic with its charts; no section where nothing was claimed."""
    if not found.verdicts:
        return ()
    note = (
        "Stated before looking, tested one-sided. A hypothesis is supported when its corrected p is below "
        f"{ALPHA} and the effect at least small (|δ| ≥ 0.147). “Spread” compares distances from the group’s own median "
        "on the signed-log scale instead of values. Different rows: of rows that repeat each other one is kept."
    )
    if any(verdict.hypothesis.topic for verdict in found.verdicts):
        note += " Boxes span the quartiles, whiskers 5 to 95 %; the bar is the median, the cross the mean."
    blocks: list[Block] = [Paragraph(note)]
    for topic in dict.fromkeys(verdict.hypothesis.topic for verdict in found.verdicts):
        verdicts = [verdict for verdict in found.verdicts if verdict.hypothesis.topic == topic]
        caption = topic or "Hypotheses and verdicts"
        blocks.append(PageTable(caption, HEADINGS, tuple(_verdict_row(found, verdict) for verdict in verdicts)))
        if topic:
            blocks.append(Charts(claim_charts(found, verdicts)))
    return (Section("Hypotheses", tuple(blocks)),)


def _verdict_row(found: Exploration, verdict: Verdict) -> tuple[str, ...]:
    claim = verdict.hypothesis
    column = f"{claim.subject}: {'spread of ' if claim.spread else ''}{claim.column}"
    if verdict.all_rows is None:
        return claim.statement, column, "–", _untested(found, verdict), "–", "–", "–", "–", "–"
    outcome = verdict.all_rows.outcome
    rows = f"{count(outcome.rows)}, {count(outcome.normal_rows)}"
    return claim.statement, column, rows, *_tested_cells(verdict.all_rows), *_tested_cells(verdict.different_rows)


def _untested(found: Exploration, verdict: Verdict) -> str:
    if not found.table.has_normal():
        return "not tested: no rows are labelled normal"
    if not stands_in(found.table, verdict.hypothesis):
        return f"not tested: no {verdict.hypothesis.subject} here"
    return f"not tested: {verdict.hypothesis.column} is absent or unfit"


def _tested_cells(tested: Ruling | None) -> tuple[str, str, str]:
    if tested is None:
        return "–", "–", "–"
    return f"{tested.verdict}: {tested.reason}", effect(tested.outcome.difference.effect), p_value(tested.outcome.p)

"""The exploration as a page: sections in the order in which a reader asks."""

from training.explore.census_charts import family_chart, label_chart, time_charts
from training.explore.choice import separating, shown_name, strongest
from training.explore.column_charts import category_chart, distribution_chart
from training.explore.comparison import DELTA, Comparison
from training.explore.correlation import STRONG
from training.explore.effects import smallest_significant
from training.explore.exploration import Exploration
from training.explore.findings import findings, instant
from training.explore.hypotheses import ALPHA, FEW
from training.explore.hypotheses_section import hypotheses_section
from training.explore.relation_charts import correlation_chart, effect_chart, scatter_chart
from training.explore.repeats import MOST_PLACES, Common
from training.explore.sample import ROWS_FOR_CORRELATION, ROWS_PER_FAMILY, SEED
from training.page.content import Block, Bullets, Charts, Heading, Page, PageTable, Paragraph, Section
from training.page.numbers import count, counted, effect, listed, p_value, quantity, share
from training.reporting import Report

PAIRS_LISTED, PAIRS_DRAWN = 20, 4
TESTS_LISTED = 6
# Pairs that order the rows all but identically are one column twice: nothing to see in drawing them.
WORTH_DRAWING = 0.98


def page_of(found: Exploration, made_by: str, report: Report) -> Page:
    """The page. made_by: the command line that makes it again."""
    report("drawing")
    sections = (
        _classes(found),
        *hypotheses_section(found),
        *_differences(found),
        _distributions(found),
        _correlations(found),
        _columns(found),
        _rows(found),
        _method(found),
    )
    return Page(f"Exploration of {found.table.name}", (" ".join(findings(found)),), _facts(found), sections, made_by)


def _facts(found: Exploration) -> tuple[tuple[str, str], ...]:
    table, counted_rows = found.table, found.census
    facts = [(f"{table.row.capitalize()}s", count(len(table)))]
    if counted_rows.first_ns is not None and counted_rows.last_ns is not None:
        facts.append(("Time span, UTC", f"{instant(counted_rows.first_ns)} – {instant(counted_rows.last_ns)}"))
    if table.part_is != "file":
        facts.append((f"{table.part_is.capitalize()}s", count(len(counted_rows.parts))))
    return (
        *facts,
        ("Files", listed(table.files)),
        ("Families, labels", f"{len(counted_rows.families)}, {len(table.label.names)}"),
        ("Columns", f"{len(table.columns)}, {len(found.telling)} of them fit and telling"),
        ("Duplicate rows", f"{count(found.repeats.duplicates)} ({share(found.repeats.duplicates, len(table))})"),
        (f"In several {table.part_is}s", count(found.repeats.leaking)),
        ("SHA-256", table.sha256),
        *(() if table.label_map is None else (("Map of labels", table.label_map.summary),)),
    )


def _classes(found: Exploration) -> Section:
    table, counted_rows = found.table, found.census
    rows = tuple(
        (
            entry.label or "unlabelled",
            shown_name(table, entry.family),
            table.technique(entry.family, entry.label) or "–",
            count(entry.rows) + (" †" if entry.rows < FEW else ""),
            share(entry.rows, len(table)),
            listed(entry.parts, 4),
        )
        for entry in counted_rows.labels
    )
    headings = (
        Heading("Label"), Heading("Family"), Heading("ATT&CK"), Heading("Rows", True), Heading("Share", True),
        Heading(f"{table.part_is.capitalize()}s"),
    )  # fmt: skip
    charts = [family_chart(table, counted_rows)]
    if len(counted_rows.labels) > len(counted_rows.families):
        charts.append(label_chart(table, counted_rows))
    blocks: list[Block] = [Charts(tuple(charts)), PageTable("Labels", headings, rows)]
    if any(entry.rows < FEW for entry in counted_rows.labels):
        blocks.append(Paragraph(f"† fewer than {FEW} rows: too few to judge by.", "note"))
    if counted_rows.hourly:
        blocks += [
            Paragraph("Over time, in UTC, all charts to the same scale:"),
            Charts(time_charts(table, counted_rows)),
        ]
    return Section("Classes, and when they occur" if counted_rows.hourly else "Classes", tuple(blocks))


def _differences(found: Exploration) -> tuple[Section, ...]:
    if not found.comparisons:
        why = "All rows are of one class, or none is labelled normal: there is nothing to test columns against."
        return (Section("Families against normal traffic", (Paragraph(why, "note"),)),)
    names = tuple(name for name in separating(found) if any(c.column == name for c in found.comparisons))
    tables = tuple(_family_table(found, family) for family in found.table.attacks())
    drawn = (Charts((effect_chart(found, names),)),) if names else ()
    blocks: tuple[Block, ...] = (Paragraph(_meaning(found), "note"), *drawn, *tables)
    return (Section("Families against normal traffic", blocks),)


def _meaning(found: Exploration) -> str:
    """What p-values mean with so many rows."""
    largest = max(found.comparisons, key=lambda comparison: comparison.all_rows.rows).all_rows
    least = smallest_significant(largest.rows, largest.normal_rows)
    significant = [c for c in found.comparisons if c.all_rows.p < ALPHA]
    weak = sum(c.all_rows.difference.size == "negligible" for c in significant)
    return (
        f"A p-value says how surely two groups differ at all, not how much. With {count(largest.rows)} rows against "
        f"{count(largest.normal_rows)} a shift of δ = {least:.3f}, which nobody would notice, already gives p < "
        f"{ALPHA}: of {counted(len(significant), 'significant test')} here {count(weak)} have a negligible effect. "
        f"{found.table.row.capitalize()}s of one host or one attack also resemble each other, which p-values take for "
        "independent evidence: they are too small. Read the effect size first, and whether it stays when repeated rows "
        "are left out."
    )


def _family_table(found: Exploration, family: str) -> PageTable:
    mine = strongest(found, family)
    headings = (
        Heading("Column"), Heading("Typical", True, family), Heading("Typical", True, "normal"),
        Heading("Effect", True), Heading("Size"), Heading("p", True, "corrected"),
        Heading("Effect", True, "different rows"), Heading("p", True, "different rows"),
    )  # fmt: skip
    rows = tuple(_comparison_row(found, comparison) for comparison in mine[:TESTS_LISTED])
    tested = mine[0].all_rows
    caption = (
        f"{family}: the {len(rows)} strongest of {len(mine)} tests, {counted(tested.rows, 'row')} "
        f"({count(mine[0].different_rows.rows)} different) against {count(tested.normal_rows)} normal"
    )
    return PageTable(caption, headings, rows)


def _comparison_row(found: Exploration, comparison: Comparison) -> tuple[str, ...]:
    first, other = comparison.all_rows, comparison.different_rows
    return (
        comparison.column,
        _value(found, comparison.column, comparison.typical),
        _value(found, comparison.column, comparison.normal),
        _effect(comparison, first.difference.effect),
        first.difference.size,
        p_value(first.p) + (" ‡" if first.difference.doubtful else ""),
        _effect(comparison, other.difference.effect),
        p_value(other.p) + (" ‡" if other.difference.doubtful else ""),
    )


def _effect(comparison: Comparison, size: float) -> str:
    return f"δ {effect(size)}" if comparison.measure == DELTA else f"V {size:.2f}"


def _value(found: Exploration, column: str, value: float | str) -> str:
    return value if isinstance(value, str) else quantity(value, found.table.unit(column))


def _distributions(found: Exploration) -> Section:
    names = separating(found)
    why = (
        "The columns that separate most, in turn each family’s strongest that is not like one already shown"
        if found.comparisons
        else "Columns that are not like each other, in table order"
    )
    note = (
        f"{why}. Signed-log scales: log₁₀(1 + |x|) with the sign of x. Each histogram is scaled to its own peak; "
        "the box below it spans the quartiles, the line 5 to 95 %, the diamond is the median."
    )
    charts = tuple(distribution_chart(found, name) for name in names)
    categories = tuple(category_chart(found, name) for name in found.table.categories)
    return Section("Distributions", (Paragraph(note), Charts(charts), Charts(categories)), True)


def _correlations(found: Exploration) -> Section:
    title = "Correlations"
    pairs = found.correlations.pairs
    if not pairs:
        return Section(title, (Paragraph("Fewer than two columns vary: nothing to correlate.", "note"),))
    note = (
        f"Spearman’s rank correlation of {len(found.correlations.names)} columns over all families, ordered by "
        f"average linkage of 1 − |ρ|. {counted(found.correlations.strong(), 'pair')} of {count(len(pairs))} reach "
        f"|ρ| ≥ {STRONG}."
    )
    rows = tuple((pair.first, pair.second, f"{pair.rho:+.4f}".replace("-", "−")) for pair in pairs[:PAIRS_LISTED])
    headings = (Heading("Column"), Heading("Column"), Heading("ρ", True))
    blocks: list[Block] = [Paragraph(note), Charts((correlation_chart(found.correlations),))]
    blocks.append(PageTable(f"The {len(rows)} strongest pairs", headings, rows))
    blocks.append(Charts(tuple(scatter_chart(found, *pair) for pair in _drawn_pairs(found))))
    return Section(title, tuple(blocks), True)


def _drawn_pairs(found: Exploration) -> list[tuple[str, str]]:
    """The table's own pairs, then the strongest of which none has a column that is already drawn."""
    names = set(found.correlations.names)
    pairs = [pair for pair in found.table.pairs if set(pair) <= names]
    drawn = {name for pair in pairs for name in pair}
    for pair in found.correlations.pairs:
        if len(pairs) >= PAIRS_DRAWN:
            break
        if abs(pair.rho) < WORTH_DRAWING and not {pair.first, pair.second} & drawn:
            pairs.append((pair.first, pair.second))
            drawn |= {pair.first, pair.second}
    return pairs


def _columns(found: Exploration) -> Section:
    report, unfit = found.columns, set(found.table.unfit)
    constant = [f"{c.name} (always {quantity(c.value)})" for c in report.constant if c.name not in unfit]
    rows = len(found.table)
    nearly = [
        f"{c.name} ({quantity(c.value)} in {share(round(c.share * rows), rows)})"
        for c in report.nearly
        if c.name not in unfit
    ]
    items = (
        f"Constant: {listed(constant, 40)}.",
        f"Nearly constant, one value in at least 99.5 % of the rows: {listed(nearly, 40)}.",
        f"Equal in every row: {'; '.join(listed(group, 40) for group in report.equal) or 'none'}.",
        f"Absent from the file, or measured otherwise by its program, and so unfit: {listed(found.table.unfit, 90)}.",
    )
    return Section("Columns that say little", (Bullets(items),))


def _rows(found: Exploration) -> Section:
    table, repeats = found.table, found.repeats
    headings = (
        Heading("Family"),
        Heading("Rows", True),
        Heading("Repeat an earlier row", True),
        Heading("Share", True),
    )
    rows = tuple(
        (
            shown_name(table, name),
            count(all_rows),
            count(repeats.by_family[name]),
            share(repeats.by_family[name], all_rows),
        )
        for name, all_rows in found.census.families.items()
    )
    part = table.part_is
    items = (
        f"{count(repeats.leaking)} rows have their like, family included, in another {part}: a split by {part} leaks."
        if repeats.leaking
        else f"No row has its like in another {part}: a split by {part} leaks none.",
        f"{count(repeats.contradictory)} rows have their like under another family: no model of these columns can tell "
        "them apart."
        if repeats.contradictory
        else "No row has its like under another family.",
    )
    blocks: list[Block] = [PageTable("Rows that repeat an earlier one of their family", headings, rows), Bullets(items)]
    blocks += _shared_rows(f"{part.capitalize()}s", repeats.of_parts) + _shared_rows("Families", repeats.of_families)
    if table.repairs:
        changes = tuple((reason, count(number)) for reason, number in table.repairs.items())
        blocks.append(
            PageTable(
                "Values repaired and rows left out in reading", (Heading("What"), Heading("Number", True)), changes
            )
        )
    else:
        blocks.append(Paragraph("Nothing was missing or had to be repaired in reading."))
    return Section("Repeated, missing and repaired", tuple(blocks))


def _shared_rows(places: str, pairs: tuple[Common, ...] | None) -> list[Block]:
    if pairs is None:
        return [Paragraph(f"{places} are too many to be looked at in pairs (over {count(MOST_PLACES)}).", "note")]
    if not pairs:
        return []
    headings = (
        Heading("One"), Heading("Other"), Heading("Different rows in both", True),
        Heading("Rows of the one", True, "that stand in the other"),
        Heading("Rows of the other", True, "that stand in the one"),
    )  # fmt: skip
    rows = tuple(
        (pair.first or "unlabelled", pair.second, count(pair.different), *map(count, pair.rows))
        for pair in pairs[:PAIRS_LISTED]
    )
    return [PageTable(f"{places} that have rows in common, labels aside", headings, rows)]


def _method(found: Exploration) -> Section:
    large = [name for name, rows in found.census.families.items() if rows > ROWS_PER_FAMILY]
    sampled = (
        f"Distributions and tests use {count(ROWS_PER_FAMILY)} rows, drawn with seed {SEED}, of "
        f"{listed([shown_name(found.table, name) for name in large])}, and all rows of other families."
        if large
        else "Distributions and tests use all rows."
    )
    if len(found.table) > ROWS_FOR_CORRELATION:
        sampled += f" Correlations use {count(ROWS_FOR_CORRELATION)} rows of any family, drawn with the same seed."
    items = (
        f"Counts are over all rows. {sampled}",
        "Two rows are alike when all that a model may see of them is; addresses, ports, times and labels do not count.",
        "Amounts: two-sided Mann-Whitney U with Cliff’s δ, negligible below 0.147, small below 0.33, medium below "
        "0.474, else large (Romano et al. 2006).",
        "Categories: chi-squared with Cramér’s V, corrected for its bias (Bergsma 2013), negligible below 0.1, small "
        "below 0.3, medium below 0.5, else large (Cohen 1988); ‡ marks tests where over a fifth of the expected counts "
        "are below 5.",
        "p-values are corrected by Benjamini and Hochberg (1995): all tests on the same rows together, the hypotheses "
        "by themselves.",
        "Columns that are unfit, constant or equal to another are not tested.",
    )
    return Section("Method", (Bullets(items),))

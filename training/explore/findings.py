"""What was found, in sentences. Every number in them is computed from the table; nothing is known beforehand."""

import numpy as np

from training.explore.choice import shown_name, strongest
from training.explore.comparison import Comparison
from training.explore.exploration import Exploration
from training.explore.hypotheses import ALPHA, FEW, SUPPORTED, Verdict
from training.page.numbers import count, counted, effect, listed, quantity, share

# From here on two columns order the rows so alike that either does for both.
SAME_ORDER = 0.999


def findings(found: Exploration) -> tuple[str, ...]:
    """The findings as sentences, in reading order; joined they are a paragraph."""
    return (*_rows(found), *_repeats(found), *_columns(found), *_differences(found), *_hypotheses(found))


def _rows(found: Exploration) -> list[str]:
    table, counted_rows = found.table, found.census
    rows = len(table)
    text = f"{table.name} holds {counted(rows, table.row)}"
    if counted_rows.first_ns is not None and counted_rows.last_ns is not None:
        text += f" from {instant(counted_rows.first_ns)} to {instant(counted_rows.last_ns)} UTC"
    sentences = [f"{text} in {counted(len(counted_rows.parts), table.part_is)}."]
    if table.left_out:
        sentences.append(f"It has {table.left_out}.")
    attacks = table.attacks()
    if not attacks and not table.has_normal():
        return [*sentences, "Nobody has labelled them, so nothing is compared by class."]
    normal = counted_rows.families.get(table.normal, 0)
    if not attacks:
        return [*sentences, f"All {count(normal)} labelled ones are normal, so there is no class to compare them with."]
    malicious = sum(counted_rows.families[family] for family in attacks)
    kinds = counted(len(attacks), "family", "families")
    sentences.append(
        f"{count(normal)} ({share(normal, rows)}) are normal and {count(malicious)} ({share(malicious, rows)}) attacks "
        f"of {kinds}; the largest is {attacks[0]} with {count(counted_rows.families[attacks[0]])}, "
        f"the smallest {attacks[-1]} with {count(counted_rows.families[attacks[-1]])}."
    )
    few = [family for family in attacks if counted_rows.families[family] < FEW]
    if few:
        sentences.append(f"Fewer than {FEW} rows is too few to judge {listed(few)} by.")
    if len(counted_rows.parts) > 1:
        sentences += _single_parts(found)
    return sentences


def _single_parts(found: Exploration) -> list[str]:
    parts: dict[str, set[str]] = {}
    for entry in found.census.labels:
        parts.setdefault(entry.family, set()).update(entry.parts)
    lonely = [family for family in found.table.attacks() if len(parts[family]) == 1]
    if not lonely:
        return []
    verb = "stands" if len(lonely) == 1 else "stand each"
    return [
        f"{listed(lonely)} {verb} in a single {found.table.part_is}: a random "
        f"split puts neighbours of one attack on both sides, and a split by {found.table.part_is} leaves one side "
        "without it."
    ]


def _repeats(found: Exploration) -> list[str]:
    table, repeats = found.table, found.repeats
    if not repeats.duplicates and not repeats.contradictory:
        return ["No row repeats another."]
    text = f"{counted(repeats.duplicates, 'row')} ({share(repeats.duplicates, len(table))}) repeat an earlier one"
    family, most = max(repeats.by_family.items(), key=lambda item: item[1])
    if most and len(repeats.by_family) > 1:
        text += f", most of all in {shown_name(table, family)} ({share(most, found.census.families[family])} of it)"
    return [
        f"{text}; {counted(repeats.leaking, 'row')} stand in more than one {table.part_is}, "
        f"{count(repeats.contradictory) if repeats.contradictory else 'none'} under more than one family."
    ]


def _columns(found: Exploration) -> list[str]:
    report, table = found.columns, found.table
    unfit = set(table.unfit)
    constant = [column for column in report.constant if column.name not in unfit]
    same = sum(abs(pair.rho) >= SAME_ORDER for pair in found.correlations.pairs)
    text = f"Of {counted(len(table.columns), 'column')} {count(len(unfit))} are absent or unfit, "
    text += f"{count(len(constant))} more constant, {count(len(report.nearly))} nearly so"
    repeating = sum(len(group) - 1 for group in report.equal)
    return [
        f"{text}, and {count(repeating)} equal to another in every row; {counted(same, 'pair')} of the rest order the "
        f"rows all but identically (|ρ| ≥ {SAME_ORDER})."
    ]


def _differences(found: Exploration) -> list[str]:
    if not found.comparisons:
        return []
    significant = sum(comparison.all_rows.p < ALPHA for comparison in found.comparisons)
    large = sum(comparison.all_rows.difference.size == "large" for comparison in found.comparisons)
    sentences = [
        f"{count(significant)} of {counted(len(found.comparisons), 'test')} against normal traffic are significant at "
        f"{100 * ALPHA:.0f} % after correction, yet only {count(large)} show a large effect."
    ]
    best = [strongest(found, family)[0] for family in found.table.attacks()]
    sentences.append("What tells each family most: " + "; ".join(_told(found, comparison) for comparison in best) + ".")
    return sentences


def _told(found: Exploration, comparison: Comparison) -> str:
    size = comparison.all_rows.difference.effect
    if isinstance(comparison.typical, str) or isinstance(comparison.normal, str):
        return f"{comparison.family} by {comparison.column} (mostly {comparison.typical}; V = {size:.2f})"
    unit = found.table.unit(comparison.column)
    medians = f"median {quantity(comparison.typical, unit)} against {quantity(comparison.normal, unit)}"
    return f"{comparison.family} by {comparison.column} ({medians}; δ = {effect(size)})"


def _hypotheses(found: Exploration) -> list[str]:
    tested = [verdict for verdict in found.verdicts if verdict.all_rows is not None]
    if not tested:
        return []
    topics = list(dict.fromkeys(verdict.hypothesis.topic for verdict in tested))
    sentences = [_topic([verdict for verdict in tested if verdict.hypothesis.topic == topic]) for topic in topics]
    changed = sum(_holds(verdict) != _holds_on_different(verdict) for verdict in tested)
    verb = "changes its verdict" if changed == 1 else "change their verdict"
    sentences.append(f"{counted(changed, 'hypothesis', 'hypotheses').capitalize()} {verb} on de-duplicated rows.")
    return sentences


def _topic(tested: list[Verdict]) -> str:
    """How many claims of one topic hold, which holds most clearly, and which do not."""
    held = [verdict for verdict in tested if _holds(verdict)]
    topic = tested[0].hypothesis.topic
    text = f"{topic}: " if topic else ""
    text += f"{count(len(held))} of {counted(len(tested), 'testable hypothesis', 'testable hypotheses')} hold"
    if topic and held:
        best = max(held, key=_strength)
        text += f", most clearly {best.hypothesis.subject} by {best.hypothesis.column} (δ = {effect(_delta(best))})"
    failed = [verdict.hypothesis.statement.rstrip(".") for verdict in tested if not _holds(verdict)]
    return f"{text}; not supported: {'; '.join(failed)}." if failed else f"{text}."


def _delta(verdict: Verdict) -> float:
    return verdict.all_rows.outcome.difference.effect if verdict.all_rows is not None else 0.0


def _strength(verdict: Verdict) -> float:
    return abs(_delta(verdict))


def _holds(verdict: Verdict) -> bool:
    return verdict.all_rows is not None and verdict.all_rows.verdict == SUPPORTED


def _holds_on_different(verdict: Verdict) -> bool:
    return verdict.different_rows is not None and verdict.different_rows.verdict == SUPPORTED


def instant(ns: int) -> str:
    """A time in UTC to the minute."""
    return str(np.datetime64(ns, "ns").astype("datetime64[m]")).replace("T", " ")

"""Everything that is found in a table, in one value."""

from dataclasses import dataclass

from training.explore.census import Census, census
from training.explore.columns import ColumnReport, column_report
from training.explore.comparison import Comparison, comparisons
from training.explore.correlation import Correlations, correlations
from training.explore.hypotheses import Verdict, verdicts
from training.explore.repeats import Repeats, repeats
from training.explore.sample import SampledColumns, of_all, per_family, sampled
from training.explore.table import Codes, LabelledTable
from training.reporting import Report


@dataclass(frozen=True, slots=True)
class Exploration:
    """All that was found in a table."""

    table: LabelledTable
    census: Census
    repeats: Repeats
    columns: ColumnReport
    correlations: Correlations
    comparisons: tuple[Comparison, ...]
    verdicts: tuple[Verdict, ...]
    sample: Codes  # the rows of at most sample.ROWS_PER_FAMILY a family that charts are drawn from
    drawn: SampledColumns  # their values
    # Columns that vary, are fit, and do not repeat another: those that are tested and correlated
    telling: tuple[int, ...]


def explore(table: LabelledTable, report: Report) -> Exploration:
    """Explore a table; report is told what is being done. The same table gives the same findings."""
    report(f"counting {len(table):,} rows")
    counted = census(table)
    repeated = repeats(table)
    sample = per_family(table)
    drawn = sampled(table, sample)
    columns = column_report(table, drawn)
    telling = tuple(i for i in columns.telling if table.columns[i].name not in table.unfit)
    report(f"correlating {len(telling)} columns")
    correlated = correlations(table, telling, of_all(table))
    compared = comparisons(table, telling, repeated.unique, report)
    judged = verdicts(table, repeated.unique)
    return Exploration(table, counted, repeated, columns, correlated, compared, judged, sample, drawn, telling)

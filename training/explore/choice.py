"""Which columns are worth drawing: each family's strongest, and none that another on the page already shows."""

from training.explore.comparison import DELTA, Comparison
from training.explore.exploration import Exploration
from training.explore.table import LabelledTable

MOST = 8
# Columns that order rows this much alike would make the same picture twice.
ALIKE = 0.9


def shown_name(table: LabelledTable, family: str) -> str:
    """A family's name as people read it."""
    return "normal" if family == table.normal else family or "unlabelled"


def strongest(found: Exploration, family: str) -> tuple[Comparison, ...]:
    """A family's comparisons, largest effects first."""
    return tuple(comparison for comparison in found.comparisons if comparison.family == family)


def separating(found: Exploration, most: int = MOST) -> tuple[str, ...]:
    """Columns that separate families from normal rows: in turn each family's next one that is not like those chosen."""
    waiting = {
        family: [comparison.column for comparison in strongest(found, family) if comparison.measure == DELTA]
        for family in found.table.attacks()
    }
    chosen: list[str] = []
    while len(chosen) < most and any(waiting.values()):
        for columns in waiting.values():
            while columns and any(_alike(found, columns[0], other) for other in chosen):
                columns.pop(0)
            if columns and len(chosen) < most:
                chosen.append(columns.pop(0))
    return tuple(chosen) or _varying(found, most)


def _varying(found: Exploration, most: int) -> tuple[str, ...]:
    """Without classes to separate: columns that are not like each other, in table order."""
    chosen: list[str] = []
    for i in found.telling:
        name = found.table.columns[i].name
        if len(chosen) < most and not any(_alike(found, name, other) for other in chosen):
            chosen.append(name)
    return tuple(chosen)


def _alike(found: Exploration, first: str, second: str) -> bool:
    names = found.correlations.names
    if first == second or first not in names or second not in names:
        return first == second
    return abs(found.correlations.between(first, second)) >= ALIKE

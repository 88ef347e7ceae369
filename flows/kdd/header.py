"""How the columns of an NSL-KDD or KDD'99 table are known: by a header, or without one by their order.

Copies of the published files spell names in several ways, and name the attack and its difficulty as they like: the
published lists of names have neither.
"""

from collections.abc import Sequence

from flows.kdd.columns import KDD_COLUMNS

LABEL, DIFFICULTY = "attack", "difficulty"
NAMES: tuple[str, ...] = tuple(column.name for column in KDD_COLUMNS)
LABELS = frozenset({LABEL, "attack_type", "attack_name", "class", "label", "labels", "outcome", "target", "type"})
DIFFICULTIES = frozenset({DIFFICULTY, "difficulty_level", "difficulty_score", "level"})
IN_ORDER = (*NAMES, LABEL, DIFFICULTY)


def plain(name: str) -> str:
    """A name as flows.kdd.columns spells it."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def column_of(name: str) -> str:
    """The column of this name: one of NAMES, LABEL or DIFFICULTY, or the plain name where it is none of them."""
    spelled = plain(name)
    return LABEL if spelled in LABELS else DIFFICULTY if spelled in DIFFICULTIES else spelled


def is_header(cells: Sequence[str]) -> bool:
    """Whether the cells of a first line are names: one alone may be the attack "land" or a cell by chance."""
    return sum(plain(cell) in NAMES for cell in cells) > 1


def columns_in_order(width: int) -> tuple[str, ...] | None:
    """Columns of a table without a header: all of a record, then the attack, then its difficulty; None of others."""
    return IN_ORDER[:width] if len(NAMES) <= width <= len(IN_ORDER) else None

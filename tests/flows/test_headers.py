"""Which header a table has is told by its names, however many others stand among them."""

import pytest

from flows.columns import COLUMNS
from flows.dialects import CIC2017, DIALECTS, TOT, V4, Dialect
from flows.headers import ENOUGH, FIELDS, OTHER_SPELLINGS, nearest

each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


def names_of(dialect: Dialect) -> list[str]:
    return [name.strip() for name in dialect.header]


@each_dialect
def test_a_whole_header_is_its_own_and_no_other(dialect: Dialect) -> None:
    assert nearest(names_of(dialect)) == (dialect, 1.0)


@each_dialect
def test_foreign_names_and_a_third_of_the_columns_are_enough(dialect: Dialect) -> None:
    names = [f"x{i}" for i in range(50)] + names_of(dialect)[::-1][: len(dialect.header) // 3 + 1]
    found, share = nearest(names)
    assert found is dialect
    assert share > ENOUGH


def test_names_of_no_header_are_of_none() -> None:
    assert nearest([])[1] == 0.0
    assert nearest(["duration", "service", "flag", "label"])[1] < ENOUGH


def test_other_releases_spellings_stand_for_the_same_columns() -> None:
    back = {name: other for other, name in OTHER_SPELLINGS.items()}
    respelled = [back.get(name, name) for name in names_of(CIC2017)]
    assert nearest(respelled) == (CIC2017, 1.0)
    for other, name in OTHER_SPELLINGS.items():
        assert FIELDS["cic2017"][other] == FIELDS["cic2017"][name]
    assert FIELDS["tot"]["CWR Flag Count"] == FIELDS["tot"]["CWE Flag Count"] == "cwr_flag_count"
    assert nearest([back.get(name, name) for name in names_of(TOT)]) == (TOT, 1.0)


def test_the_corrected_forks_columns_belong_to_v4() -> None:
    extras = {column.v4: column.name for column in COLUMNS if column.v4 and not column.cic2017}
    assert extras
    assert extras.items() <= FIELDS["v4"].items()
    assert nearest([*names_of(V4), *extras])[0] is V4

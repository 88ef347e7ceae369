"""Columns of connection records are known by a header in any spelling, or by their order."""

import pytest

from flows.kdd.header import DIFFICULTY, LABEL, NAMES, column_of, columns_in_order, is_header


def test_names_are_known_in_any_spelling() -> None:
    for name in NAMES:
        assert column_of(f" {name.upper().replace('_', ' ')}") == name
        assert column_of(name.replace("_", "-")) == name
    assert {column_of(name) for name in ("class", "Attack Type", "label")} == {LABEL}
    assert {column_of(name) for name in ("Difficulty-Level", "level")} == {DIFFICULTY}
    assert column_of("Some Thing") == "some_thing"


def test_a_header_may_lack_columns_and_have_others() -> None:
    assert is_header(["id", "Duration", "SERVICE"])
    assert not is_header(["id", "other"])


def test_a_record_of_the_attack_land_is_no_header() -> None:
    assert not is_header(["0", "tcp", "finger", "S0", *["0"] * 37, "land", "7"])


@pytest.mark.parametrize(("width", "last"), [(41, NAMES[-1]), (42, LABEL), (43, DIFFICULTY)])
def test_without_a_header_columns_stand_as_published(width: int, last: str) -> None:
    columns = columns_in_order(width)
    assert columns is not None
    assert (columns[:41], columns[-1], len(columns)) == (NAMES, last, width)


def test_tables_of_other_widths_need_a_header() -> None:
    assert columns_in_order(40) is columns_in_order(44) is None

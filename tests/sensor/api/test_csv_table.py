"""A pasted table is read by its header, or as the published files without one."""

import pytest

from sensor.api.csv_table import parse_csv
from sensor.api.kdd import KddFormat
from tests.support.kdd_rows import NAMES, WEB

ROW_FORMAT = KddFormat(content=True)
CELLS = [str(WEB[name]) for name in NAMES]
NUMBERS = {name: WEB[name] for name in NAMES if not isinstance(WEB[name], str)}


def csv(*lines: list[str]) -> bytes:
    return "\n".join(",".join(line) for line in lines).encode()


@pytest.mark.parametrize("beside", [[], ["normal"], ["normal", "21"], ["land", "0"]])
def test_records_without_a_header_stand_in_their_published_order(beside: list[str]) -> None:
    (row,) = parse_csv(csv([*CELLS, *beside]), ROW_FORMAT).rows
    assert {name: row[name] for name in NUMBERS} == NUMBERS
    assert row["service"] == WEB["service"]


def test_a_service_that_is_called_time_makes_no_header() -> None:
    at = NAMES.index("service")
    (row,) = parse_csv(csv([*CELLS[:at], "time", *CELLS[at + 1 :]]), ROW_FORMAT).rows
    assert row["service"] == "time"


def test_a_header_may_spell_names_in_its_own_way() -> None:
    header = [name.replace("_", " ").title() for name in NAMES]
    table = parse_csv(csv([*header, "Remark"], [*CELLS, "none"]), ROW_FORMAT)
    assert {name: table.rows[0][name] for name in NUMBERS} == NUMBERS
    assert table.notes == ("columns left out: Remark",)

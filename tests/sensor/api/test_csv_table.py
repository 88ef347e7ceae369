"""A pasted table is read by its header, or as the published files without one."""

import pytest

from flows.columns import INDEX
from flows.dialects import DIALECTS, Dialect
from sensor.api.cic import CicFormat
from sensor.api.csv_table import parse_csv
from sensor.api.kdd import KddFormat
from sensor.api.problems import Problem
from sensor.cli.build import load_model
from sensor.settings.config import Config
from tests.support.kdd_rows import NAMES, WEB

ROW_FORMAT = KddFormat(content=True)
CELLS = [str(WEB[name]) for name in NAMES]
NUMBERS = {name: WEB[name] for name in NAMES if not isinstance(WEB[name], str)}


@pytest.fixture(scope="module")
def cic_flows() -> CicFormat:
    """The format of the default bundle's rows."""
    return CicFormat(load_model(Config()))


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


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("cell", ["inf", "-inf", "nan"])
def test_what_is_not_finite_is_refused_by_its_name_in_whatever_column(
    dialect: Dialect, cell: str, cic_flows: CicFormat
) -> None:
    known = {"protocol": "6", "bwd_packets": "3"}
    fields = {field: name for field, name in zip(dialect.fields, dialect.header, strict=True) if field in INDEX}
    for wrong, name in fields.items():
        cells = [cell if field == wrong else known.get(field, "1") for field in fields]
        rows = parse_csv(f"{','.join(fields.values())}\n{','.join(cells)}\n".encode(), cic_flows).rows
        with pytest.raises(Problem) as refused:
            cic_flows.parse(rows)
        assert refused.value.status == 422
        assert name.strip() in {(error.column or "").strip() for error in refused.value.errors}


def test_a_row_of_many_lines_is_no_longer_than_a_row_of_one() -> None:
    cells = b"\n".join([b'a","b'] * 20_000)
    with pytest.raises(Problem, match=r"a row of 65,5.. characters or more") as refused:
        parse_csv(b'"' + cells + b'"\n', ROW_FORMAT)
    assert refused.value.status == 413
    apart = b"duration,remark\n" + (b"0," + b"x" * 40_000 + b"\n") * 3
    assert len(parse_csv(apart, ROW_FORMAT).rows) == 3


def test_seconds_in_a_table_are_a_time_as_they_are_in_json(cic_flows: CicFormat) -> None:
    row = cic_flows.example() | {"source": "10.0.0.1", "time": 1511000000.5}
    (cells,) = parse_csv(csv([*row], [str(cell) for cell in row.values()]), cic_flows).rows
    for parsed in (cic_flows.parse([cells]), cic_flows.parse([row])):
        assert parsed.time_ns is not None
        assert parsed.time_ns.tolist() == [1_511_000_000_500_000_000]
    for none in ("nan", "inf", "-1", "1e11", ""):
        with pytest.raises(Problem, match="no time between 1970 and 2262"):
            cic_flows.parse([cells | {"time": none}])

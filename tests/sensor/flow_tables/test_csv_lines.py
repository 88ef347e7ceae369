"""Lines of CSV against pyarrow's, which writes the shortest numbers too."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import compute, csv

from flows.dialects import Field
from sensor.flow_tables.csv_lines import csv_lines
from tests.support.examples import examples

pytestmark = pytest.mark.ux

# Where one of the two begins to write a number otherwise, and their neighbours.
EDGES = [
    near
    for power in (-8, -7, -6, -5, -4, 0, 9, 10, 11, 15, 16, 17, 21, 22)
    for sign in (1, -1)
    for near in (sign * 10.0**power, *(np.nextafter(sign * 10.0**power, away) for away in (-np.inf, np.inf)))
]
FLOATS = (
    st.floats() | st.sampled_from([*EDGES, 0.0, -0.0, 5e-324, 1.7976931348623157e308]) | st.integers(-9, 99).map(float)
)
WHOLE = st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 70_000) | st.sampled_from([10**10, 10**10 - 1, -(2**60 + 1)])


def by_pyarrow(fields: tuple[Field, ...]) -> bytes:
    lines = pa.BufferOutputStream()
    table = pa.table([text_of(field) for field in fields], names=[str(place) for place in range(len(fields))])
    csv.write_csv(table, lines, csv.WriteOptions(include_header=False, quoting_style="none"))
    return bytes(lines.getvalue().to_pybytes())


def text_of(field: Field) -> "pa.Array":
    if field.dtype.kind == "M":
        return pa.array([f"{np.datetime_as_string(instant, 'us')}Z" for instant in field], pa.string())
    if field.dtype.kind == "S":
        return pa.array(field).cast(pa.string())
    text = pa.array(field, from_pandas=False).cast(pa.string())
    for found, spelled in (("nan", "NaN"), ("inf", "Infinity"), ("-inf", "-Infinity")):
        text = compute.if_else(compute.equal(text, found), spelled, text)
    return text


@examples(200)
@given(
    rows=st.lists(
        st.tuples(FLOATS, WHOLE, st.sampled_from([b"", b"10.0.0.1-::1-1-2-6", b"null", b"1.0"]), FLOATS, WHOLE, FLOATS),
        max_size=9,
    ),
    micros=st.integers(0, 2**52),
)
def test_any_numbers_and_texts_are_written_as_pyarrow_writes_them(
    rows: list[tuple[float, int, bytes, float, int, float]], micros: int
) -> None:
    kinds = (np.float64, np.int64, "S20", np.float64, np.int64, np.float64)
    columns = zip(*rows, strict=True) if rows else ([],) * len(kinds)
    fields = [np.array(list(column), dtype=kind) for column, kind in zip(columns, kinds, strict=True)]
    fields.insert(3, (micros + np.arange(len(rows)) * 999_999).astype("datetime64[us]"))
    assert csv_lines(tuple(fields)) == by_pyarrow(tuple(fields))
    for field in fields:  # at the end of a line and at its beginning
        assert csv_lines((field,)) == by_pyarrow((field,))

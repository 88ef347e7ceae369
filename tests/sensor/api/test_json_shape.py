"""The measures of a JSON text: its keys, by which repeated ones are found, against a plain parser, and its size."""

import json

from hypothesis import given
from hypothesis import strategies as st

from sensor.api.json_shape import DEEPEST, json_shape

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def keys_of(value: object) -> int:
    """The plain twin: keys of a parsed value."""
    if isinstance(value, dict):
        return len(value) + sum(map(keys_of, value.values()))
    return sum(map(keys_of, value)) if isinstance(value, list) else 0


@given(VALUES, st.booleans())
def test_keys_are_counted_whatever_strings_hold(value: object, ascii_only: bool) -> None:
    assert json_shape(json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")).keys == keys_of(
        value
    )


def test_a_key_that_is_repeated_counts_twice_with_any_blanks() -> None:
    assert json_shape(b'{"a" : 1, "a"\n:2, "b": ":", "\\":": {"\\\\" :0}}').keys == 5


def test_what_a_text_would_become_is_known_before_it_is_parsed() -> None:
    shape = json_shape(b'{"rows": [{"a": 1, "b": -2.5e10}, {"c": "1,2,3,4,5,6,7,8"}, {}], "x": 123456}')
    measured = (shape.keys, shape.depth, shape.commas, shape.rows, shape.widest, shape.number, shape.opened)
    assert measured == (5, 3, 4, 2, 2, 7, 5)
    assert json_shape(b"[" * 100).depth == DEEPEST + 1
    assert json_shape(b"]]]}}}").depth == 0

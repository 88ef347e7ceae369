"""Faults of settings and other files are told in words for people, whatever kind they are of."""

import re
from typing import Any, Literal, get_args

import pytest
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ErrorType

from configs.faults import expected_of

OF_THE_CHECKER = re.compile(
    r"input|valid|pydantic|python|integer|string|float|bool|dict|instance|none\b|parse|attribute|class|callable|schema|"
    r"iterab|tuple|object|field|error|arguments",
    re.IGNORECASE,
)
CONTEXT = {
    **dict.fromkeys(("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length"), 7),
    "pattern": "[a-z]+", "expected_schemes": "'http'", "expected": "'a' or 'b'", "expected_tags": "'a', 'b'",
    "discriminator": "'type'", "error": "it is odd",
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(get_args(ErrorType)))
def test_no_fault_speaks_of_types_of_a_programming_language(kind: str) -> None:
    message = "Value error, it is odd" if kind == "value_error" else "Assertion failed, it is odd"
    words = expected_of({"type": kind, "ctx": CONTEXT, "msg": message})
    assert words
    assert not OF_THE_CHECKER.search(words), words


class Model(BaseModel, extra="forbid"):
    """What a file may hold."""

    count: int = Field(1, ge=1, le=60)
    share: float = Field(0.5, gt=0, lt=1)
    name: str = Field("a", max_length=3, pattern="^[a-z]+$")
    kind: Literal["udp", "tcp"] = "udp"
    several: list[int] = Field([], max_length=2)
    on: bool = True


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("count", "a", "expected a whole number"),
        ("count", 1.5, "expected a whole number"),
        ("count", 61, "expected 60 or less"),
        ("count", 0, "expected 1 or more"),
        ("share", 1, "expected less than 1"),
        ("share", [], "expected a number"),
        ("name", 7, "expected text"),
        ("name", "abcd", "expected text of at most 3 characters"),
        ("name", "A", "expected text of the form ^[a-z]+$"),
        ("kind", "sctp", "expected 'udp' or 'tcp'"),
        ("several", 1, "expected a list"),
        ("several", [1, 2, 3], "expected at most 2 values"),
        ("on", "perhaps", "expected true or false"),
        ("of", 1, "is not known here"),
    ],
)
def test_what_is_expected_is_said(name: str, value: Any, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({name: value})
    assert expected_of(caught.value.errors()[0]) == words


def test_a_models_own_words_stay() -> None:
    error = PydanticCustomError("rate", "Expected 0.001 or 0.01")
    assert expected_of({"type": error.type, "msg": error.message()}) == "expected 0.001 or 0.01"

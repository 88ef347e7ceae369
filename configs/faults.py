"""What is expected instead of a value that does not fit, in words for whoever wrote the file or the request.

The checker's own words (pydantic's) speak of types of a programming language. Words that a model of ours gives a fault
itself stay as they are.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

from pydantic_core.core_schema import ErrorType

_Context = Mapping[str, Any]
_KINDS: Final = frozenset(get_args(ErrorType))  # of the checker; others are a model's own


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value}"


_WORDS: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "finite_number": "a number that is not infinite",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "string": "text",
    "bytes": "text",
    "list": "a list",
    "tuple": "a list",
    "set": "a list without repeats",
    "frozen_set": "a list without repeats",
    "dict": "names with their values",
    "mapping": "names with their values",
    "model": "names with their values",
    "dataclass": "names with their values",
    "none": "nothing",
    "date": "a date, as 2026-11-30",
    "datetime": "a date and time, as 2026-11-30T12:00:00Z",
    "time": "a time of day, as 12:00",
    "time_delta": "a duration",
    "url": "an address of the web, as https://host.example/path",
    "uuid": "a UUID",
    "path": "a path",
    "json": "JSON",
    "timezone": "a time with its zone, as 2026-11-30T12:00:00Z",
}
_OF_CONTEXT: Final[Mapping[str, Callable[[_Context], str]]] = {
    "greater_than": lambda of: f"more than {_number(of['gt'])}",
    "greater_than_equal": lambda of: f"{_number(of['ge'])} or more",
    "less_than": lambda of: f"less than {_number(of['lt'])}",
    "less_than_equal": lambda of: f"{_number(of['le'])} or less",
    "multiple_of": lambda of: f"a multiple of {_number(of['multiple_of'])}",
    "too_short": lambda of: f"at least {_plural(of['min_length'], 'value')}",
    "too_long": lambda of: f"at most {_plural(of['max_length'], 'value')}",
    "string_too_short": lambda of: f"text of at least {_plural(of['min_length'], 'character')}",
    "string_too_long": lambda of: f"text of at most {_plural(of['max_length'], 'character')}",
    "string_pattern_mismatch": lambda of: f"text of the form {of['pattern']}",
    "url_scheme": lambda of: f"an address that begins with {of['expected_schemes']}",
    "literal_error": lambda of: f"{of['expected']}",
    "enum": lambda of: f"{of['expected']}",
    "union_tag_invalid": lambda of: f"one of {of['expected_tags']} as {str(of['discriminator']).strip(chr(39))}",
    "union_tag_not_found": lambda of: f"{str(of['discriminator']).strip(chr(39))}, which says what it is",
}


def expected_of(fault: Mapping[str, Any]) -> str:
    """What was expected where a fault lies, "expected a whole number"; in the words of the model where it has some.

    fault: as pydantic's ValidationError.errors() gives it: type, ctx and msg.
    """
    kind, context = str(fault["type"]), fault.get("ctx") or {}
    if kind in ("value_error", "assertion_error"):
        return str(fault["msg"]).partition(", ")[2]
    if kind in ("missing", "extra_forbidden"):
        return _WORDS[kind]
    if kind in _OF_CONTEXT:
        return f"expected {_OF_CONTEXT[kind](context)}"
    for name in sorted(_WORDS, key=len, reverse=True):
        if kind == name or kind.startswith(f"{name}_"):
            return f"expected {_WORDS[name]}"
    if kind in _KINDS:  # that no file of ours can have by what its models say
        return "expected another value"
    message = str(fault["msg"])
    return message[:1].lower() + message[1:]

"""What the reader of YAML says of a text that is none, in words for whoever wrote the file.

The reader's own words (PyYAML's) speak of tokens, blocks and streams.
"""

import re
from collections.abc import Callable
from typing import Final

_Match = re.Match[str]
_WORDS: Final[tuple[tuple[re.Pattern[str], Callable[[_Match], str]], ...]] = (
    (re.compile(r"found character '\\t' that cannot start"), lambda _: "a tab, expected blanks for the indent"),
    (
        re.compile(r"found character (.+) that cannot start"),
        lambda of: f"{of[1]} at the beginning of a value, expected quotes around it",
    ),
    (
        re.compile(r"mapping values are not allowed"),
        lambda _: "a colon that does not fit: expected one `name: value` a line, and quotes around a text with a colon",
    ),
    (
        re.compile(r"expected <block end>, but found"),
        lambda _: "an indent that is none of those above, expected that of the other names in its section",
    ),
    (re.compile(r"could not find expected ':'"), lambda _: "expected a colon and a blank behind the name"),
    (re.compile(r"found unexpected end of stream"), lambda _: "the file ends here, expected a closing quote"),
    (re.compile(r"expected ',' or '(.)'"), lambda of: f"expected a comma or {of[1]}"),
    (re.compile(r"but found another document"), lambda _: "a second document (---), expected one in a file"),
    (
        re.compile(r"found unknown escape character '(.+)'"),
        lambda of: f"a backslash and {of[1]}, expected two backslashes for one, or single quotes around the text",
    ),
)  # fmt: skip


def in_words(problem: str) -> str:
    """What was found and what was expected, in one line."""
    for pattern, words in _WORDS:
        if match := pattern.search(problem):
            return words(match)
    return f"no YAML that can be read ({problem})"

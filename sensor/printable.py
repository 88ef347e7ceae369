"""Text from packets, file names and labels, made safe for a terminal and a log line.

A terminal obeys escape sequences (ECMA-48) and reorders text at bidirectional controls (Unicode TR 36, 2.5): neither
may come from outside. Printable text of any language stays as it is.
"""

import unicodedata

# Other: control, format (bidirectional controls, zero width), surrogate, private use, unassigned; line and paragraph
# separators. A plain space is Zs and stays.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

_FIRST_MARK = "\u0300"  # no character below combines with the one before it


def printable(text: str, limit: int = 256) -> str:
    """Text without characters that a terminal or a log reader could obey, at most `limit` characters.

    An unsafe character is written as its Python escape (`\\x1b`, `\\u202e`); what is cut off is marked by an ellipsis.
    """
    if len(text) <= limit and text.isprintable() and (text.isascii() or max(text) < _FIRST_MARK):
        return text
    # Combining marks pile up without bound on one cell: more than two in a row are written as escapes too.
    safe, marks = [], 0
    for character in text[: limit + 1]:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        safe.append(_escaped(character) if category in _UNSAFE or marks > 2 else character)
    result = "".join(safe)
    return result if len(result) <= limit else result[: limit - 1] + "…"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii") if ord(character) > 0x7F else repr(character)[1:-1]

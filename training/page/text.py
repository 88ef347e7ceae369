"""Texts of a dataset as a page may show them: what would steer a terminal or hide text is written out instead."""

import unicodedata

# Control, format (which turns text around), surrogate, private, unassigned, line and paragraph separators.
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# More combining marks than this on one character would run over the lines around it.
MOST_MARKS = 2


def visible(text: str) -> str:
    r"""The text with every unseen character written as its escape, such as \x1b or \u202e."""
    if text.isascii() and text.isprintable():
        return text
    shown, marks = [], 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        shown.append(_escaped(character) if category in UNSEEN or marks > MOST_MARKS else character)
    return "".join(shown)


def short(text: str, length: int = 32) -> str:
    """The visible text, its middle left out where it is longer than length characters."""
    text = visible(text)
    if len(text) <= length:
        return text
    end = (length - 1) // 3
    return f"{text[: length - 1 - end]}…{text[-end:]}"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")

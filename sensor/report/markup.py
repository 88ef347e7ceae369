"""HTML and SVG from elements: every text is escaped here, and nowhere else. It knows no page."""

from collections.abc import Iterable
from html import escape

from sensor.printable import printable

_LONGEST = 20_000  # letters of one text
_VOID = frozenset({"meta"})  # of HTML; those of SVG end by themselves nowhere


class Markup(str):
    """Text that is markup already and goes in as it is. Only this module and constants of the code make it."""

    __slots__ = ()


Content = str | int | None | Iterable["Content"]


def element(tag: str, /, *content: Content, **attributes: str | float | bool | None) -> Markup:
    """An element. In the names of attributes `_` stands for `-`, and one at the end is dropped (`class_`).

    An attribute that is None or False is left out, one that is True has no value.
    """
    start = f"<{tag}{''.join(_attribute(*attribute) for attribute in attributes.items())}>"
    return Markup(start if tag in _VOID and not content else f"{start}{joined(content)}</{tag}>")


def joined(content: Content) -> Markup:
    """Content one after the other; text is escaped, control characters and the like are made visible."""
    if content is None:
        return Markup("")
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return Markup(escape(printable(content, _LONGEST)))
    if isinstance(content, int):
        return Markup(f"{content:,}")
    return Markup("".join(joined(part) for part in content))


def _attribute(name: str, value: str | float | bool | None) -> str:
    name = name.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    text = value if isinstance(value, str) else f"{value:.6g}"
    return f' {name}="{escape(printable(text, _LONGEST))}"'

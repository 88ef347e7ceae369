"""The frame of every page: a head with the style sheet and a policy that allows nothing else, header, main, footer."""

import hashlib
from base64 import b64encode
from functools import cache
from importlib.resources import files

from sensor.report.markup import Content, Markup, element
from sensor.version import VERSION


@cache
def style_sheet() -> str:
    """The style of every page, read once: a command that drops its privileges calls this before."""
    return files("sensor.report").joinpath("page.css").read_text(encoding="utf-8")


def document(title: str, header: Content, main: Content) -> str:
    """The whole page as HTML5. header: below the title. It opens no file but the style sheet."""
    style = style_sheet()
    # The style sheet is named by its hash: not even a colour could be smuggled in.
    sha256 = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{sha256}'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", Markup(style)),
    )
    body = element(
        "body",
        element("header", element("h1", title), header),
        element("main", main),
        element(
            "footer", element("p", f"flowvigil {VERSION}. All times are UTC. This page needs no network and no script.")
        ),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def section(title: str, content: Content) -> Markup:
    """A part of a page under its title."""
    return element("section", element("h2", title), content)

"""Charts as inline SVG: matplotlib draws them, in one style, and nothing of it needs a style sheet, a font or a script.

Series differ by colour (Okabe and Ito 2008), hatch, marker and dash at once: readers of print, and those who tell few
colours apart, lose nothing.
"""

import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as Xml  # of our own drawings only

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from training.page.content import Chart
from training.page.text import visible

# Inches, width and height: a narrow chart is 1:1 on a telephone, a wide one fills a sheet of A4.
NARROW = (4.0, 2.8)
WIDE = (8.4, 3.8)

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
GREY = "#BBBBBB"
# Lines only: dots make a drawing ten times as large.
HATCHES = ("///", "\\\\\\", "xxx", "---", "|||", "+++", "", "/-")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)), (0, (3, 5)))

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and enlarged
    "svg.hashsalt": "flowvigil",
    "text.parse_math": False,  # a label may hold dollar signs
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.grid": False,
    "grid.color": "#DDDDDD",
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "savefig.dpi": 110,
}
# Ours are as wide as DejaVu Sans or narrower, so that what fitted when drawn fits when shown.
FONTS = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"
LINK = "{http://www.w3.org/1999/xlink}href"
REFERENCE = re.compile(r"url\(#([^)]+)\)")


@dataclass(frozen=True, slots=True)
class Look:
    """How one series is told from the others."""

    colour: str
    hatch: str
    marker: str
    dash: Any


def looks(names: Sequence[str], normal: str | None = None) -> dict[str, Look]:
    """A look for each series, by its place among the names; the normal one is plain grey."""
    others = [name for name in names if name != normal]
    given = {
        name: Look(
            OKABE_ITO[i % len(OKABE_ITO)],
            # With more series than colours the same colour comes back in another hatch.
            HATCHES[(i + i // len(OKABE_ITO)) % len(HATCHES)],
            MARKERS[(i + i // len(OKABE_ITO)) % len(MARKERS)],
            DASHES[(i + i // len(OKABE_ITO)) % len(DASHES)],
        )
        for i, name in enumerate(others)
    }
    return {name: given.get(name, Look(GREY, "", ".", "-")) for name in names}


def draw(
    name: str,
    title: str,
    description: str,
    paint: Callable[[Figure], None],
    *,
    caption: str = "",
    size: tuple[float, float] = NARROW,
) -> Chart:
    """A chart that paint draws into an empty figure of the page's style.

    name: unique on its page, of letters, digits and dashes: the ids inside the SVG begin with it. title and
    description: what the chart is and what it shows, for readers who do not see it. size: width and height in inches;
    wider than NARROW takes the page's width. caption: below the chart, the title where there is none.
    """
    # Whatever the user's own matplotlibrc says, the page is the same.
    defaults: dict[Any, Any] = {k: value for k, value in mpl.rcParamsDefault.items() if not k.startswith("backend")}
    with mpl.rc_context(defaults | STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        drawn = io.StringIO()
        with warnings.catch_warnings():
            # Text stays text: the reader's fonts have the signs that ours lacks.
            warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
            figure.savefig(drawn, format="svg", metadata={"Date": None}, transparent=True)
    return Chart(_inline(drawn.getvalue(), name, title, description), caption or title, size[0] > NARROW[0])


def _inline(drawn: str, name: str, title: str, description: str) -> Markup:
    # A control character of some label would not be XML; apart from line ends the drawing itself has none.
    shown = "\n".join(visible(line) for line in drawn.split("\n"))
    root = Xml.fromstring(shown)  # noqa: S314  # matplotlib's own output
    for parent in list(root.iter()):
        for child in list(parent):
            if _tag(child) in ("metadata", "style"):
                parent.remove(child)
    named = _names(root)
    for element in root.iter():
        _plain(element, name, named)
    for unneeded in ("width", "height", "version"):
        root.attrib.pop(unneeded, None)
    root.attrib |= {
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-description",
        "font-family": FONTS,
        "stroke-linejoin": "round",
        "stroke-linecap": "butt",
    }
    for i, (kind, text) in enumerate((("title", title), ("desc", description))):
        element = Xml.Element(kind, {"id": f"{name}-{'title' if kind == 'title' else 'description'}"})
        element.text = visible(text)
        root.insert(i, element)
    return Markup(Xml.tostring(root, encoding="unicode", short_empty_elements=True))  # noqa: S704  # escaped by Xml


def _names(root: Xml.Element) -> set[str]:
    """Ids that something in the drawing refers to; the others go."""
    named: set[str] = set()
    for element in root.iter():
        named.update(REFERENCE.findall(" ".join(element.attrib.values())))
        named.add(element.attrib.get(LINK, "#").removeprefix("#"))
    return named


def _plain(element: Xml.Element, name: str, named: set[str]) -> None:
    """One element without namespaces, with style as attributes and ids of this chart alone."""
    element.tag = _tag(element)
    if not (element.text or "").strip():
        element.text = None
    element.tail = None
    own = dict(element.attrib)
    style = own.pop("style", "")
    identity = own.pop("id", None)
    link = own.pop(LINK, None)
    element.attrib.clear()
    if identity in named:
        element.set("id", f"{name}-{identity}")
    if link is not None:
        element.set("href", f"#{name}-{link[1:]}" if link.startswith("#") else link)
    for key, value in (*own.items(), *_declarations(style)):
        if key != "font-family" and not key.startswith("{"):
            element.set(key, REFERENCE.sub(rf"url(#{name}-\1)", value))


def _declarations(style: str) -> list[tuple[str, str]]:
    """A style attribute as pairs; the policy of the page forbids styles that its own sheet does not hold."""
    pairs = []
    for declaration in style.split(";"):
        key, _, value = declaration.partition(":")
        key, value = key.strip(), value.strip()
        if key == "font":  # "bold 9px 'DejaVu Sans'": only the sheet knows this short form
            words = re.split(r"\s+", value.partition("'")[0])
            pairs += [("font-size", word) for word in words if word.endswith("px")]
            pairs += [("font-weight", word) for word in words if word == "bold" or word.isdigit()]
        elif key:
            pairs.append((key, value))
    return pairs


def _tag(element: Xml.Element) -> str:
    return str(element.tag).rpartition("}")[2]

"""What a page is made of. Every text is plain: escaping is the template's work, and nobody else's."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph of plain text."""

    kind: ClassVar[str] = "paragraph"
    text: str
    role: Literal["text", "note", "command"] = "text"  # a note is set apart, a command in fixed width


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of sentences, each with a bullet."""

    kind: ClassVar[str] = "bullets"
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """The heading of a table's column."""

    title: str
    numeric: bool = False  # right-aligned
    hint: str = ""  # what the title means, shown below it


@dataclass(frozen=True, slots=True)
class PageTable:
    """Rows of text, the first cell of each being its header. Raises ValueError for a row of another width."""

    kind: ClassVar[str] = "table"
    caption: str
    headings: tuple[Heading, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.headings):
                raise ValueError(f"table {self.caption!r}: {len(row)} cells under {len(self.headings)} headings")


@dataclass(frozen=True, slots=True)
class Chart:
    """An inline SVG (charts.draw makes it) with its caption."""

    svg: Markup
    caption: str
    wide: bool  # as wide as the page; small screens scroll it


@dataclass(frozen=True, slots=True)
class Charts:
    """Charts that belong together: narrow ones stand side by side."""

    kind: ClassVar[str] = "charts"
    charts: tuple[Chart, ...]


Block = Paragraph | Bullets | PageTable | Charts


@dataclass(frozen=True, slots=True)
class Section:
    """A headed part of a page."""

    title: str
    blocks: tuple[Block, ...]
    new_sheet: bool = False  # begins on a new sheet of paper


@dataclass(frozen=True, slots=True)
class Page:
    """All that stands on a page."""

    title: str
    summary: tuple[str, ...]  # paragraphs at the top
    facts: tuple[tuple[str, str], ...]  # name and value pairs below it
    sections: tuple[Section, ...]
    made_by: str  # the command line

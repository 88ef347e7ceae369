"""What a page is made of. Every text is plain: escaping is the template's work, and nobody else's."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph. role: a note is set apart, a command in fixed width."""

    kind: ClassVar[str] = "paragraph"
    text: str
    role: Literal["text", "note", "command"] = "text"


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of sentences."""

    kind: ClassVar[str] = "bullets"
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A column of a table. numeric: right-aligned; hint: what the title means, shown below it."""

    title: str
    numeric: bool = False
    hint: str = ""


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
    """An inline SVG (charts.draw makes it) with its caption. wide: as wide as the page; small screens scroll it."""

    svg: Markup
    caption: str
    wide: bool


@dataclass(frozen=True, slots=True)
class Charts:
    """Charts that belong together: narrow ones stand side by side."""

    kind: ClassVar[str] = "charts"
    charts: tuple[Chart, ...]


Block = Paragraph | Bullets | PageTable | Charts


@dataclass(frozen=True, slots=True)
class Section:
    """A headed part of a page. new_sheet: begins on a new sheet of paper."""

    title: str
    blocks: tuple[Block, ...]
    new_sheet: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page. summary: paragraphs at the top; facts: name and value pairs below it; made_by: the command line."""

    title: str
    summary: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    made_by: str

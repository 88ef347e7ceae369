"""Inputs of `flowvigil alerts`: files of alerts, the one that is meant among them, and the site's notes on them."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sensor import log
from sensor.errors import INPUT, OK, InputError
from sensor.printable import printable

if TYPE_CHECKING:
    from sensor.alerts.reading import Entry, ReadErrors
    from sensor.fleet.file import Fleet

SHORTEST_ID: Final = 4
IDS_SHOWN: Final = 5
ID_SHOWN: Final = 60  # letters of what was asked for
# Fields that are only there by notes.
_BY_NOTES: Final = (
    ("source", "domain"),
    ("destination", "domain"),
    ("network", "direction"),
    ("flowvigil", "muted"),
    ("flowvigil", "before_notes"),
)

FilesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE...", help="Alerts as JSON lines, also packed, or directories of them; - or nothing is stdin."
    ),
]
FleetOption = Annotated[
    Path | None,
    typer.Option("--fleet", metavar="FLEET.yaml", help="List of sensors and sites: what several see is told once."),
]
WithNotesOption = Annotated[
    bool, typer.Option("--with-notes", help="As the site's notes see them: --site, or FLOWVIGIL__SITE__FILE.")
]


def inputs(files: Sequence[str] | None) -> list[str]:
    """What was named, of directories their files; standard input unless it is a terminal, where nobody types alerts."""
    from sensor.alerts.json_lines import STDIN
    from sensor.alerts.line_files import with_directories

    if files:
        return with_directories(files)
    if sys.stdin is None or sys.stdin.isatty():
        raise typer.BadParameter("found nothing, expected a file or alerts on standard input", param_hint="FILE")
    return [STDIN]


@contextmanager
def errors_told() -> "Iterator[ReadErrors]":
    """What could not be read, told on stderr at the end, however that comes."""
    from sensor.alerts.reading import ReadErrors

    errors = ReadErrors()
    try:
        yield errors
    finally:
        for line in errors.words():
            log.warning(line)


def code_of(errors: "ReadErrors") -> int:
    """The exit code of a command that read alerts."""
    return OK if errors.whole else INPUT


def alerts_in(
    names: Sequence[str], errors: "ReadErrors", *, with_notes: bool = False, site: Path | None = None
) -> "Iterable[Entry]":
    """The alerts of inputs; as the site's notes see them where an option asks for that. Raises as noted does."""
    from sensor.alerts.reading import entries

    return noted(entries(names, errors), with_notes=with_notes, site=site)


def episode_of(id_: str, found: "Iterable[Entry]", names: Sequence[str]) -> "list[Entry]":
    """All lines of the one episode whose id begins so, in the order of their numbers, one that comes twice once.

    names: of the inputs. Raises InputError for none or several.
    """
    if os.path.isfile(id_):
        raise typer.BadParameter(f"found the file {printable(id_)}, expected an alert's id before it", param_hint="ID")
    wanted = id_.upper()
    if len(wanted) < SHORTEST_ID:
        raise typer.BadParameter(f"found {printable(id_)!r}, expected at least {SHORTEST_ID} letters", param_hint="ID")
    lines = [entry for entry in found if entry.alert.id.upper().startswith(wanted)]
    ids = list(dict.fromkeys(entry.alert.id for entry in lines))
    if not ids:
        raise InputError(
            f"{', '.join(names)}: found no alert {printable(id_, ID_SHOWN)}, expected one whose id begins so"
        )
    if len(ids) > 1:
        some = ", ".join(ids[:IDS_SHOWN]) + ", …" * (len(ids) > IDS_SHOWN)
        raise InputError(
            f"{printable(id_, ID_SHOWN)}: found {len(ids):,} alerts ({some}), expected the beginning of one id"
        )
    return sorted({entry.line: entry for entry in lines}.values(), key=lambda entry: entry.alert.sequence)


def fleet_of(path: Path) -> "Fleet":
    """The list of sensors of a file. Raises ConfigError."""
    from sensor.fleet.file import read_fleet

    return read_fleet(path)


def site_file(site: Path | None) -> Path | None:
    """The file of the site's notes: as given, else by the environment. Raises ConfigError."""
    from sensor.settings.config import effective_config

    return site or effective_config(environment=os.environ).config.site.file


def noted(found: "Iterable[Entry]", *, with_notes: bool, site: Path | None) -> "Iterable[Entry]":
    """Alerts as the site's notes see them; as they stand there where neither option asks for notes.

    Raises ConfigError for the file, and BadParameter where there is none.
    """
    if not with_notes and site is None:
        return found
    path = site_file(site)
    if path is None:
        raise typer.BadParameter("found no notes, expected --site or FLOWVIGIL__SITE__FILE", param_hint="--with-notes")
    from sensor.site.file import read_notes

    notes = read_notes(path)
    return (_told_anew(replace(entry, alert=notes.of(entry.alert))) for entry in found)


def _told_anew(entry: "Entry") -> "Entry":
    """An entry whose line tells its alert; what others have added to the line stays."""
    from sensor.alerts.alert_record import alert_document
    from sensor.alerts.formats.native import native_line
    from sensor.alerts.reading import Entry

    document = {name: dict(value) if isinstance(value, dict) else value for name, value in entry.document.items()}
    for part, name in _BY_NOTES:
        document[part].pop(name, None)
    document = _overlaid(document, alert_document(entry.alert))
    return Entry(native_line(document), document, entry.alert)


def _overlaid(document: dict[str, Any], newer: dict[str, Any]) -> dict[str, Any]:
    both = dict(document)
    for name, value in newer.items():
        below = both.get(name)
        both[name] = _overlaid(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return both

"""What a rehearsal found: JSON lines, a table for people, and the page."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor import log
from sensor.printable import printable

if TYPE_CHECKING:
    from sensor.rehearsal.judged import RehearsedEpisode
    from sensor.rehearsal.page import RehearsalSubject
    from sensor.rehearsal.rehearsal import Rehearsal, SiteDay

HOSTS_TOLD: Final = 8  # of each side of an attack, in JSON; all are counted
GENERATOR: Final = "generator"  # as sensor.rehearsal.episode has it


def _record(own: "RehearsedEpisode", day: "SiteDay") -> dict[str, object]:
    from sensor.alerts.kinds import timestamp
    from sensor.cli.rehearsing import episode_record

    attackers, victims = own.episode.sides
    return {
        "kind": "attack",
        **episode_record(own),
        "rank": own.rank,
        "of": len(day.alerts) + 1,
        "start": timestamp(own.episode.start_ns),
        "packets": own.seen,
        "alone": own.episode.end_ns > day.end_ns,
        "attackers": attackers[:HOSTS_TOLD],
        "attackers_count": len(attackers),
        "victims": victims[:HOSTS_TOLD],
        "victims_count": len(victims),
    }


def write_records(found: "Rehearsal", model: str) -> None:
    """A line of JSON for each attack, and one for all. Raises as sensor.cli.rehearsing.write_record does."""
    from sensor.alerts.kinds import timestamp
    from sensor.cli.rehearsing import write_record

    day = found.day
    for own in found.episodes:
        write_record(_record(own, day))
    write_record(
        {
            "kind": "all",
            "bundle": model,
            "attacks": len(found.episodes),
            "found": sum(own.found for own in found.episodes),
            "right": sum(own.right for own in found.episodes),
            "packets": day.packets,
            "start": timestamp(day.first_ns),
            "end": timestamp(day.last_ns),
            "cut": day.is_cut,
            "alerts": len(day.alerts),
            "left_out": list(found.left_out),
        }
    )


def print_table(found: "Rehearsal") -> None:
    """The table for people on stdout."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from sensor.rehearsal.told import rank_in_words, seconds_in_words, sides_in_words

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("Technique", "Attack", "Named", "After", "Risk", "Rank"):
        is_number = title in ("After", "Risk", "Rank")
        table.add_column(title, no_wrap=title != "Named", justify="right" if is_number else "left")
    for own in found.episodes:
        made_by = "" if own.episode.source == GENERATOR else f" ({printable(own.episode.source, 20)})"
        table.add_row(
            own.episode.technique,
            Text(f"{printable(own.episode.name, 30)}{made_by}\n  {sides_in_words(own)}"),
            Text(printable(_named(own)), "" if own.right else "bold red"),
            seconds_in_words(own.seconds),
            f"{own.alert.risk:.0f}" if own.alert else "-",
            rank_in_words(own, len(found.day.alerts)),
        )
    Console(highlight=False).print(table)


def _named(own: "RehearsedEpisode") -> str:
    from sensor.rehearsal.told import named_in_words

    return named_in_words(own) if own.found else "MUTED" if own.muted else "MISSED"


def publish_page(found: "Rehearsal", subject: "RehearsalSubject", output: Path, *, quiet: bool) -> None:
    """Write the page, whole or not at all. Raises OutputError."""
    from sensor.rehearsal.page import page
    from sensor.report.publish import publish

    html = page(found, subject)
    publish(html, output)
    if not quiet:
        log.info(f"page written to {output} ({len(html.encode()) / 1e3:,.0f} kB)")

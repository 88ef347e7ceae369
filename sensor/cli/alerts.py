"""`flowvigil alerts`: what to do with alerts that were written: convert, follow, look at one, search, count."""

import os
import sys
from collections import deque
from collections.abc import Iterable
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from sensor.cli.alert_inputs import (
    FilesArgument,
    FleetOption,
    WithNotesOption,
    alerts_in,
    code_of,
    episode_of,
    errors_told,
    fleet_of,
    inputs,
    noted,
)
from sensor.cli.alert_listing import (
    AllLinesOption,
    JsonOption,
    TextOption,
    form_of,
    print_lines,
    show_rows,
    text_width,
    wrapped_detail,
)
from sensor.cli.alert_mark import mark
from sensor.cli.alert_sensors import sensors
from sensor.cli.options import SiteOption
from sensor.cli.queries import read_query
from sensor.cli.stdout import wait_beside_reader, write_each
from sensor.errors import NO_MATCH, OK
from sensor.printable import printable

if TYPE_CHECKING:
    from sensor.alerts.alert import Alert
    from sensor.alerts.reading import Entry
    from sensor.cli.alert_rows import Key, Row

app = typer.Typer(
    name="alerts",
    help="Convert, follow, show, search and count alerts of a log.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

app.command("mark")(mark)
app.command("sensors")(sensors)


class Target(StrEnum):
    """What alerts can be converted to."""

    NATIVE = "native"
    EVE = "eve"
    OCSF = "ocsf"
    CEF = "cef"


@app.command("convert")
def convert(
    files: FilesArgument = None,
    to: Annotated[Target, typer.Option("--to", metavar="FORMAT", help="eve, ocsf, cef or native.")] = Target.NATIVE,
    with_notes: WithNotesOption = False,
    site: SiteOption = None,
) -> int:
    """Write alerts in the format of another tool. One line each, on stdout.

    \b
    flowvigil alerts convert alerts.jsonl --to eve > eve.json
    zcat alerts.jsonl.1.gz | flowvigil alerts convert - --to cef | logger

    eve: Suricata EVE JSON. ocsf: OCSF 1.5.0 Detection Finding. cef: ArcSight CEF. Other records of the sensor are left
    out. Lines that are no alerts are counted on stderr and give exit code 6; the others are converted all the same.
    """
    from sensor.alerts.formats import formatter

    line = formatter(to.value)
    with errors_told() as errors:
        found = alerts_in(inputs(files), errors, with_notes=with_notes, site=site)
        write_each(line(entry.document) for entry in found)
    return code_of(errors)


@app.command("tail")
def tail(
    files: FilesArgument = None,
    count: Annotated[
        int, typer.Option("-n", "--lines", metavar="N", min=0, max=100_000, help="How many of the last.")
    ] = 10,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what is written to the file.")] = False,
    all_lines: AllLinesOption = False,
    json: JsonOption = False,
    text: TextOption = False,
    with_notes: WithNotesOption = False,
    site: SiteOption = None,
) -> int:
    """Show the last alerts, and with -f those that come. It follows the rotation of the file.

    \b
    flowvigil alerts tail -n 20 /var/log/flowvigil/alerts.jsonl
    flowvigil alerts tail -f /var/log/flowvigil/alerts.jsonl | jq .event.reason
    flowvigil alerts tail -n 500 --text alerts.jsonl | less

    A row is an alert as its last line has it; with -f an alert that opens is shown as its first line has it. With
    --all-lines each line is a row: opened, updated, closed. Words in a terminal, else JSON lines.
    """
    from sensor.alerts.json_lines import STDIN, Follower
    from sensor.alerts.reading import entries_of
    from sensor.cli.alert_rows import Shown, each_line, last_each, new_each

    form = form_of(json=json, text=text)
    names = inputs(files)
    if follow and (len(names) != 1 or names[0] == STDIN):
        raise typer.BadParameter("found no file or several, expected one to follow", param_hint="--follow")

    def last(found: "Iterable[Entry]") -> "list[Row]":
        return list(deque(each_line(found, every), maxlen=count)) if all_lines else last_each(found, count)

    with errors_told() as errors:
        if not follow:
            show_rows(last(alerts_in(names, errors, with_notes=with_notes, site=site)), form, lines=all_lines)
            return code_of(errors)
        follower, with_the_notes = (
            Follower(names[0], wait_beside_reader),
            partial(noted, with_notes=with_notes, site=site),
        )
        rows = last(with_the_notes(entries_of(follower.lines(), names[0], errors)))
        show_rows(rows, form, lines=all_lines)
        coming = with_the_notes(entries_of(follower.forever(), names[0], errors))
        shown = Shown()
        for row in rows:
            shown.add(row.alert.key)
        show_rows(each_line(coming, every) if all_lines else new_each(coming, shown), form, lines=all_lines)
    return code_of(errors)


@app.command("show")
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Of an alert, or how it begins: at least 4 letters.")],
    files: FilesArgument = None,
    json: JsonOption = False,
    with_notes: WithNotesOption = False,
    site: SiteOption = None,
) -> int:
    """Tell everything about one alert. Reasons against normal, targets, course, and the filter for its packets.

    \b
    flowvigil alerts show BRTU alerts.jsonl
    """
    from sensor.cli.alert_text import detail

    names = inputs(files)
    with errors_told() as errors:
        found = episode_of(id_, alerts_in(names, errors, with_notes=with_notes, site=site), names)
        if json:
            write_each(entry.line for entry in found)
        else:
            of_alert: dict[Key, list[Entry]] = {}  # of several sensors, or captures that are copies, each for itself
            for entry in found:
                of_alert.setdefault(entry.alert.key, []).append(entry)
            for place, own in enumerate(of_alert.values()):
                told = wrapped_detail(own, text_width()) if sys.stdout.isatty() else detail(own)
                print_lines([""] * bool(place) + told)
    return code_of(errors)


@app.command("search")
def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="Terms that must all hold; quote it for the shell.")],
    files: FilesArgument = None,
    all_lines: AllLinesOption = False,
    json: JsonOption = False,
    text: TextOption = False,
    with_notes: WithNotesOption = False,
    site: SiteOption = None,
    fleet: FleetOption = None,
) -> int:
    """Show the alerts for which all terms of a query hold.

    \b
    flowvigil alerts search 'src:10.0.0.0/8 score:>=0.9' alerts.jsonl
    flowvigil alerts search 'tech:T1046 severity:>=40' alerts.jsonl*
    flowvigil alerts search 'muted:yes' --with-notes --site site.yaml alerts.jsonl
    flowvigil alerts search 'dst:2001:db8::1 port:22 "one host"' alerts.jsonl.zst

    \b
    src: dst:         an address or a network
    host:             either address
    port:             destination port; sport: dport: proto: as of flowvigil flows
    tech:             ATT&CK technique, with those below it
    verdict:          attack, uncertain
    lane:             known, novel, both, shape
    score: severity:  0 to 1, 0 to 100
    direction:        inbound, outbound, internal, external; by the site's notes
    country: asn:     of either address, by your databases: FR, 64500
    muted:            yes, no; by the site's notes
    sensor:           name of the sensor that tells it
    name:             part of a name of either address, or of the server's in TLS
    tls:              part of the server's name or the client's fingerprint (JA4)
    capture:          part of the path of the capture that it was found in

    Numbers may stand behind >=, >, <=, < or =. Any other word is looked for in the alert's texts.

    A row is an alert, as the last of its lines has it for which the terms hold, once it is closed or the log has ended;
    with --all-lines each such line is a row, as it comes. Words in a terminal, else JSON lines. With --fleet an attack
    that several sensors tell is a row, once all is read. Exit code 1 where there is no match.
    """
    from sensor.alerts.query import parse
    from sensor.cli.alert_rows import each_line, one_attack_each, one_each

    if fleet is not None and all_lines:
        raise typer.BadParameter("found it with --all-lines, expected one of the two", param_hint="--fleet")
    sites = None if fleet is None else fleet_of(fleet).sites
    form = form_of(json=json, text=text)
    if not files and os.path.isfile(query):
        found_file = f"found the file {printable(query)}, expected a query before it, such as 'severity:>=70'"
        raise typer.BadParameter(found_file, param_hint="QUERY")
    with read_query(query):
        terms = parse(query)
    with errors_told() as errors:
        found = alerts_in(inputs(files), errors, with_notes=with_notes, site=site)
        rows = (each_line if all_lines else one_each)(found, terms.matches)
        rows = rows if sites is None else one_attack_each(rows, sites)
        matched = show_rows(rows, form, lines=all_lines)
    return code_of(errors) or (OK if matched else NO_MATCH)


@app.command("stats")
def stats(
    files: FilesArgument = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
    with_notes: WithNotesOption = False,
    site: SiteOption = None,
    fleet: FleetOption = None,
) -> int:
    """Count alerts by verdict, lane, technique, source and hour. Each counts once, however many lines it has.

    \b
    flowvigil alerts stats /var/log/flowvigil/alerts.jsonl*
    flowvigil alerts stats --json alerts.jsonl | jq .technique
    flowvigil alerts stats --fleet fleet.yaml /var/log/sensors

    With --fleet an attack that several sensors tell counts once, and the hosts that several tell of are listed.
    """
    import orjson

    from sensor.cli.alert_stats import Statistics

    counted = Statistics(fleet=None if fleet is None else fleet_of(fleet).sites)
    with errors_told() as errors:
        found = alerts_in(inputs(files), errors, with_notes=with_notes, site=site)
        counted.add(entry.alert for entry in found)
        if json:
            write_each([orjson.dumps(counted.document(), option=orjson.OPT_APPEND_NEWLINE)])
        else:
            print_lines(counted.table())
    return code_of(errors)


def every(_alert: "Alert") -> bool:
    """The query without terms, which holds for each alert."""
    return True

"""`flowvigil flows DIR --where …`: a flow log, or flow tables, asked; rows for people, or lines for programs."""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from sensor import log
from sensor.cli.flow_log_argument import are_flow_logs
from sensor.cli.queries import read_query
from sensor.cli.stdout import encoded, write_lines
from sensor.errors import INPUT, OK, InputError
from sensor.printable import printable
from sensor.progress.words import first_problems

if TYPE_CHECKING:
    from sensor.alerts.alert import Observer
    from sensor.flow_log.counting import Counts
    from sensor.flow_log.files import FlowsFile
    from sensor.flow_log.search import FlowSearch, FoundFlows

GROUPS_SHOWN: Final = 40  # in a terminal, unless asked for more
LABEL_LETTERS: Final = 32


class By(StrEnum):
    """What flows can be counted by (sensor.flow_log.counting.KEYS)."""

    SRC = "src"
    DST = "dst"
    SPORT = "sport"
    DPORT = "dport"
    PROTO = "proto"
    VERDICT = "verdict"
    LABEL = "label"


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """The options of the command line of a search."""

    where: str | None
    by: By | None
    limit: int | None
    output: Path | None
    snapshots: bool
    json: bool  # JSON lines on stdout also where that is a terminal
    quiet: bool

    @property
    def asked(self) -> bool:
        """Whether there is an option that only a search has."""
        return self.where is not None or self.by is not None or self.limit is not None or self.json


def are_logs(names: Sequence[str], *, asked: bool) -> bool:
    """Whether these are flow logs or flow tables, by their content, and not captures.

    asked: whether there is a query. Raises typer.BadParameter where both kinds are named, and for a query of captures.
    """
    logs = are_flow_logs(names)
    if logs or not asked:
        return logs
    there = [name for name in names if name == "-" or os.path.exists(name)]
    if there:
        raise typer.BadParameter(
            f"found captures, {printable(there[0], 100)}, expected a flow log or a flow table to ask; "
            f"flowvigil read {printable(there[0], 100)} --flows DIR makes one"
        )
    return True  # and what is not there is told by whoever opens it


def search(names: Sequence[str], options: SearchOptions) -> int:
    """Ask logs and tables, and show the answer. Raises QueryUsageError, InputError and OutputError."""
    from sensor.flow_log.query import flow_terms
    from sensor.flow_log.reading import FlowLog
    from sensor.flow_log.search import SHOWN, FlowSearch

    query = options.where or ""
    with read_query(query):
        terms = flow_terms(query)
    started = time.monotonic()
    flow_log = FlowLog(names)
    asked = FlowSearch(flow_log, terms, options.snapshots, _all_values() if options.output else SHOWN)
    flows = _counted(asked, options.by, options) if options.by else _shown(asked, options)
    if flow_log.problems and not asked.files:
        raise InputError(*first_problems(flow_log.problems))
    if not options.quiet:
        files = f"{asked.files:,} file{'s' * (asked.files != 1)}"
        log.info(f"{flows:,} flow{'s' * (flows != 1)} found in {files}, {time.monotonic() - started:.1f} s")
    for problem in first_problems(flow_log.problems):
        log.warning(problem)
    return INPUT if flow_log.problems else OK


def _all_values() -> Sequence[str]:
    from sensor.flow_log.columns import VALUES

    return VALUES


def _limited(found: Iterable["FoundFlows"], limit: int | None) -> Iterator["FoundFlows"]:
    left = limit
    for flows in found:
        if left is None:
            yield flows
            continue
        yield flows.first(left)
        left -= min(left, len(flows))
        if not left:
            return


def _shown(asked: "FlowSearch", options: SearchOptions) -> int:
    """Write the flows that were found; returns their number."""
    found = _limited(asked.found(), options.limit)
    if options.output is not None:
        return _into_table(found, options.output)
    flows, rows = 0, _Rows()
    people = sys.stdout.isatty() and not options.json
    for part in found:
        write_lines(rows.lines(part) if people else json_lines(part))
        flows += len(part)
    return flows


def _into_table(found: Iterable["FoundFlows"], path: Path) -> int:
    from sensor.cli.kernels import METERING, cached

    cached(METERING)  # the writer of tables knows the meter
    from flows.dialects import NATIVE
    from sensor.flow_tables.table import open_table

    with open_table(path, NATIVE) as table:
        for part in found:
            table.write(part.records)
    return table.written


def _counted(asked: "FlowSearch", by: By, options: SearchOptions) -> int:
    """Write how many flows there are by one of their sides; returns their number."""
    from sensor.flow_log.counting import Counts, document

    counts = Counts(by.value)
    for part in asked.found():
        counts.add(part)
    flows = sum(group.flows for group in counts.groups.values()) + counts.others.flows
    if sys.stdout.isatty() and not options.json:
        write_lines(_count_lines(counts, options.limit or GROUPS_SHOWN))
    else:
        import orjson

        newline = orjson.OPT_APPEND_NEWLINE
        write_lines(orjson.dumps(document(by.value, *group), option=newline) for group in counts.largest(options.limit))
    return flows


def _count_lines(counts: "Counts", limit: int) -> Iterator[bytes]:
    from sensor.alerts.deviation import quantity
    from sensor.alerts.words import moment
    from sensor.flow_log.counting import shown

    groups = [(shown(counts.by, key), group) for key, group in counts.largest(limit)]
    width = max([len(counts.by), *(len(name) for name, _ in groups)])
    yield _line(
        f"{counts.by.upper():{width}}  {'FLOWS':>10}  {'ANSWERED':>10}  {'PACKETS':>10}  {'SENT':>9}  {'RECEIVED':>9}  "
        f"{'FIRST (UTC)':19}  LAST (UTC)"
    )
    for name, group in groups:
        yield _line(
            f"{name:{width}}  {group.flows:>10,}  {group.answered:>10,}  {group.packets:>10,}  "
            f"{quantity(group.sent, 'bytes'):>9}  {quantity(group.received, 'bytes'):>9}  "
            f"{moment(group.first_ns)}  {moment(group.last_ns)}"
        )
    left = len(counts.groups) - len(groups)
    if left or counts.others.flows:
        rest = f"and {left:,} more" if not counts.others.flows else f"and more than {left:,} more"
        yield _line(f"{rest}: --limit shows more of them")


class _Rows:
    """Flows as aligned rows, below one header."""

    def __init__(self) -> None:
        self._source = self._destination = 0

    def lines(self, found: "FoundFlows") -> Iterator[bytes]:
        """A row each, the header before the first."""
        rows = [self._row(found, at) for at in range(len(found))]
        first = not self._source
        self._source = max([self._source, 21, *(len(row[3]) for row in rows)])
        self._destination = max([self._destination, 21, *(len(row[4]) for row in rows)])
        if first:
            yield self._aligned(_HEADER)
        for row in rows:
            yield self._aligned(row)

    def _aligned(self, row: Sequence[str]) -> bytes:
        start, lasts, protocol, source, destination, packets, sent, received, verdict, p, label = row
        return _line(
            f"{start:19}  {lasts:>9}  {protocol:9}  {source:{self._source}}  {destination:{self._destination}}  "
            f"{packets:>13}  {sent:>9}  {received:>9}  {verdict:9}  {p:>7}  {label}".rstrip()
        )

    def _row(self, found: "FoundFlows", at: int) -> tuple[str, ...]:
        from flows.batch import PROTOCOL, START_NS
        from flows.columns import INDEX
        from sensor.alerts.alert import transport_of
        from sensor.alerts.deviation import quantity
        from sensor.alerts.endpoints import endpoints_of
        from sensor.alerts.words import address_and_port, moment

        identity, values, said = found.records.identity[at].tolist(), found.records.values[at], found.said
        source, destination = endpoints_of(identity, values)
        return (
            moment(identity[START_NS] + int(found.clock_step_ns[at])),
            quantity(values[INDEX["flow_duration"]], "µs"),
            transport_of(identity[PROTOCOL]),
            address_and_port(source.ip, source.port),
            address_and_port(destination.ip, destination.port),
            f"{source.packets:,}/{destination.packets:,}",
            quantity(source.bytes, "bytes"),
            quantity(destination.bytes, "bytes") if destination.packets else "no answer",
            "" if said is None else said.verdict[at],
            "" if said is None else f"{min(said.p_known[at], said.p_novel[at]):.2g}",
            "" if said is None or said.verdict[at] == "benign" else printable(said.label[at], LABEL_LETTERS),
        )


_HEADER: Final = (
    *("START (UTC)", "DURATION", "PROTO", "SOURCE", "DESTINATION", "PACKETS", "SENT", "RECEIVED", "VERDICT", "P"),
    "LABEL",
)


def json_lines(found: "FoundFlows") -> Iterator[bytes]:
    """A record `logged-flow/1` each."""
    from sensor.alerts.flow_record import LoggedFlow, logged_flow_line

    observer, said = _observer(found.file), found.said
    for at, identity in enumerate(found.records.identity.tolist()):
        values = found.records.values[at]
        flow = LoggedFlow(identity, values)
        if said is not None:
            scores = {name: float(score[at]) for name, score in said.scores.items()}
            flow = LoggedFlow(
                identity,
                values,
                said.verdict[at],
                said.label[at],
                bool(said.judged[at]),
                float(said.p_known[at]),
                float(said.p_novel[at]),
                scores,
            )
        yield logged_flow_line(flow, observer, int(found.clock_step_ns[at]))


def _observer(file: "FlowsFile") -> "Observer":
    """The sensor that logged a file; of a flow table, which does not say it, this one."""
    from sensor.alerts.alert import Observer
    from sensor.cli.build import observer
    from sensor.settings.config import Config

    sensor = (file.about or {}).get("sensor")
    if not isinstance(sensor, dict):
        return observer(Config())
    said = (sensor.get(name) for name in ("name", "version"))
    name, version = (word if isinstance(word, str) else "unknown" for word in said)
    return Observer(printable(name, 64), printable(version, 24))


def _line(text: str) -> bytes:
    return encoded([text])

"""`flowvigil rehearse`: would attacks be found on this network, with this bundle and these settings?"""

import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sensor import log
from sensor.alerts.kinds import timestamp
from sensor.cli.durations import duration_s
from sensor.cli.flags import Flags, with_flags
from sensor.cli.kernels import JUDGING, Kernels, cached
from sensor.cli.options import QuietOption
from sensor.errors import INPUT, INTERRUPTED, NOT_MET, OK, InputError
from sensor.printable import printable

if TYPE_CHECKING:
    from flows.truth import FlowTruth
    from models.fusion import Hybrid
    from sensor.rehearsal.episode import AttackEpisode
    from sensor.rehearsal.judged import JudgedEpisode
    from sensor.rehearsal.page import RehearsalSubject
    from sensor.rehearsal.rehearsal import Rehearsal, SiteDay
    from sensor.settings.config import Config

STDIN: Final = "-"
STDIN_BYTES: Final = 4_000_000_000  # of standard input that are taken
HOSTS_TOLD: Final = 8  # of each side of an attack, in JSON; all are counted
GENERATOR: Final = "generator"  # as sensor.rehearsal.episode has it

SourcesArgument = Annotated[
    list[str], typer.Argument(metavar="CAPTURE…|INTERFACE", help="Captures as read takes them, or one interface.")
]
ForOption = Annotated[
    str, typer.Option("--for", metavar="TIME", help="How long to listen to an interface: 90s, 10m, 24h.")
]
PageOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="X.html", help="Page to write.", readable=False)
]
LabOption = Annotated[
    Path | None,
    typer.Option("--lab", metavar="RUNS", help="Also the attacks of lab runs: one, or a directory of them.",
                 readable=False),
]  # fmt: skip
JsonLinesOption = Annotated[bool, typer.Option("--json", help="One JSON object for each attack, and one for all.")]
MissedOption = Annotated[
    bool, typer.Option("--fail-on-missed", help="Exit code 11 where an attack is missed or wrongly named.")
]


@with_flags("model", "config", "overrides", "expression", "decap")
def rehearse(
    sources: SourcesArgument,
    listen: ForOption = "10m",
    output: PageOption = None,
    lab: LabOption = None,
    *,
    flags: Flags,
    json: JsonLinesOption = False,
    fail_on_missed: MissedOption = False,
    quiet: QuietOption = False,
) -> int:
    """Rehearse attacks in a copy of your own traffic: would this sensor find them here? Nothing is sent.

    \b
    flowvigil rehearse monday.pcap.gz
    flowvigil rehearse /var/spool/captures -m bundles/site -o rehearsal.html
    sudo flowvigil rehearse eth0 --for 30m
    flowvigil rehearse monday.pcap --lab runs/ --json | jq -c 'select(.right == false)'

    Attacks of every technique that the sensor names, of the generator and of runs of the lab, are put under addresses
    of hosts that the traffic has (servers that answer there, clients, the resolver; whoever attacks from outside is new
    to the site), moved into its time, and mixed with it packet by packet before the meter. Each is judged in a run of
    its own by this bundle, these settings and their budget, so that none hides another; what is told: found or not,
    named how, after how many seconds, its risk, and its rank among the alerts on the traffic alone.

    Beacons and slow scans repeat as seldom as the traffic is long: with a day of it they are slow ones. An attack that
    takes longer than the traffic goes on alone behind it. At most 2,000,000 packets are taken, the first ones.

    An interface is listened to (CAP_NET_RAW, as watch does) into a temporary file, which is removed; Ctrl-C goes on
    with what was heard. Exit code 0 also where something is missed, unless --fail-on-missed.
    """
    config = flags.settings()
    seconds = _seconds(listen)
    kernels = cached(JUDGING, config)  # before anything that imports numba
    from sensor.report.publish import refuse_unwritable

    interface = _interface_of(sources)
    if output is not None:
        refuse_unwritable(output, () if interface else sources)
    runs = _LabRuns(()) if lab is None else _lab_runs(lab)
    with (
        _ended_by_sigterm(),
        _captures(config, sources, interface, seconds, kernels, quiet=quiet) as (captures, hybrid),
    ):
        if output is not None and interface:
            refuse_unwritable(output, captures)  # once more, as the user that the process became
        return _rehearsed(config, hybrid, captures, tuple(sources), runs, output, json=json,
                          fail_on_missed=fail_on_missed, quiet=quiet)  # fmt: skip


def _rehearsed(
    config: "Config",
    hybrid: "Hybrid",
    captures: Sequence[str],
    names: tuple[str, ...],
    lab: "_LabRuns",
    output: Path | None,
    *,
    json: bool,
    fail_on_missed: bool,
    quiet: bool,
) -> int:
    from sensor.cli.rehearsing import progress_on, tried_sensor
    from sensor.rehearsal.page import RehearsalSubject, cautions, verdict
    from sensor.rehearsal.rehearsal import NothingToRehearseError, site_day
    from sensor.rehearsal.rehearsal import rehearse as rehearsed
    from sensor.rehearsal.site import CapturedSite
    from sensor.report.subject import judging_of, settings_of

    sensor, show = tried_sensor(config, hybrid), progress_on(sys.stderr, quiet=quiet)
    site = CapturedSite(captures, config.capture.filter)
    show("judging the traffic alone")
    try:
        day = site_day(site, sensor)
    except NothingToRehearseError as error:
        raise InputError(f"{', '.join(names[:3])}: {error}") from error
    found = rehearsed(site, day, chain(_generated(day), lab.episodes()), sensor, show)
    found = replace(found, left_out=(*found.left_out, *lab.left_out))
    show("")
    problems = (*site.problems, *lab.problems)
    subject = RehearsalSubject(names, judging_of(hybrid), settings_of(config), lab.names, problems)
    if json:
        _write_records(found, hybrid.model_id)
    elif not quiet:
        _print_table(found)
    if not quiet:
        log.info(verdict(found))
    for line in cautions(found, problems):
        log.warning(line)
    if output is not None:
        _publish(found, subject, output, quiet=quiet)
    if fail_on_missed and not found.passed:
        return NOT_MET
    return INPUT if problems else OK


def _seconds(text: str) -> float:
    try:
        return duration_s(text)
    except typer.BadParameter as error:
        error.param_hint = "--for"
        raise


def _interface_of(sources: Sequence[str]) -> str | None:
    """The interface that is named, None where captures are. Raises typer.BadParameter for one beside others."""
    interfaces = {name for _, name in socket.if_nameindex()} if hasattr(socket, "if_nameindex") else set()
    named = [name for name in sources if name in interfaces and not os.path.exists(name)]
    if named and len(sources) > 1:
        raise typer.BadParameter(f"found {named[0]} beside {len(sources) - 1} more, expected captures or one interface")
    return named[0] if named else None


@contextmanager
def _captures(
    config: "Config", sources: Sequence[str], interface: str | None, seconds: float, kernels: Kernels, *, quiet: bool
) -> "Iterator[tuple[list[str], Hybrid]]":
    """The captures to read, again and again, and the model; temporary ones are removed on exit."""
    from sensor.cli.assembly import ready_model
    from sensor.cli.beforehand import refuse_captures, refuse_watching
    from sensor.cli.listening import heard, temporary_directory
    from sensor.cli.rehearsing import progress_on
    from sensor.rehearsal.site import MOST_PACKETS

    if interface is not None:
        if sys.platform == "linux":
            from sensor.process.privileges import single_threaded_libraries

            single_threaded_libraries()
        beforehand = partial(refuse_watching, config, [interface], None)
        hybrid = ready_model(config, kernels, beforehand, quiet=quiet, live=True)
        with heard(config, interface, seconds, MOST_PACKETS, progress_on(sys.stderr, quiet=quiet)) as path:
            yield [str(path)], hybrid
        return
    hybrid = ready_model(config, kernels, partial(refuse_captures, config, sources), quiet=quiet)
    if STDIN not in sources:
        yield list(sources), hybrid
        return
    with temporary_directory() as directory:
        kept = directory / "stdin"
        _keep_stdin(kept)
        yield [str(kept) if name == STDIN else name for name in sources], hybrid


def _keep_stdin(path: Path) -> None:
    """Standard input in a file, as it can be read only once."""
    left = STDIN_BYTES
    with path.open("wb") as out:
        while left > 0 and (part := sys.stdin.buffer.read(min(left, 1 << 20))):
            out.write(part)
            left -= len(part)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the command in order, so that no temporary file stays."""
    from sensor.signals import handling

    def end(_signal: int, _frame: object) -> None:
        raise SystemExit(INTERRUPTED)

    with handling({signal.SIGTERM: end}):
        yield


def _generated(day: "SiteDay") -> "Iterator[AttackEpisode]":
    from sensor.rehearsal.episode import made
    from sensor.rehearsal.repertoire import repertoire

    return map(made, repertoire(day.seconds))


@dataclass(slots=True)
class _LabRuns:
    """Runs of the lab, whose attacks are cut out one run after the other."""

    runs: "tuple[tuple[str, Path, tuple[FlowTruth, ...]], ...]"  # name, capture, truth of its flows
    problems: list[str] = field(default_factory=list)  # captures that could not be read to their end
    left_out: list[str] = field(default_factory=list)  # attacks that could not be cut out, with the reason

    @property
    def names(self) -> tuple[str, ...]:
        """Of the runs."""
        return tuple(name for name, _, _ in self.runs)

    def episodes(self) -> "Iterator[AttackEpisode]":
        """All attacks. Raises InputError for a capture that cannot be read."""
        from sensor.rehearsal.cutting import cut_episodes
        from sensor.sources.captures.stream import CaptureStream

        for name, capture, truths in self.runs:
            stream = CaptureStream([str(capture)])
            cut = cut_episodes(stream, truths, name)
            self.problems += stream.problems
            kept = {episode.name for episode in cut}
            missing = sorted({truth.scenario for truth in truths if truth.attack} - kept)
            self.left_out += [f"{printable(attack, 40)} ({name}) has no IPv4" for attack in missing]
            yield from cut


def _lab_runs(directory: Path) -> _LabRuns:
    """The runs of the lab in a directory, or the run that it is. Raises InputError for what is none."""
    from sensor.cli.labels import stop
    from training.datasets.captures.lab_runs import lab_runs
    from training.datasets.captures.truth import UNKNOWN, truth_of
    from training.errors import DatasetError

    runs = []
    try:
        for run in lab_runs(directory, ""):
            assert run.truth is not None  # noqa: S101  a run of the lab has one
            told = tuple(truth for truth in truth_of(run.truth) if truth.technique != UNKNOWN)
            runs.append((run.path.parent.name, run.path, told))
    except DatasetError as error:
        raise stop(InputError, error) from error
    return _LabRuns(tuple(runs))


def _record(own: "JudgedEpisode", day: "SiteDay") -> dict[str, object]:
    from sensor.cli.rehearsing import episode_record

    attackers, victims = own.episode.sides
    return {
        "kind": "attack",
        **episode_record(own),
        "rank": own.rank,
        "of": len(day.alerts) + 1,
        "start": timestamp(own.episode.start_ns),
        "packets": own.seen,
        "alone": own.episode.end_ns > day.last_ns,
        "attackers": attackers[:HOSTS_TOLD],
        "attackers_count": len(attackers),
        "victims": victims[:HOSTS_TOLD],
        "victims_count": len(victims),
    }


def _write_records(found: "Rehearsal", model: str) -> None:
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


def _print_table(found: "Rehearsal") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from sensor.rehearsal.told import named_in_words, rank_in_words, seconds_in_words, sides_in_words

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("Technique", "Attack", "Named", "After", "Risk", "Rank"):
        is_number = title in ("After", "Risk", "Rank")
        table.add_column(title, no_wrap=title != "Named", justify="right" if is_number else "left")
    for own in found.episodes:
        made_by = "" if own.episode.source == GENERATOR else f" ({printable(own.episode.source, 20)})"
        table.add_row(
            own.episode.technique,
            Text(f"{printable(own.episode.name, 30)}{made_by}\n  {sides_in_words(own)}"),
            Text(named_in_words(own) if own.found else "MISSED", "" if own.right else "bold red"),
            seconds_in_words(own.seconds),
            f"{own.alert.risk:.0f}" if own.alert else "-",
            rank_in_words(own, len(found.day.alerts)),
        )
    Console(highlight=False).print(table)


def _publish(found: "Rehearsal", subject: "RehearsalSubject", output: Path, *, quiet: bool) -> None:
    from sensor.rehearsal.page import page
    from sensor.report.publish import publish

    html = page(found, subject)
    publish(html, output)
    if not quiet:
        log.info(f"page written to {output} ({len(html.encode()) / 1e3:,.0f} kB)")

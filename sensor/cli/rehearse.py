"""`flowvigil rehearse`: would attacks be found on this network, with this bundle and these settings?"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sensor import log
from sensor.cli.build import site_notes
from sensor.cli.durations import duration_s
from sensor.cli.flags import Flags, with_flags
from sensor.cli.interface_argument import interface_of
from sensor.cli.kernels import JUDGING, Kernels, cached
from sensor.cli.lab_attacks import LabRuns, lab_runs_in
from sensor.cli.options import QuietOption
from sensor.cli.rehearsal_output import print_table, publish_page, write_records
from sensor.errors import INPUT, NOT_MET, OK, InputError

if TYPE_CHECKING:
    from models.fusion import Hybrid
    from sensor.rehearsal.episode import AttackEpisode
    from sensor.rehearsal.page import RehearsalSubject
    from sensor.rehearsal.rehearsal import Rehearsal, SiteDay
    from sensor.settings.config import Config
    from sensor.site.notes import SiteNotes

STDIN: Final = "-"
STDIN_BYTES: Final = 4_000_000_000  # of standard input that are taken

SourcesArgument = Annotated[
    list[str], typer.Argument(metavar="CAPTURE...|INTERFACE", help="Captures as read takes them, or one interface.")
]
ForOption = Annotated[
    str | None,
    typer.Option("--for", metavar="TIME", help="How long to listen to an interface, such as 90s or 24h; else 10m."),
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
    bool, typer.Option("--fail-on-missed", help="Exit code 11 where an attack is missed, muted or wrongly named.")
]


@with_flags("model", "config", "overrides", "site", "expression", "decap")
def rehearse(
    sources: SourcesArgument,
    listen: ForOption = None,
    output: PageOption = None,
    lab: LabOption = None,
    *,
    flags: Flags,
    json: JsonLinesOption = False,
    fail_on_missed: MissedOption = False,
    quiet: QuietOption = False,
) -> int:
    """Rehearse attacks in a copy of your own traffic. Would this sensor find them here? Nothing is sent.

    \b
    flowvigil rehearse monday.pcap.gz
    flowvigil rehearse /var/spool/captures -m bundles/site -o rehearsal.html
    sudo flowvigil rehearse eth0 --for 30m
    flowvigil rehearse monday.pcap --json | jq -c 'select(.right == false)'

    Attacks of every technique that the sensor names, of the generator and of runs of the lab, are put under addresses
    of hosts that the traffic has (servers that answer there, clients, the resolver; whoever attacks from outside is new
    to the site), moved into its time, and mixed with it packet by packet before the meter. Each is judged in a run of
    its own by this bundle, these settings and their budget, so that none hides another; what is told: found or not,
    named how, after how many seconds, its risk, and its rank among the alerts on the traffic alone. What the site's
    notes (--site) mute is not found.

    Beacons and slow scans repeat as seldom as the traffic is long: with a day of it they are slow ones. An attack that
    takes longer than the traffic goes on alone behind it. At most 2,000,000 packets are taken, the first ones.

    An interface is listened to (CAP_NET_RAW, as watch does) into a temporary file, which is removed; Ctrl-C goes on
    with what was heard. Exit code 0 also where something is missed, unless --fail-on-missed.
    """
    config = flags.settings()
    notes = site_notes(config)
    seconds = duration_s(listen or "10m", "--for")
    kernels = cached(JUDGING, config)  # before anything that imports numba
    from sensor.report.publish import refuse_unwritable

    interface = interface_of(sources, listen)
    if output is not None:
        refuse_unwritable(output, () if interface else sources)
    runs = LabRuns(()) if lab is None else lab_runs_in(lab)
    with _captures(config, sources, interface, seconds, kernels, quiet=quiet) as (captures, hybrid):
        if output is not None and interface:
            refuse_unwritable(output, captures)  # once more, as the user that the process became
        found, subject = _rehearsed(config, hybrid, notes, captures, tuple(sources), runs, quiet=quiet)
        if json:
            write_records(found, hybrid.model_id)
        elif not quiet:
            print_table(found)
        _tell(found, subject, quiet=quiet)
        if output is not None:
            publish_page(found, subject, output, quiet=quiet)
    if fail_on_missed and not found.passed:
        return NOT_MET
    return INPUT if subject.problems else OK


def _rehearsed(
    config: "Config",
    hybrid: "Hybrid",
    notes: "SiteNotes | None",
    captures: Sequence[str],
    names: tuple[str, ...],
    lab: LabRuns,
    *,
    quiet: bool,
) -> "tuple[Rehearsal, RehearsalSubject]":
    """Judge all attacks. captures: to be read, under these names. Raises InputError where nothing can be rehearsed."""
    from sensor.cli.rehearsing import progress_on, tried_sensor
    from sensor.rehearsal.page import RehearsalSubject
    from sensor.rehearsal.rehearsal import NothingToRehearseError, site_day
    from sensor.rehearsal.rehearsal import rehearse as rehearsed
    from sensor.rehearsal.site import CapturedSite
    from sensor.report.subject import judging_of
    from sensor.settings.bearing import bearing_settings

    sensor, show = tried_sensor(config, hybrid, notes), progress_on(sys.stderr, quiet=quiet)
    site = CapturedSite(captures, config.capture.filter)
    show("judging the traffic alone")
    try:
        day = site_day(site, sensor)
        found = rehearsed(site, day, chain(_generated(day), lab.episodes()), sensor, show)
    except NothingToRehearseError as error:
        raise InputError(f"{', '.join(names[:3])}: {error}") from error
    finally:
        show("")
    problems = [*site.problems, *lab.problems]
    for path, name in zip(captures, names, strict=True):  # what stands in a temporary file has its own name
        problems = [problem.replace(path, name) for problem in problems]
    subject = RehearsalSubject(names, judging_of(hybrid), bearing_settings(config), lab.names, tuple(problems))
    return replace(found, left_out=(*found.left_out, *lab.left_out)), subject


def _tell(found: "Rehearsal", subject: "RehearsalSubject", *, quiet: bool) -> None:
    """The verdict and what limits it, as messages."""
    from sensor.rehearsal.page import cautions, verdict

    if not quiet:
        log.info(verdict(found))
    for line in cautions(found, subject.problems):
        log.warning(line)


@contextmanager
def _captures(
    config: "Config", sources: Sequence[str], interface: str | None, seconds: float, kernels: Kernels, *, quiet: bool
) -> "Iterator[tuple[list[str], Hybrid]]":
    """The captures to read, again and again, and the model; temporary ones are removed on exit."""
    from sensor.cli.beforehand import refuse_captures, refuse_watching
    from sensor.cli.listening import heard
    from sensor.cli.ready_model import ready_model
    from sensor.cli.rehearsing import progress_on
    from sensor.files.unfinished import scratch_directory
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
    with scratch_directory() as directory:
        kept = directory / "stdin"
        _keep_stdin(kept)
        yield [str(kept) if name == STDIN else name for name in sources], hybrid


def _keep_stdin(path: Path) -> None:
    """Standard input in a file, as it can be read only once. Raises InputError, OutputError."""
    if sys.stdin is None:
        raise InputError("-: standard input is closed, expected a capture")
    from sensor.files.unfinished import kept_in

    left = STDIN_BYTES
    with kept_in(path.parent), path.open("wb") as out:
        while left > 0 and (part := sys.stdin.buffer.read(min(left, 1 << 20))):
            out.write(part)
            left -= len(part)


def _generated(day: "SiteDay") -> "Iterator[AttackEpisode]":
    from sensor.rehearsal.episode import made
    from sensor.rehearsal.repertoire import repertoire

    return map(made, repertoire(day.seconds))

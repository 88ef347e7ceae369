"""`flowvigil report --independent`: one page about many captures, each read by a process of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sensor.cli.build import load_model
from sensor.cli.island_run import Islands
from sensor.cli.signals import stopped_by_signals
from sensor.errors import INPUT, INTERRUPTED, OK
from sensor.jobs.run_directory import Capture
from sensor.printable import printable
from sensor.terminal.screen import Screen

if TYPE_CHECKING:
    from sensor.alerts.reading import NativeLine, Record
    from sensor.progress.progress import Progress


def page_of_islands(islands: Islands, screens: Sequence[Screen], site: str | None) -> tuple[str, int]:
    """The page, which says of each alert in which capture it was found, and the exit code."""
    from sensor.alerts.reading import ReadErrors, read_lines
    from sensor.report.coverage import HOSTS_KEPT, Coverage
    from sensor.report.digest import Digest
    from sensor.report.page import page
    from sensor.report.subject import ReportSubject, command_of, judging_of
    from sensor.settings.bearing import bearing_settings

    config, digest, hosts, errors = islands.config, Digest(), 0, ReadErrors()
    judging = judging_of(load_model(config))
    with islands.begun() as run:

        def take(capture: Capture, result: dict[str, Any]) -> None:
            nonlocal hosts
            hosts += result["hosts"]
            with run.run.part(capture).open("rb") as lines:
                digest.add(_of_nobody(read_lines(lines, printable(capture.name, 200), errors)))

        def note(message: str) -> None:
            for screen in screens:
                screen.note(message)

        def show(progress: "Progress") -> None:
            for screen in screens:
                screen.update(progress, ())

        with stopped_by_signals(run):
            run.carry(take, note, show)
        for screen in screens:
            screen.finish(run.progress, run.problems)
        if not run.stopping:
            run.refuse_nothing_read()
        progress = run.progress
        subject = ReportSubject(
            kind="captures",
            inputs=tuple(capture.name for capture in run.captures),
            judging=(judging,),
            command=command_of(islands.captures, config, site, independent=True),
            site=site,
            settings=bearing_settings(config),
            expression=config.capture.filter,
            decapsulated=config.meter.decapsulate,
            problems=tuple(run.problems),
        )
        undecoded = {reason: count for reason, count in progress.undecoded.items() if count}
        coverage = Coverage(
            replace(progress, undecoded=undecoded),
            progress.started_ns,
            progress.traffic_time_ns,
            progress.bytes,
            hosts,
            hosts >= HOSTS_KEPT,
        )
        code = INTERRUPTED if run.stopping else INPUT if run.failed else OK
        if run.given_up is not None:
            code = run.given_up.exit_code
        return page(digest, coverage, subject, ReadErrors()), code


def _of_nobody(lines: "Iterator[tuple[NativeLine, Record | None]]") -> "Iterator[tuple[NativeLine, Record | None]]":
    """Records without the machine that reads the captures, which is nobody's business."""
    from sensor.report.folding import NOBODY

    for native, record in lines:
        yield native, None if record is None else replace(record, observer=NOBODY)

"""`flowvigil selftest`: does the sensor find what it must, and say nothing of normal traffic?"""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensor import log
from sensor.cli.flags import Flags, with_flags
from sensor.cli.kernels import JUDGING, cached
from sensor.cli.options import QuietOption
from sensor.errors import NOT_MET, OK
from sensor.printable import printable

if TYPE_CHECKING:
    from sensor.rehearsal.selftest import SelfTest

JsonLinesOption = Annotated[bool, typer.Option("--json", help="One JSON object for each scenario, and one for all.")]


@with_flags("model", "config", "overrides")
def selftest(*, flags: Flags, json: JsonLinesOption = False, quiet: QuietOption = False) -> int:
    """Try the sensor on traffic of its own making.

    Each technique must be found and rightly named, and nothing on normal traffic.

    \b
    flowvigil selftest
    flowvigil selftest -m bundles/site         # what a bundle of your own finds
    flowvigil selftest -c sensor.yaml --json | jq -c 'select(.right == false)'

    Some thirty attacks, each among the ordinary minutes of an office and in a run of its own, and some twenty kinds of
    everyday traffic, judged as these settings and this bundle say. All is in memory: it needs no network, no file and
    no privilege, and takes some seconds once kernels are compiled (flowvigil warm-up).

    "Told after" is traffic time: a beacon of one call in five minutes takes two hours of it. The exit code is 0 when
    all is as it should be, and 11 when an attack was missed or wrongly named or an alert raised on normal traffic.
    """
    config = flags.settings()
    kernels = cached(JUDGING, config)  # before anything that imports numba
    from sensor.cli.ready_model import ready_model
    from sensor.cli.rehearsing import progress_on, tried_sensor

    hybrid = ready_model(config, kernels, lambda: None, quiet=quiet)
    from sensor.rehearsal.selftest import selftest as tried

    started = time.monotonic()
    show = progress_on(sys.stderr, quiet=quiet)
    found = tried(tried_sensor(config, hybrid), hybrid.techniques, show)
    show("")
    if json:
        _write_records(found, hybrid.model_id)
    elif not quiet:
        _print_tables(found)
    if not quiet or not found.passed:
        tell = log.info if found.passed else log.error
        tell(f"selftest of {hybrid.model_id}: {_summary(found)}, {time.monotonic() - started:.1f} s")
    return OK if found.passed else NOT_MET


def _summary(found: "SelfTest") -> str:
    """How it went in one line, with the names of what did not go as it should."""
    right = sum(own.right for own in found.episodes)
    alerts = sum(len(own.alerts) for own in found.ordinary)
    parts = [
        f"{right} of {len(found.episodes)} attacks found and rightly named",
        f"{alerts or 'no'} alert{'s' * (alerts != 1)} on {len(found.ordinary)} kinds of normal traffic",
    ]
    faults = {
        "missed": [own.episode.name for own in found.episodes if not own.found],
        "wrongly named": [own.episode.name for own in found.episodes if own.found and not own.right],
        "told of": [own.scenario for own in found.ordinary if own.alerts],
    }
    parts += [f"{what} {', '.join(names)}" for what, names in faults.items() if names]
    return ", ".join(parts)


def _write_records(found: "SelfTest", model: str) -> None:
    from sensor.cli.rehearsing import episode_record, write_record

    for own in found.episodes:
        write_record({"kind": "attack", **episode_record(own)})
    for ordinary in found.ordinary:
        named = [alert.last.technique.id if alert.last.technique else None for alert in ordinary.alerts]
        write_record({"kind": "normal", "scenario": ordinary.scenario, "alerts": len(ordinary.alerts), "named": named})
    summary: dict[str, Any] = {"kind": "all", "bundle": model, "passed": found.passed, "untried": list(found.untried)}
    write_record(summary)


def _print_tables(found: "SelfTest") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from sensor.rehearsal.told import named_in_words, seconds_in_words

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("Technique", "Scenario", "Found", "Named", "Sure", "Told after"):
        is_name, is_time = title == "Named", title == "Told after"
        table.add_column(title, no_wrap=not is_name, overflow="fold", justify="right" if is_time else "left")
    for own in sorted(found.episodes, key=lambda own: own.episode.technique):
        table.add_row(
            own.episode.technique,
            own.episode.name,
            Text("yes" if own.found else "NO", "" if own.found else "bold red"),
            Text(printable(named_in_words(own)), "" if own.right else "red"),
            own.alert.verdict if own.alert else "-",
            seconds_in_words(own.seconds),
        )
    console = Console(highlight=False)
    console.print(table)
    told = [own for own in found.ordinary if own.alerts]
    for ordinary in told:
        for alert in ordinary.alerts:
            console.print(
                Text(f"normal traffic {ordinary.scenario}: {printable(alert.last.title)}, {alert.last.verdict}", "red")
            )
    if not told:
        console.print(f"\nNothing was told on normal traffic: {', '.join(own.scenario for own in found.ordinary)}.")
    if found.untried:
        console.print(f"Not tried, as the generator has no traffic of it: {', '.join(found.untried)}.")

"""`flowvigil alerts sensors`: the sensors whose lines come together in one place, and which of them to look at."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sensor.cli.alert_inputs import FilesArgument, FleetOption, code_of, errors_told, fleet_of, inputs
from sensor.cli.alert_listing import print_lines
from sensor.cli.stdout import write_each
from sensor.errors import NOT_MET, OK
from sensor.printable import printable

if TYPE_CHECKING:
    from sensor.fleet.health import SensorHealth

GroupOption = Annotated[str | None, typer.Option("--group", metavar="NAME", help="Sensors of this group alone.")]
SilentOption = Annotated[
    float,
    typer.Option("--silent-after", metavar="N", min=1, max=10_000, help="Of its intervals, then a sensor is silent."),
]
AtOption = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="Seen from this moment, not now: 2026-03-02T09:00.")
]
_NAME_CELLS: Final = 24
_HASH_SHOWN: Final = 12


def sensors(
    files: FilesArgument = None,
    fleet: FleetOption = None,
    group: GroupOption = None,
    silent_after: SilentOption = 3.0,
    at: AtOption = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> int:
    """Tell which sensors are well, by their own accounts. Those to look at come first.

    \b
    flowvigil alerts sensors /var/log/sensors
    flowvigil alerts sensors --fleet fleet.yaml --group canary /var/log/sensors
    kcat -C -e -b broker -t flowvigil | flowvigil alerts sensors --json

    To look at: a sensor that was never heard, is silent, has ended, has an interface down, loses packets or lines, is
    overloaded, has a clock that is ahead or behind, shares its name, has alert lines that did not come, or runs on
    another bundle than the fleet's list wants it to (flowvigil promote --fleet). Told, too: drift, a site that is being
    learnt, and what differs from most sensors.

    The exit code is 0 where all are well, 11 where one is to be looked at or none told anything, and 6 where lines
    could not be read.
    """
    import orjson

    from sensor.alerts.json_lines import lines_in
    from sensor.alerts.kinds import timestamp
    from sensor.alerts.reading import told_by_lines
    from sensor.errors import InputError
    from sensor.fleet.file import NO_FLEET
    from sensor.fleet.health import health_of
    from sensor.fleet.sensors import SensorBook, told_of_sensor
    from sensor.fleet.wanted import NOTHING_WANTED, read_wanted, wanted_path

    listed = NO_FLEET if fleet is None else fleet_of(fleet)
    wanted = NOTHING_WANTED if fleet is None else read_wanted(wanted_path(fleet))
    if group is not None and group not in listed.groups:
        known = ", ".join(map(printable, listed.groups)) or "none: --fleet has no groups"
        raise typer.BadParameter(f"found {printable(group, 64)!r}, expected a group of the fleet ({known})")
    now_ns = time.time_ns() if at is None else _moment_ns(at)
    book = SensorBook({sensor.name for sensor in listed.sensors})
    with errors_told() as errors:
        for name in inputs(files):
            book.begin_input()
            try:
                for native, told in told_by_lines(lines_in(name, errors.damage), name, errors, told_of_sensor):
                    book.add(told, native.head)
            except InputError as error:
                errors.damage.append(str(error))
    health = health_of(book, now_ns, listed, wanted, silent_after)
    if group is not None:
        health = [each for each in health if each.group == group]
    if json:
        told_all = {
            "at": timestamp(now_ns),
            "sensors": [each.document() for each in health],
            "lines_of_more_sensors": book.not_kept,
        }
        write_each([orjson.dumps(told_all, option=orjson.OPT_APPEND_NEWLINE)])
    else:
        print_lines(_table(health, now_ns, book.not_kept))
    if not all(each.well for each in health):
        return NOT_MET
    return code_of(errors) or (OK if health else NOT_MET)  # where nobody tells anything, nobody is known to be well


def _moment_ns(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return round(moment.timestamp() * 1_000_000) * 1000
    except (ValueError, OverflowError) as error:
        expected = "a moment such as 2026-03-02T09:00"
        raise typer.BadParameter(f"found {printable(text, 40)!r}, expected {expected}", param_hint="--at") from error


def _table(health: "Sequence[SensorHealth]", now_ns: int, not_kept: int) -> Iterator[str]:
    from sensor.alerts.spread import counted
    from sensor.alerts.words import moment

    if not health:
        yield "no sensor told anything"
        return
    well = sum(each.well for each in health)
    yield f"{well:,} of {counted(len(health), 'sensor')} well, at {moment(now_ns)} UTC"
    yield ""
    width = min(_NAME_CELLS, max(6, *(len(each.name) for each in health)))
    yield f"{'SENSOR':{width}}  {'HEARD':>12}  {'PACKETS/S':>9}  {'DROPPED':>7}  {'ALERTS/DAY':>10}  BUNDLE, VERSION"
    for each in health:
        yield _row(each, width)
        for finding in each.findings:
            yield f"  {'!' if finding.fault else '-'} {printable(f'{finding.word}: {finding.told}', 400)}"
    if not_kept:
        yield f"and {counted(not_kept, 'line')} of more sensors than are told"


def _row(health: "SensorHealth", width: int) -> str:
    from sensor.alerts.spread import span_in_words

    document = health.document()
    heard = "never" if document["heard"] is None else f"{span_in_words(max(0, health.silence_ns))} ago"
    rate, a_day = document["packets_per_second"], health.alerts_per_day
    bundle, sha256 = health.bundle
    judged = f"{printable(bundle, 64)} {sha256[:_HASH_SHOWN]}, {printable(health.version, 24)}" if sha256 else "-"
    return (
        f"{printable(health.name, 64):{width}}  {heard:>12}  {'-' if rate is None else f'{rate:,.0f}':>9}  "
        f"{health.dropped_share:>7.2%}  {'-' if a_day is None else f'{a_day:.3g}':>10}  {judged}"
    )

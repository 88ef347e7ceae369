"""`flowvigil watch`: interfaces in, alerts out, for as long as it is left running."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sensor.cli.fail_on import FailOnOption, found
from sensor.cli.session import (
    BundleOption,
    Color,
    ColorOption,
    ConfigOption,
    DecapOption,
    FilterOption,
    JsonOption,
    OutputOption,
    QuietOption,
    SetOption,
    settings,
)
from sensor.errors import CAPTURE, OUTPUT

InterfacesOption = Annotated[
    list[str],
    typer.Option("-i", "--interface", metavar="IFACE", help="Interface to watch; more than one by repeating it."),
]
WriteOption = Annotated[
    Path | None, typer.Option("--write", metavar="FILE", help="Keep the packets too, as nanosecond pcapng.")
]
PromiscuousOption = Annotated[
    bool, typer.Option("--promiscuous", help="Also frames for other stations: on a port mirror or a tap.")
]


def watch(
    interfaces: InterfacesOption,
    write: WriteOption = None,
    output: OutputOption = None,
    model: BundleOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    expression: FilterOption = None,
    promiscuous: PromiscuousOption = False,
    decap: DecapOption = False,
    json: JsonOption = False,
    fail_on: FailOnOption = None,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> int:
    """Watch interfaces and report what is anomalous, until Ctrl-C or SIGTERM. Needs CAP_NET_RAW (sudo has it).

    \b
    sudo flowvigil watch -i eth0
    sudo flowvigil watch -i eth0 -i eth1 --filter 'not port 22' -o /var/log/flowvigil/alerts.jsonl
    sudo flowvigil watch -i eth0 --promiscuous --write kept.pcapng
    sudo flowvigil watch -i eth0 | jq -c 'select(.event.kind == "alert") | [.source.ip, .event.reason]'

    Once its sockets are open it becomes the user who called sudo (process.user) and keeps no capability. An interface
    that goes down, is renamed or comes back is followed. Among the alerts on its outputs stand two other kinds of
    lines: each ten seconds and at the end an account of every packet (flowvigil.stats), and events such as an interface
    that went down (flowvigil.sensor).

    \b
    SIGHUP   read the settings again, reopen the outputs (log rotation)
    SIGUSR1  tell the account now, on stderr or the screen
    SIGTERM  end in order: judge what has come, close the open alerts
    """
    if sys.platform == "linux":
        from sensor.privileges import single_threaded_libraries

        single_threaded_libraries()
    from sensor.cli.assembly import Wanted, assembled

    read_settings = partial(
        settings, config, overrides, output, model, decap=decap, filter_=expression, promiscuous=promiscuous
    )
    wanted = Wanted(tuple(dict.fromkeys(interfaces)), write, json, quiet, color, read_settings)
    with assembled(wanted) as run:
        run.run()
    if run.reader_gone():
        raise BrokenPipeError
    if run.reports.problem:
        return CAPTURE
    lost = run.lost_lines() or run.lost_packets
    return OUTPUT if lost else found(fail_on, run.progress.alerts, run.progress.attacks)

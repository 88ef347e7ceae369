"""`flowvigil watch`: interfaces in, alerts out, for as long as it is left running."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from sensor.cli.exit_code import FailOnOption, exit_code
from sensor.cli.flags import Flags, with_flags
from sensor.cli.options import (
    Color,
    ColorOption,
    JsonOption,
    QuietOption,
)

InterfacesOption = Annotated[
    list[str] | None,
    typer.Option("-i", "--interface", metavar="IFACE", help="Interface, repeatable; any: all that are up (Linux)."),
]
AttachOption = Annotated[
    Path | None,
    typer.Option(
        "--attach", metavar="SOCKET", help="Show the sensor that listens there (attach.socket) instead.", readable=False
    ),
]
WriteOption = Annotated[
    Path | None,
    typer.Option(
        "--write", metavar="FILE", help="Keep the packets too in a new file, nanosecond pcapng.", readable=False
    ),
]


@with_flags()
def watch(
    context: typer.Context,
    interfaces: InterfacesOption = None,
    attach: AttachOption = None,
    write: WriteOption = None,
    *,
    flags: Flags,
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
    sudo flowvigil watch -i eth0 --keep-packets /var/lib/flowvigil/packets
    sudo flowvigil watch -i eth0 | jq -c 'select(.event.kind == "alert") | [.source.ip, .event.reason]'
    flowvigil watch --attach /run/flowvigil/attach.sock

    Once its sockets are open it becomes the user who called sudo (process.user) and keeps no capability. An interface
    that goes down, is renamed or comes back is followed. Among the alerts on its outputs stand two other kinds of
    lines: each ten seconds and at the end an account of every packet (flowvigil.stats), and events such as an interface
    that went down (flowvigil.sensor).

    With --attach it shows a sensor that runs already, to its user and the group of attach.group: the latest alerts,
    then what comes, on the terminal or as JSON lines. It needs no privileges and no model, and nothing that it does
    reaches the sensor; only --json, -q and --color go with it. It ends with 0 when the sensor ends in order or you
    leave, with 5 when there is no sensor or it has gone, and with 7 when lines were read too slowly and left out.

    \b
    SIGHUP   read the settings again, reopen the outputs (log rotation)
    SIGUSR1  tell the account now, on stderr or the screen
    SIGTERM  end in order: judge what has come, close the open alerts
    """
    if attach is not None:
        from sensor.cli.attached import attach_to

        return attach_to(context, attach, json=json, quiet=quiet, color=color)
    if not interfaces:
        context.fail("Missing option '-i' / '--interface', or '--attach' to look at a running sensor")
    if sys.platform == "linux":
        from sensor.process.privileges import single_threaded_libraries

        single_threaded_libraries()
    from sensor.cli.assembly import DisplayOptions, WatchOptions, watching
    from sensor.cli.live_capture import named_interfaces

    options = WatchOptions(named_interfaces(interfaces), write, DisplayOptions(json, quiet, color), flags.settings)
    with watching(options) as assembled:
        assembled.run.run()
    return exit_code(assembled, fail_on)

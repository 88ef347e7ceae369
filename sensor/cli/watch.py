"""`flowvigil watch`: interfaces in, alerts out, for as long as it is left running."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensor import log
from sensor.cli.baseline import AlertsADayOption
from sensor.cli.exit_code import FailOnOption, exit_code
from sensor.cli.extras import require_packages
from sensor.cli.flags import Flags, with_flags
from sensor.cli.options import (
    Color,
    ColorOption,
    JsonOption,
    QuietOption,
)
from sensor.cli.packet_options import (
    WriteEveryOption,
    WriteFilesOption,
    WriteOption,
    WriteSizeOption,
    packet_files,
)
from sensor.errors import ModelError

if TYPE_CHECKING:
    from sensor.cli.learning_live import LearnedSite

InterfacesOption = Annotated[
    list[str] | None,
    typer.Option("-i", "--interface", metavar="IFACE", help="Interface, repeatable; any: all that are up (Linux)."),
]
LearnOption = Annotated[
    Path | None,
    typer.Option(
        "--learn", metavar="BUNDLE", help="Learn the site beside watching, and go on with this bundle.", readable=False
    ),
]
LearnForOption = Annotated[str, typer.Option("--learn-for", metavar="TIME", help="Of traffic, such as 90m, 24h or 7d.")]
AttachOption = Annotated[
    Path | None,
    typer.Option(
        "--attach", metavar="SOCKET", help="Show the sensor that listens there (attach.socket) instead.", readable=False
    ),
]


@with_flags()
def watch(
    context: typer.Context,
    interfaces: InterfacesOption = None,
    attach: AttachOption = None,
    write: WriteOption = None,
    write_size: WriteSizeOption = None,
    write_every: WriteEveryOption = None,
    write_files: WriteFilesOption = None,
    learn: LearnOption = None,
    learn_for: LearnForOption = "24h",
    alerts_per_day: AlertsADayOption = 1.0,
    *,
    flags: Flags,
    json: JsonOption = False,
    fail_on: FailOnOption = None,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> int:
    """Watch interfaces and report what is anomalous, until Ctrl-C. Needs CAP_NET_RAW (sudo has it).

    \b
    sudo flowvigil watch -i eth0
    sudo flowvigil watch -i eth0 -i eth1 --filter 'not port 22' -o alerts.jsonl
    sudo flowvigil watch -i eth0 --promiscuous --write kept.pcapng
    sudo flowvigil watch -i eth0 --write kept-%H%M%S.pcapng -G 3600 -C 500 -W 48
    sudo flowvigil watch -i eth0 --keep-packets /var/lib/flowvigil/packets
    sudo flowvigil watch -i eth0 --flows /var/lib/flowvigil/flows
    sudo flowvigil watch -i eth0 | jq 'select(.event.kind == "alert").source.ip'
    sudo flowvigil watch -i eth0 --learn site --learn-for 7d --alerts-per-day 5
    flowvigil watch --attach /run/flowvigil/attach.sock

    Once its sockets are open it becomes the user who called sudo (process.user) and keeps no capability. An interface
    that goes down, is renamed or comes back is followed. Among the alerts on its outputs stand three other kinds of
    lines: each ten seconds and at the end an account of every packet (flowvigil.stats), events such as an interface
    that went down (flowvigil.sensor), and what is no longer as the bundle knows it (flowvigil.drift).

    With -C or -G the packets go to files one after the other, each a whole capture: no packet is lost between two, none
    is in both. With -G the file's name (not its directory's) may hold conversions of strftime, local time. A name that
    is taken gets a number (kept_00001.pcapng): no capture of an earlier run is overwritten, and -W removes none. The
    directory must let the user that the sensor becomes make files. When no more can be written, that is told, the
    watch goes on without, and ends with 7.

    With --learn the flows are kept until there are enough (in BUNDLE.unfinished, or the directory of --flows), over
    several runs if need be; then a baseline of them (flowvigil baseline) is fitted in a process of its own and takes
    the bundle's place. Until then the sensor is warming and judges by the bundle as it is. Where BUNDLE was learnt
    already, it judges from the start and nothing is learnt. Needs scikit-learn.

    With --attach it shows a sensor that runs already, to its user and the group of attach.group: the latest alerts,
    then what comes, on the terminal or as JSON lines. It needs no privileges and no model, and nothing that it does
    reaches the sensor; only --json, -q and --color go with it. It ends with 0 when the sensor ends in order or you
    leave, with 5 when there is no sensor or it has gone, and with 7 when lines were read too slowly and left out.

    \b
    SIGHUP   read the settings and the bundle again, reopen the outputs,
             finish the flow log's file (log rotation)
    SIGUSR1  tell the account now, on stderr or the screen
    SIGTERM  end in order: judge what has come, close the open alerts
    """
    if attach is not None:
        from sensor.cli.attached import attach_to

        return attach_to(context, attach, json=json, quiet=quiet, color=color)
    if not interfaces:
        context.fail("Missing option '-i' / '--interface', or '--attach' to look at a running sensor")
    packets = packet_files(write, write_size, write_every, write_files)
    log.wait_for_nobody()
    if sys.platform == "linux":
        from sensor.process.privileges import single_threaded_libraries

        single_threaded_libraries()
    from sensor.cli.display import DisplayOptions
    from sensor.cli.live_capture import named_interfaces
    from sensor.cli.reload import not_yet_requested
    from sensor.cli.watching import WatchOptions, watching

    settings, learning, site = flags.settings, None, None
    display = DisplayOptions(json, quiet, color)
    with not_yet_requested() as requested:
        if learn is not None:
            site = learned_beside(learn, learn_for, alerts_per_day, flags)
            settings, learning = site.settings, None if site.learnt else partial(site.hook, site.begun)
        try:
            options = WatchOptions(
                named_interfaces(interfaces), packets, display, settings, learning, flags.config, requested
            )
            with watching(options) as assembled:
                assembled.run.run()
        finally:
            if site is not None:
                site.end()
        if site is not None and site.learnt:
            site.clear()
        return exit_code(assembled, fail_on)


def learned_beside(output: Path, learn_for: str, alerts_per_day: float, flags: Flags) -> "LearnedSite":
    """A site to be learnt beside a watch. Raises OutputError where its bundle could not be written."""
    from sensor.cli.baseline import NEEDS
    from sensor.cli.bundle_output import refuse_other_directory
    from sensor.cli.durations import duration_s
    from sensor.cli.learning_live import LearnedSite, has_site, refuse_output, refuse_program, refuse_settings
    from sensor.cli.live_capture import unprivileged_user

    require_packages(NEEDS, "learning a site", "home")
    if flags.settings().detection.bundle_keys is not None and not has_site(output.absolute()):
        raise ModelError(
            f"bundle {output}: what is learnt here has no signature, and detection.bundle_keys are set; expected "
            "flowvigil baseline, its bundle signed where the secret key is, and then watch -m"
        )
    given = (
        *(() if flags.config is None else ("-c", str(flags.config))),
        *(word for override in flags.overrides or () for word in ("--set", override)),
        *(() if flags.site is None else ("--site", str(flags.site))),
    )
    seconds = duration_s(learn_for, "--learn-for")
    site = LearnedSite(output.absolute(), seconds, alerts_per_day, flags.settings, given)
    refuse_other_directory(site.output)
    if has_site(site.output):  # of an earlier run: who starts again does not go back to what it judged by first
        site.learnt = True
        log.info(f"{output} was learnt and judges; nothing is learnt beside this watch (flowvigil baseline does that)")
        return site
    config = flags.settings()
    user = unprivileged_user(config)
    refuse_settings((flags.config, config.site.file), user)
    refuse_output(site.output, user)
    refuse_program(user)
    return site

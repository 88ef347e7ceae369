"""`flowvigil alerts mark`: what was found about an alert, written into the site's notes."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from sensor import log
from sensor.cli.alert_inputs import FilesArgument, alerts_in, code_of, episode_of, errors_told, inputs, site_file
from sensor.cli.options import SiteOption

UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="DATE", help="Last day or time (UTC) on which the rule mutes.")
]


def mark(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Of an alert, or how it begins: at least 4 letters.")],
    files: FilesArgument = None,
    *,
    true: Annotated[bool, typer.Option("--true/--false", help="Was it what it said?", show_default=False)],
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for whoever reads it next year.")],
    until: UntilOption = None,
    site: SiteOption = None,
) -> int:
    """Write into the site's notes that an alert was false, or true.

    \b
    flowvigil alerts mark BRTU --false --why backup --site site.yaml alerts.jsonl
    flowvigil alerts mark QEYE --false --why audit --until 2026-12-31 alerts.jsonl
    flowvigil alerts mark WG7Q --true --why rebuilt --site site.yaml alerts.jsonl

    --false adds the narrowest rule that holds for this alert and its like: its source, target, service and technique.
    Nothing else in the file is touched, comments stay, and a rule that is there already is not added again. Where
    neither side is one host, the alert alone is marked. --true marks it so that no note mutes it. The file is made
    where there is none. A watch takes the notes over at SIGHUP.
    """
    from sensor.site.declared import moment_of
    from sensor.site.writing import add_entry, say_false, true_entry

    path = site_file(site)
    if path is None:
        raise typer.BadParameter("found no file, expected --site or FLOWVIGIL__SITE__FILE", param_hint="--site")
    if until is not None:
        try:
            moment_of(until)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--until") from error
        if true:
            raise typer.BadParameter("found it with --true, expected it with --false", param_hint="--until")
    names = inputs(files)
    with errors_told() as errors:
        alert = episode_of(id_, alerts_in(names, errors), names)[-1].alert
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        said = add_entry(path, *true_entry(alert, why, now)) if true else say_false(path, alert, why, until, now)
        log.info(said)
    return code_of(errors)

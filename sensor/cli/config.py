"""`flowvigil config`: the settings that hold, where each comes from, and whether a file of them is right."""

from pathlib import Path
from typing import Annotated

import typer

from sensor.cli.flags import Flags, with_flags
from sensor.cli.stdout import write_stdout
from sensor.printable import printable

MAX_PATH_CHARACTERS = 300

config_app = typer.Typer(
    help="Show the settings that hold, or check a file of them.", no_args_is_help=True, rich_markup_mode=None
)

OriginOption = Annotated[bool, typer.Option("--origin", help="Also where each comes from, as a comment.")]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="Settings in YAML.", readable=False)]


@config_app.command("show")
@with_flags()
def show(
    origin: OriginOption = False,
    *,
    flags: Flags,
) -> None:
    """Show the settings that hold here, as YAML that -c takes.

    \b
    flowvigil config show
    flowvigil config show --origin -c site.yaml --set meter.idle_timeout_s=60
    flowvigil config show -c /etc/flowvigil/flowvigil.yaml > all.yaml

    Takes the settings as watch does: defaults, then the file, the environment (FLOWVIGIL__METER__IDLE_TIMEOUT_S=60),
    --set and the other options, the later winning.
    """
    from sensor.settings.text import settings_text

    write_stdout(settings_text(flags.effective(), places=origin))


@config_app.command("check")
def check_file(file: FileArgument) -> None:
    """Check a file of settings, all of it and nothing else. Neither the environment nor what the settings name.

    \b
    flowvigil config check site.yaml
    flowvigil config check new.yaml && mv new.yaml /etc/flowvigil/flowvigil.yaml

    Each fault is a line on stderr with file, line, column and the nearest valid name; any gives exit code 3. Whether
    the sensor would start with them says `flowvigil check`.
    """
    from sensor.settings.config import Config, effective_config

    found = effective_config(file)
    settings, default = found.config.model_dump(), Config().model_dump()
    other = sum(value != default[section][name] for section in settings for name, value in settings[section].items())
    set_names = [name for name in found.places if name.count(".") == 1]
    write_stdout(
        f"{printable(str(file), MAX_PATH_CHARACTERS)}: valid, {_count(len(set_names), 'setting')}, {other} "
        f"other than the default, {_count(len(found.config.outputs), 'output')} listed\n"
    )


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

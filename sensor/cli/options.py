"""Options that several commands have."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


def _settings_from(incomplete: str) -> list[str]:
    """Completions for the shell: settings that begin with the typed text."""
    from sensor.settings.config import setting_names

    return [f"{name}=" for name in setting_names() if name.startswith(incomplete)]


# readable=False with each path, here and elsewhere: a file is checked where it is opened, with its exit code.
ConfigOption = Annotated[
    Path | None, typer.Option("-c", "--config", metavar="FILE", help="Settings in YAML.", readable=False)
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="A.B=C",
        help="One setting, e.g. meter.idle_timeout_s=60.",
        autocompletion=_settings_from,
    ),
]
BundleOption = Annotated[
    str | None, typer.Option("-m", "--model", metavar="BUNDLE", help="Bundle directory, or the name of a shipped one.")
]


def _no_hyphen(output: Path | None) -> Path | None:
    """A file, or None. Raises typer.BadParameter for -, which elsewhere means stdout."""
    if output == Path("-"):
        raise typer.BadParameter("found -, expected a file: JSONL goes to stdout by itself, in a terminal with --json")
    return output


OutputOption = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="Append alerts as JSONL.", readable=False, callback=_no_hyphen),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSONL on stdout also in a terminal.")]
FilterOption = Annotated[
    str | None,
    typer.Option("--filter", metavar="EXPR", help="Only these packets, e.g. 'tcp port 443' (pcap-filter)."),
]
PromiscuousOption = Annotated[
    bool, typer.Option("--promiscuous", help="Also frames for other stations: on a port mirror or a tap.")
]
DecapOption = Annotated[
    bool, typer.Option("--decap", help="Look into tunnels: GRE, ERSPAN, VXLAN, Geneve, GTP-U, TZSP, IP in IP.")
]
KeepPacketsOption = Annotated[
    Path | None,
    typer.Option(
        "--keep-packets", metavar="DIR", help="Keep the packets of each alert in DIR/<event.id>.pcapng.", readable=False
    ),
]
FlowsOption = Annotated[
    Path | None,
    typer.Option("--flows", metavar="DIR", help="Log all flows in DIR as Parquet, with their scores.", readable=False),
]
SiteOption = Annotated[
    Path | None,
    typer.Option("--site", metavar="FILE", help="Networks, assets and rules of this site, in YAML.", readable=False),
]
QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="No summary; errors only.")]


class Color(StrEnum):
    """When to use colours: as the terminal and NO_COLOR say, or regardless of them."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


ColorOption = Annotated[Color, typer.Option("--color", metavar="WHEN", help="auto, always or never.")]

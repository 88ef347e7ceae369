"""The manual page, made from the command line's own help: `python -m sensor.cli.manual` writes docs/flowvigil.1.

It knows no command by name. Source: man-pages(7) for the sections, groff_man(7) for the macros. The page carries the
version and no date, so the same command line gives the same bytes.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer.main

from sensor.cli import app
from sensor.errors import EXIT_CODES
from sensor.settings.config import Config, setting_names
from sensor.settings.text import value_text
from sensor.version import VERSION

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "flowvigil.1"
VERBATIM: Final = "\b"  # first character of a help paragraph that is not filled
ENVIRONMENT: Final = (
    ("FLOWVIGIL__SECTION__NAME", "A setting, such as FLOWVIGIL__METER__IDLE_TIMEOUT_S=60."),
    ("FLOWVIGIL_LOG_FORMAT", "As --log-format."),
    ("FLOWVIGIL_DATA", "As --data of train and evaluate."),
    ("FLOWVIGIL_TOKEN", "The token that requests to serve must show."),
    ("FLOWVIGIL_TRACEBACK", "When set, an internal error shows where it happened."),
    ("NUMBA_CACHE_DIR", "Where compiled kernels are kept; without it, in the cache directory of the user or service."),
    ("NO_COLOR", "When set, nothing is coloured unless --color always."),
)
MESSAGES: Final = (
    "Messages go to stderr, results to stdout. With --log-format json each message is a line of JSON with the fields "
    "@timestamp, log.level, message and event.dataset (flowvigil.log), names as in the Elastic Common Schema; the one "
    "that says why a command stopped has process.exit_code too."
)
COMPLETION: Final = (
    "flowvigil --install-completion sets up bash, zsh or fish, whichever it is called from; --show-completion prints "
    "the lines instead."
)


def manual() -> str:
    """The manual page in roff."""
    group: Any = typer.main.get_command(app)
    lines = [
        f'.TH FLOWVIGIL 1 "" "flowvigil {VERSION}" "User Commands"',
        ".SH NAME",
        f"flowvigil \\- {_roff(_first_line(group.help)).rstrip('.')}",
        ".SH SYNOPSIS",
        ".B flowvigil",
        "[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGS\\fR]",
        ".SH OPTIONS",
        "These stand before the command.",
        *_parameters(group),
        ".SH COMMANDS",
        *_commands(group, "flowvigil"),
        *_settings(),
        ".SH MESSAGES",
        _roff(MESSAGES),
        ".SH SHELL COMPLETION",
        _roff(COMPLETION),
        ".SH EXIT STATUS",
        *(line for code, _, meaning in EXIT_CODES for line in (".TP", f".B {code}", _roff(meaning))),
        ".SH ENVIRONMENT",
        *(line for name, meaning in ENVIRONMENT for line in (".TP", f".B {_roff(name)}", _roff(meaning))),
        ".SH SEE ALSO",
        ".BR pcap\\-filter (7),",
        ".BR tshark (1),",
        ".BR jq (1)",
    ]
    return "\n".join(lines) + "\n"


def commands_of(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """All commands of a group and its subgroups, with the full names that call them; hidden ones are left out."""
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from commands_of(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _commands(group: Any, path: str) -> Iterator[str]:
    for name, command in commands_of(group, path):
        arguments = " ".join(_argument(param) for param in command.params if param.param_type_name == "argument")
        yield f'.SS "{_roff(f"{name} [OPTIONS] {arguments}".strip())}"'
        yield from _paragraphs(command.help)
        yield from _parameters(command)


def _paragraphs(text: str | None) -> Iterator[str]:
    for index, paragraph in enumerate(inspect.cleandoc(text or "").split("\n\n")):
        if index:
            yield ".PP"
        if paragraph.startswith(VERBATIM):
            yield from (".nf", ".RS 4")
            yield from (_roff(line) for line in paragraph.removeprefix(VERBATIM).strip("\n").splitlines())
            yield from (".RE", ".fi")
        else:
            yield from (_roff(line) for line in paragraph.splitlines())


def _parameters(command: Any) -> Iterator[str]:
    for param in command.params:
        if getattr(param, "hidden", False) or "--help" in param.opts:
            continue
        name = _argument(param) if param.param_type_name == "argument" else _option(param)
        sentences = [param.help or "", "Required." if param.required and param.param_type_name == "option" else ""]
        if isinstance(param.envvar, str):
            sentences.append(f"Also by {param.envvar} in the environment.")
        yield from (".TP", f".B {_roff(name)}", _roff(" ".join(part for part in sentences if part)))


def _argument(param: Any) -> str:
    name = param.metavar or param.name.upper()
    more = "..." if param.nargs == -1 and not name.endswith(("...", "…")) else ""
    return name + more if param.required else f"[{name}]{more}"


def _option(param: Any) -> str:
    names = ", ".join([*param.opts, *param.secondary_opts])
    if param.is_flag or param.count:
        return names
    return f"{names} {param.metavar or param.name.upper()}"


def _settings() -> Iterator[str]:
    defaults = Config().model_dump()
    yield from (".SH SETTINGS", _roff("All of them with their defaults; configs/default.yaml has the reason of each."))
    yield from (".nf", ".RS 4")
    for name in setting_names():
        section, _, last = name.partition(".")
        yield _roff(f"{name}: {value_text(defaults[section][last])}")
    yield from (".RE", ".fi")


def _first_line(text: str) -> str:
    return inspect.cleandoc(text).splitlines()[0]


def _roff(text: str) -> str:
    """Text escaped for roff, with hyphens that can be copied."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq").replace("'", "\\(aq")
    for sign, name in (("^", "\\(ha"), ("~", "\\(ti"), ("`", "\\(ga"), ("…", "...")):
        escaped = escaped.replace(sign, name)
    return f"\\&{escaped}" if escaped.startswith(".") else escaped


if __name__ == "__main__":
    PAGE.write_text(manual(), encoding="utf-8")

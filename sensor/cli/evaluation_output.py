"""What flowvigil evaluate writes: figures on stdout, the page to its file, and the line that makes it again."""

from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from sensor import log
from sensor.cli.stdout import write_lines, write_stdout
from sensor.errors import OutputError, reason_of
from sensor.files import unfinished
from sensor.files.unfinished import PUBLIC, whole_file
from sensor.printable import printable

if TYPE_CHECKING:
    from training.page.content import Page

MAX_LINE_CHARACTERS = 1000


def print_figures(content: dict[str, Any], table: Callable[[dict[str, Any]], str], *, as_json: bool) -> None:
    """The figures on stdout, as JSON or as a table."""
    if as_json:
        import orjson

        write_lines((orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE),))
        return
    for line in table(content).splitlines():
        write_stdout(printable(line, MAX_LINE_CHARACTERS) + "\n")


def refuse_unwritable(output: Path | None) -> None:
    """Raise OutputError for a report that cannot be written, before minutes are spent on it."""
    if output is None:
        return
    try:
        unfinished.refuse_unwritable(output)
    except OSError as error:
        raise OutputError(f"report {output} cannot be written: {reason_of(error)}") from error


def command_of(
    named: tuple[Path, Path, Path | None, Path | None],
    protocol: str,
    days: tuple[str, ...],
    hosts: int | None,
    seed: int,
    output: Path,
    data: Path | None = None,
) -> str:
    """The command line that writes the same page, with all defaults.

    named: bundle, dataset, the other bundle, the map of labels. hosts: of the re-homed copy, None without one. data:
    where files may lie, None for nowhere else.
    """
    bundle, dataset, beside, labels = named
    words = ["flowvigil", "evaluate", str(bundle), str(dataset), "--protocol", protocol]
    for day in days:
        words += ["--day", day]
    if hosts is not None:
        words += ["--rehome", str(hosts)]
    words += ["--seed", str(seed)]
    if beside is not None:
        words += ["--beside", str(beside)]
    if labels is not None:
        words += ["--labels", str(labels)]
    if data is not None:
        words += ["--data", str(data)]
    words += ["-o", str(output)]
    return " ".join(quote(word) for word in words)


def write_report(page: "Page", output: Path) -> None:
    """Write the page to its file. Raises OutputError."""
    from training.page.render import html_of

    log.progress("drawing the report")
    try:
        content = html_of(page).encode()
        with whole_file(output, PUBLIC) as stream:
            stream.write(content)
    except OSError as error:
        raise OutputError(f"report {output} cannot be written: {reason_of(error)}") from error
    log.progress(f"report written to {output}")

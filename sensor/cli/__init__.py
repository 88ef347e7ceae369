"""The command line. Heavy packages load inside the commands that need them, so that --help answers at once."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from sensor.cli.check import check
from sensor.cli.evaluate import evaluate
from sensor.cli.explore import explore
from sensor.cli.flows import flows
from sensor.cli.read import read
from sensor.cli.serve import serve
from sensor.cli.train import train
from sensor.cli.watch import watch
from sensor.errors import BROKEN_PIPE, INTERNAL, INTERRUPTED, SensorError
from sensor.escape import printable
from sensor.version import VERSION

EPILOG = "Exit codes: 0 ok, 2 usage, 3 config, 4 model, 5 capture, 6 input, 7 output, 130 interrupted, 141 broken pipe."

app = typer.Typer(
    name="flowvigil",
    help="Network anomaly sensor: packets in, CIC-style flows, hybrid LSTM and Isolation Forest alerts out.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("read")(read)
app.command("watch")(watch)
app.command("check")(check)
app.command("flows")(flows)
app.command("explore")(explore)
app.command("train")(train)
app.command("evaluate")(evaluate)
app.command("serve")(serve)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"flowvigil {VERSION}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options that stand before the command."""


def main() -> None:
    """Run a command; every stop that an operator can cause is one line on stderr and a documented exit code."""
    sys.exit(_run())


def _run() -> int:
    try:
        _stand_in_for_closed_streams()
        result: Any = app(standalone_mode=False)
    except SensorError as error:
        return _stop(str(error), error.exit_code, error.detail)
    except BrokenPipeError:
        return _reader_gone()
    except SystemExit as end:
        # The command line's library has an answer of its own to a reader that has gone.
        if isinstance(end.__context__, BrokenPipeError):
            return _reader_gone()
        raise
    except (KeyboardInterrupt, typer.Abort):
        return _stop("interrupted", INTERRUPTED)
    except typer.Exit as end:
        return end.exit_code
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # a usage error of the command line's library
            return _usage(error)
        if os.environ.get("FLOWVIGIL_TRACEBACK"):
            raise
        return _stop(f"internal error: {type(error).__name__}: {error} (FLOWVIGIL_TRACEBACK=1 shows where)", INTERNAL)
    return result if isinstance(result, int) else 0


def _stop(message: str, code: int, detail: Sequence[str] = ()) -> int:
    """One line, and lines of detail as they are laid out."""
    lines = [f"flowvigil: {printable(' '.join(message.split()), 1000)}", *(printable(line, 1000) for line in detail)]
    print("\n".join(lines), file=sys.stderr)  # noqa: T201
    return code


def _usage(error: Any) -> int:
    """One line, or the whole help where nothing was asked for."""
    message = error.format_message()
    if "\n" in message:
        error.show()
        return int(error.exit_code)
    command = getattr(error.ctx, "command_path", "flowvigil")
    return _stop(f"{message.rstrip('.')} (see {command} --help)", int(error.exit_code))


def _reader_gone() -> int:
    """Keep the interpreter from writing what is buffered for nobody."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


def _stand_in_for_closed_streams() -> None:
    """Send a closed stdout or stderr nowhere: else a file that is opened later gets its number and its text."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # until the process ends

"""The command line. Heavy packages load inside the commands that need them, so that --help answers at once."""

import os
import sys
from typing import Annotated, Any

import typer

from sensor.cli.read import read
from sensor.cli.train import train
from sensor.cli.watch import watch
from sensor.errors import BROKEN_PIPE, INTERNAL, INTERRUPTED, SensorError
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
app.command("train")(train)


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
        result: Any = app(standalone_mode=False)
    except SensorError as error:
        return _stop(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader of stdout has gone; keep the interpreter from writing what is buffered.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return _stop("interrupted", INTERRUPTED)
    except typer.Exit as end:
        return end.exit_code
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # a usage error of the command line's library
            error.show()
            return int(error.exit_code)
        if os.environ.get("FLOWVIGIL_TRACEBACK"):
            raise
        return _stop(f"internal error: {type(error).__name__}: {error} (FLOWVIGIL_TRACEBACK=1 shows where)", INTERNAL)
    return result if isinstance(result, int) else 0


def _stop(message: str, code: int) -> int:
    line = " ".join(message.split())
    print(f"flowvigil: {line}", file=sys.stderr)  # noqa: T201
    return code

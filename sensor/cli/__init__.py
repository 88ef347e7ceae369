"""The command line. Heavy packages load inside the commands that need them, so that --help answers at once."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperArgument

from sensor import log
from sensor.cli.alerts import app as alerts
from sensor.cli.baseline import baseline
from sensor.cli.check import check
from sensor.cli.config import config_app
from sensor.cli.evaluate import evaluate
from sensor.cli.explore import explore
from sensor.cli.flows import flows
from sensor.cli.lab import app as lab_app
from sensor.cli.model import app as model_app
from sensor.cli.promote import promote
from sensor.cli.read import read
from sensor.cli.rehearse import rehearse
from sensor.cli.report import report
from sensor.cli.schema import schema
from sensor.cli.selftest import selftest
from sensor.cli.serve import serve
from sensor.cli.stdout import FULL_ERRORS, discard_if_full, let_go_of_readers, own_streams, stdout_error, write_stdout
from sensor.cli.train import train
from sensor.cli.warm_up import warm_up
from sensor.cli.watch import watch
from sensor.errors import (
    BROKEN_PIPE,
    EXIT_CODES,
    INTERNAL,
    INTERRUPTED,
    InputError,
    OutputError,
    SensorError,
    reason_of,
)
from sensor.signals import interrupted
from sensor.version import VERSION


def _choices_alone(argument: TyperArgument, ctx: Any) -> str | None:
    """What stands behind an argument's name in a help: the choices that there are, and no type of Python's."""
    return argument.display_type(ctx) if argument.type_descriptor.is_choice else None


TyperArgument.display_type_rich = _choices_alone  # type: ignore[method-assign, assignment]

EPILOG = f"Exit codes: {', '.join(f'{code} {word}' for code, word, _ in EXIT_CODES)}."

app = typer.Typer(
    name="flowvigil",
    help="Network anomaly sensor: packets in, CIC-style flows, hybrid LSTM and Isolation Forest alerts out.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("read")(read)
app.command("watch")(watch)
app.command("check")(check)
app.command("flows")(flows)
app.command("report")(report)
app.add_typer(alerts)
app.command("rehearse")(rehearse)
app.command("selftest")(selftest)
app.command("schema")(schema)
app.add_typer(config_app, name="config")
app.add_typer(model_app)
app.command("explore")(explore)
app.command("train")(train)
app.command("baseline")(baseline)
app.command("evaluate")(evaluate)
app.command("promote")(promote)
app.add_typer(lab_app)
app.command("serve")(serve)
app.command("warm-up")(warm_up)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"flowvigil {VERSION}")
        raise typer.Exit


def _set_log_format(log_format: log.LogFormat) -> log.LogFormat:
    log.set_format(log_format)
    return log_format


def _set_verbose(wanted: bool) -> None:
    log.set_level(log.Level.DEBUG if wanted else log.Level.INFO)


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    log_format: Annotated[
        log.LogFormat,
        typer.Option(
            "--log-format",
            metavar="FORM",
            callback=_set_log_format,
            is_eager=True,
            envvar="FLOWVIGIL_LOG_FORMAT",
            help="Messages on stderr: text, or json for a line of JSON each.",
        ),
    ] = log.LogFormat.TEXT,
    verbose: Annotated[
        bool,
        typer.Option(
            "-v", "--verbose", callback=_set_verbose, is_eager=True, help="Also say where settings come from."
        ),
    ] = False,
) -> None:
    """Options that stand before the command."""


def main() -> None:
    """Run a command; every stop that an operator can cause is one line on stderr and a documented exit code."""
    sys.exit(_run())


def _run() -> int:
    try:
        own_streams()
        result = _called()
        write_stdout("")  # buffered text must not fail later, when no error can be reported any more
    except InputError as error:
        discard_if_full()
        *others, last = str(error), *error.others
        for problem in others:
            log.error(problem)
        return _report_stop(last, error.exit_code, error.detail)
    except SensorError as error:
        discard_if_full()
        return _report_stop(str(error), error.exit_code, error.detail)
    except BrokenPipeError:
        return _reader_gone()
    except SystemExit as end:
        # The command line's library handles a reader that has gone with an exit of its own.
        if isinstance(end.__context__, BrokenPipeError):
            return _reader_gone()
        if end.code == INTERRUPTED:
            let_go_of_readers()
        raise
    except (KeyboardInterrupt, typer.Abort):
        let_go_of_readers()
        return _report_stop("interrupted", INTERRUPTED)
    except typer.Exit as end:
        return end.exit_code
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # a usage error of the command line's library
            return _report_usage(error)
        if os.environ.get("FLOWVIGIL_TRACEBACK") and not interrupted():
            raise
        return _report_unexpected(error)
    return result if isinstance(result, int) else 0


def _called() -> Any:
    """What the command of the command line gives. Raises what it raises, and KeyboardInterrupt."""
    result: Any = app(standalone_mode=False, prog_name="flowvigil")
    if result == INTERRUPTED and interrupted():  # which the command line's library has made an exit code of
        raise KeyboardInterrupt
    return result


def _report_stop(message: str, code: int, detail: Sequence[str] = ()) -> int:
    """Log the error, one line and lines of detail; return the exit code."""
    log.error(message, detail, code)
    return code


def _report_unexpected(error: Exception) -> int:
    """Log an error that nobody expected; return the exit code."""
    if interrupted():
        return _report_stop("interrupted", INTERRUPTED)
    if isinstance(error, OSError) and error.errno in FULL_ERRORS:
        stop = stdout_error(error) or OutputError(f"{error.filename or 'a file'}: {reason_of(error)}")
        return _report_stop(str(stop), stop.exit_code)
    return _report_stop(
        f"internal error: {type(error).__name__}: {error} (FLOWVIGIL_TRACEBACK=1 shows where)", INTERNAL
    )


def _report_usage(error: Any) -> int:
    """Log a usage error, or show the help where there are no arguments; return the exit code."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return int(error.exit_code)
    from sensor.cli.mistakes import words_of

    return _report_stop(words_of(error), int(error.exit_code))


def _reader_gone() -> int:
    """Redirect stdout, so that the interpreter does not fail on buffered text at exit; return the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE

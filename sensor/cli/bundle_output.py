"""A bundle to the directory that a command names: the old one or the new one, whole, whatever ends the command."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.errors import ModelError, OutputError, reason_of

if TYPE_CHECKING:
    from sensor.files.replacing import ReplacedDirectory

LONGEST_WAIT_S: Final = 600.0  # for a promotion that compares bundles: what was fitted for hours is not thrown away

# Names of files that a bundle's directory may have.
OF_BUNDLES: Final = (
    *("manifest.json", "weights.safetensors", "baselines.json", "baselines.safetensors"),
    *("manifest.json.minisig", "baselines.json.minisig", "promotion.json"),
)


def refuse_other_directory(output: Path) -> None:
    """Raise OutputError for a directory that holds something else than a bundle."""
    try:
        with suppress(FileNotFoundError):
            output.stat()  # what the system refuses is told at once
        if os.path.isdir(output):
            others = [entry.name for entry in output.iterdir() if entry.name not in OF_BUNDLES]
            if others:
                raise OutputError(f"{output}: found {others[0]!r:.60} there, expected a bundle or a new directory")
        elif os.path.exists(output):
            raise OutputError(f"{output}: is no directory, expected a bundle or a new directory")
        elif not os.path.isdir(output.absolute().parent):
            raise OutputError(f"{output}: there is no directory {output.absolute().parent}")
    except OSError as error:
        raise OutputError(f"bundle {output} cannot be written: {reason_of(error)}") from error


def put_bundle(output: Path, write: Callable[[Path], None], progress: Callable[[str], None]) -> None:
    """Have a bundle written and put at its name; what was there before is kept beside it, and progress told where.

    write: fills an empty directory. Raises OutputError, ModelError for a bundle that cannot be loaded again.
    """
    from sensor.files.replacing import BusyError, NotAtomicError, ReplacedDirectory

    place = ReplacedDirectory(Path(os.path.abspath(output)))  # `..` is no name
    try:
        with _alone(place, progress):
            if not os.path.exists(output):
                place.create(write)
                return
            place.replace(write)
            progress(f"what was there before is {place.previous} now")
    except OSError as error:
        raise OutputError(f"bundle {output} cannot be written: {reason_of(error)}") from error
    except (NotAtomicError, BusyError) as error:
        raise OutputError(str(error)) from error
    except ValueError as error:
        raise ModelError(str(error)) from error


@contextmanager
def _alone(place: "ReplacedDirectory", progress: Callable[[str], None]) -> Iterator[None]:
    """Keep others from replacing a directory, once whoever does so now has ended. Raises BusyError, OSError."""
    from sensor.files.replacing import BusyError

    last_s, told = time.monotonic() + LONGEST_WAIT_S, False
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(place.locked())
                break
            except BusyError:
                if time.monotonic() >= last_s:
                    raise
            if not told:
                progress(f"waiting for another process, which replaces a bundle in {place.name.parent}")
                told = True
            time.sleep(0.05)
        yield

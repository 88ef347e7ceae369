"""Flow logs and flow tables among what commands read, told from captures by their content."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

import typer

from flows.magics import CAPTURE_MAGICS
from sensor.files.magic import PARQUET_MAGIC
from sensor.printable import printable


def are_flow_logs(names: Sequence[str]) -> bool:
    """Whether these are flow logs or flow tables and not captures. Raises typer.BadParameter where both are named."""
    logs = [name for name in names if is_flow_log(name)]
    others = [name for name in names if name not in logs]
    if logs and others:
        raise typer.BadParameter(
            f"found a flow log, {printable(logs[0], 100)}, and captures, {printable(others[0], 100)}: "
            "expected one kind at a time"
        )
    return bool(logs)


def is_flow_log(name: str) -> bool:
    """Whether a name stands for a flow log: a Parquet file, a directory with a log's files or nothing but Parquet, or a
    pattern that such files alone match.

    Raises typer.BadParameter for a directory that has a log and captures.
    """
    from sensor.flow_log.files import SUFFIX, log_name
    from sensor.flow_log.parts import is_pattern, named_files

    path = Path(name)
    try:
        if not os.path.isdir(path) and not is_pattern(path):
            return name != "-" and os.path.isfile(path) and _begins_with(path, (PARQUET_MAGIC,))
        files = named_files(path)
    except OSError:  # which is told by whoever opens it
        return False
    logged = [entry for entry in files if log_name(entry.name) is not None]
    if not logged:
        return bool(files) and all(entry.suffix == SUFFIX for entry in files)
    for entry in files:
        if entry.suffix != SUFFIX and _begins_with(entry, CAPTURE_MAGICS):
            raise typer.BadParameter(
                f"{printable(name, 100)}: found a flow log, {logged[0].name}, and captures, "
                f"{printable(entry.name, 100)}: expected one kind, name the files that are meant"
            )
    return True


def _begins_with(path: Path, magics: Collection[bytes]) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(4) in magics
    except OSError:
        return False

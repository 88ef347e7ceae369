"""The files that a name stands for: a file itself, those of a directory, or those that match a pattern.

A table may be in parts, as Spark, Dask and pyarrow write it: a directory that has no file of its own stands for those
of all directories below it. Names that begin with a dot or an underscore are no parts.
"""

import os
from collections.abc import Iterator
from glob import glob, has_magic
from pathlib import Path


def is_pattern(name: str | Path) -> bool:
    """Whether a name stands for all files that match it, and is not itself there."""
    return has_magic(str(name)) and not os.path.exists(name)


def named_files(path: Path) -> list[Path]:
    """The files that a path stands for, whatever is in them; of a pattern none may match. Raises OSError."""
    if is_pattern(path):
        return [Path(name) for name in glob(str(path), recursive=True) if os.path.isfile(name)]
    if not os.path.isdir(path):
        path.stat()
        return [path]
    own = [entry for entry in path.iterdir() if not _is_hidden(entry.name) and os.path.isfile(entry)]
    return own or list(_below(path))


def _below(directory: Path) -> Iterator[Path]:
    for root, directories, names in os.walk(directory):
        directories[:] = [name for name in directories if not _is_hidden(name)]
        yield from (path for name in names if not _is_hidden(name) and os.path.isfile(path := Path(root, name)))


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))

"""Names of files as figures and pages have them: they are UTF-8, which a file's name need not be."""

import os
from glob import has_magic
from pathlib import Path


def file_name(file: Path, within: Path | None = None) -> str:
    """Name of a file or directory, below another one where that is given; bytes that are no UTF-8 are escapes."""
    name = file.name if within is None or within == file else str(file.relative_to(_directory(within)))
    return name.encode("utf-8", "backslashreplace").decode()


def _directory(dataset: Path) -> Path:
    """Of a pattern, the directory that all of its files lie below."""
    while has_magic(str(dataset)) and not os.path.exists(dataset):
        dataset = dataset.parent
    return dataset

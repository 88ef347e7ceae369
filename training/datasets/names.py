"""Names of files as figures and pages have them: they are UTF-8, which a file's name need not be."""

from pathlib import Path


def file_name(file: Path, within: Path | None = None) -> str:
    """Name of a file or directory, below another one where that is given; bytes that are no UTF-8 are escapes."""
    name = file.name if within is None or within == file else str(file.relative_to(within))
    return name.encode("utf-8", "backslashreplace").decode()

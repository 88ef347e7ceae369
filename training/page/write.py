"""A finished page onto the disk: whole, or not at all."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile


def refuse_unwritable(path: Path) -> None:
    """Raise OSError where a page could not be written, before the work for it begins."""
    if path.is_dir():
        raise IsADirectoryError(21, "is a directory")
    if not path.parent.is_dir():
        raise FileNotFoundError(2, "its directory does not exist")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(13, "its directory cannot be written")


def write_page(html: str, path: Path) -> None:
    """Write a page under a temporary name beside it and rename it: the old one stands until the new one is whole.

    Raises OSError; then nothing is left behind.
    """
    refuse_unwritable(path)
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        unfinished = Path(file.name)
        try:
            file.write(html)
            file.flush()
            os.fsync(file.fileno())
            unfinished.chmod(0o666 & ~_umask())
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


def _umask() -> int:
    """The process's mask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask

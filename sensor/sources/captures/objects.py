"""Captures in object stores, through fsspec: `s3://bucket/prefix`, and whatever else a package is installed for.

Whose the account is, and where the store, is said by the environment and the files of that package (AWS_PROFILE,
AWS_ENDPOINT_URL …). What is read comes in pieces as it is wanted; nothing is kept on disk.
Source: https://filesystem-spec.readthedocs.io, https://s3fs.readthedocs.io.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

from sensor.errors import InputError
from sensor.printable import printable

PIECE_BYTES: Final = 4 << 20  # asked of a store at once
MOST_OBJECTS: Final = 1_000_000  # of one listing
_NAME: Final = re.compile(r"[a-z][a-z0-9+.-]*://")
_CAPTURE: Final = re.compile(r"\.(pcap|pcapng|cap|dmp)\d*(\.\d+)?(\.(gz|zst|xz|bz2|lz4))?", re.IGNORECASE)
# Of a store that does not answer there is a word within a minute, in place of many.
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "s3": {"config_kwargs": {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 2}}}
}


class StoreError(Exception):
    """A store that does not give what it has been asked for: for now, as far as anybody knows."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it is stored."""

    name: str
    size: int  # bytes
    tag: str  # changes when it does: its ETag, or when it was written


def is_object(name: str) -> bool:
    """Whether a capture's name is that of an object, or of a prefix or a pattern of such."""
    return _NAME.match(name) is not None


def objects_in(name: str) -> list[StoredObject]:
    """What there is of a name, by name: the object, what matches a pattern, or the captures below a prefix.

    Below a prefix those are captures that are called like one. Raises StoreError, and InputError where it holds none.
    """
    with _asking():
        files, path = _store(name)
        if any(sign in path for sign in "*?["):
            found = files.glob(path, detail=True)
        elif files.isfile(path):
            found = {path: files.info(path)}
        else:
            found = {at: about for at, about in files.find(path, detail=True).items() if _is_called_like_one(at)}
        objects = [_stored(files, at, about) for at, about in sorted(found.items()) if about["type"] == "file"]
    if not objects:
        raise InputError(f"{printable(name, 200)}: found no object that is called like a capture")
    if len(objects) > MOST_OBJECTS:
        raise InputError(f"{printable(name, 200)}: found {len(objects):,} objects, expected at most {MOST_OBJECTS:,}")
    return objects


class ObjectFile:
    """The bytes of an object, one after the other (flows.byte_stream.RawFile)."""

    def __init__(self, name: str) -> None:
        """Open it. Raises StoreError."""
        with _asking():
            files, path = _store(name)
            self._stream = files.open(path, "rb", block_size=PIECE_BYTES, cache_type="readahead")
            self.size = int(self._stream.size)

    def readinto(self, view: memoryview, /) -> int:
        """Read into the view: bytes read, 0 at the end. Raises StoreError."""
        with _asking():
            found = self._stream.read(len(view))
        view[: len(found)] = found
        return len(found)

    def fileno(self) -> int:
        """It has none."""
        raise OSError("an object has no descriptor")

    def close(self) -> None:
        """Read no more."""
        self._stream.close()


def _store(name: str) -> tuple[Any, str]:
    """The store of an object, and the object's name in there."""
    if find_spec("fsspec") is None:
        raise StoreError("needs the extra: pip install 'flowvigil[object-stores]'")
    import fsspec

    files, path = fsspec.url_to_fs(name, **_OPTIONS.get(name.partition("://")[0], {}))
    return files, path


def _stored(files: Any, path: str, about: dict[str, Any]) -> StoredObject:
    written = next(
        (about[key] for key in ("ETag", "etag", "LastModified", "last_modified", "mtime") if key in about), ""
    )
    return StoredObject(files.unstrip_protocol(path), int(about["size"]), str(written))


def _is_called_like_one(path: str) -> bool:
    name = path.rpartition("/")[2]
    return not name.startswith(".") and _CAPTURE.search(name) is not None


@contextmanager
def _asking() -> Iterator[None]:
    """Have whatever a store's package raises be a StoreError of one line."""
    try:
        yield
    except StoreError:
        raise
    except FileNotFoundError as error:
        raise StoreError("no such object or bucket") from error
    except Exception as error:
        raise StoreError(printable(" ".join(str(error).split()), 200) or type(error).__name__) from error

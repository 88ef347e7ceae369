"""Formats of what is written and read again later, maybe by another release: a kind and a version, as `alert/1`.

Whoever reads a kind says which versions; any other is refused by name, in one line that says what to do. It knows
nothing of what a kind holds.
"""

import re
import reprlib
from dataclasses import dataclass
from typing import Final

_TAG: Final = re.compile(r"(?P<kind>[a-z.-]+)/(?P<version>[0-9]{1,9})")
_FOUND: Final = reprlib.Repr()
_FOUND.maxlevel, _FOUND.maxstring = 4, 200  # whoever wrote it may have nested it a thousand deep


class OtherVersionError(ValueError):
    """A version of a kind that this release does not read, or no version at all: one line."""


@dataclass(frozen=True, slots=True)
class Format:
    """A kind, the version that is written, and the oldest one that is read.

    A version is counted up where a release before would misread what is written from now on; fields that it leaves
    unread are no reason.
    """

    kind: str  # such as `alert`
    version: int = 1  # that is written
    oldest: int = 1  # that is read
    instead: str = "make it anew"  # what to do with one that is too old

    def __str__(self) -> str:
        return f"{self.kind}/{self.version}"

    @property
    def versions(self) -> tuple[int, ...]:
        """All that are read, the oldest first."""
        return tuple(range(self.oldest, self.version + 1))

    def version_of(self, tag: object) -> int:
        """The version that a tag says, such as 1 of `alert/1`. Raises OtherVersionError where it is not read."""
        found = _TAG.fullmatch(tag) if isinstance(tag, str) else None
        if found is None or found["kind"] != self.kind:
            raise OtherVersionError(f"found {_FOUND.repr(tag):.80}, expected {self}")
        return self.checked(int(found["version"]))

    def checked(self, version: int) -> int:
        """The same version. Raises OtherVersionError where it is not read."""
        if version in self.versions:
            return version
        read = str(self) if self.oldest == self.version else f"{self.kind}/{self.oldest} to {self}"
        if version > self.version:
            raise OtherVersionError(
                f"found {self.kind}/{version}, which a newer flowvigil wrote; expected {read}: upgrade flowvigil"
            )
        raise OtherVersionError(
            f"found {self.kind}/{version}, which is no longer read; expected {read}: {self.instead}"
        )

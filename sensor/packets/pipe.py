"""Packets written to a named pipe or a device, for a program that looks at them live: nobody waits for it.

It is opened by the first write, when the privileges have gone. Each reader gets a section of its own, from the packets
of its time on; what a reader is too slow for, and what comes while there is none, is not written.
"""

import errno
import os
import time
from pathlib import Path
from typing import Final

from flows.block import Int64s, PacketBlock
from sensor.errors import OutputError, reason_of
from sensor.files.special import open_special
from sensor.packets.pcapng import PcapngWriter

WAITING_BYTES: Final = 4 << 20  # that may wait for the reader
AGAIN_S: Final = 0.25  # between two looks for a reader


class PacketsMissedError(OutputError):
    """Packets that were not written; those that follow may be."""


class PipeWriter:
    """Writes packets to a pipe (sensor.packets.pcapng.PacketWriter)."""

    def __init__(self, path: Path) -> None:
        """path: of a pipe or a device. Opens nothing."""
        self.packets = 0
        self._path = path
        self._interfaces: list[tuple[str, int]] = []
        self._end: _PipeEnd | None = None
        self._section: PcapngWriter | None = None
        self._again_s = 0.0
        self._why = "nobody reads it yet"

    def add_interface(self, name: str, linktype: int) -> int:
        """Add an interface, to the section of each reader; returns its number."""
        self._interfaces.append((name, linktype))
        return len(self._interfaces) - 1

    def write(self, block: PacketBlock, interface_of: Int64s, clock_step_ns: int = 0) -> None:
        """Write the packets of a block. Raises PacketsMissedError where they are not written."""
        try:
            section = self._section or self._begun()
            if self._end is None or self._end.waiting > WAITING_BYTES:
                self._why = "the reader is too slow" if self._end else self._why
                raise PacketsMissedError(f"{self._path}: {self._why}")
            section.write(block, interface_of, clock_step_ns)
        except PacketsMissedError:
            if self._end is not None:
                self._flush(self._end)
            raise
        except OutputError as error:
            self.close()
            self._why = "the reader has gone"
            raise PacketsMissedError(f"{self._path}: {self._why}") from error
        self.packets += len(block)

    def close(self) -> None:
        """Write what the reader takes at once, and close the pipe."""
        end, self._end, self._section = self._end, None, None
        if end is not None:
            end.close()

    def _flush(self, end: "_PipeEnd") -> None:
        try:
            end.flush()
        except OSError:
            self.close()

    def _begun(self) -> PcapngWriter:
        """A section for a reader that has come. Raises PacketsMissedError where there is none."""
        now_s = time.monotonic()
        if now_s < self._again_s:
            raise PacketsMissedError(f"{self._path}: {self._why}")
        self._again_s = now_s + AGAIN_S
        try:
            self._end = _PipeEnd(open_special(self._path))
        except OSError as error:
            if error.errno != errno.ENXIO:
                self._why = f"packets cannot be written: {reason_of(error)}"
            raise PacketsMissedError(f"{self._path}: {self._why}") from error
        self._section = PcapngWriter(self._end, str(self._path))
        for name, linktype in self._interfaces:
            self._section.add_interface(name, linktype)
        return self._section


class _PipeEnd:
    """The writing end, which never waits (sensor.packets.pcapng.RawOutput)."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._left = bytearray()

    @property
    def waiting(self) -> int:
        """Bytes for which the pipe had no room yet."""
        return len(self._left)

    def write(self, content: memoryview) -> int:
        """Take all of it; raises OSError where the reader has gone."""
        self._left += content
        self.flush()
        return len(content)

    def flush(self) -> None:
        """Write what there is room for. Raises OSError."""
        try:
            while self._left:
                del self._left[: os.write(self._descriptor, self._left[: 1 << 16])]
        except BlockingIOError:
            return

    def truncate(self, size: int) -> None:
        """A pipe cannot be cut."""

    def close(self) -> None:
        """Close it, after what there is room for."""
        try:
            self.flush()
        except OSError:
            pass
        finally:
            os.close(self._descriptor)

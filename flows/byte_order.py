"""Numbers of several bytes in packets, by their byte order. Whoever asks has looked whether they are there."""

from numpy import int64

from flows.block import Bytes
from kernels.jit import U, Word, inner


@inner
def be16(buffer: Bytes, at: Word) -> Word:
    """Unsigned 16-bit number in network order."""
    return (int64(buffer[U(at)]) << 8) | int64(buffer[U(at + 1)])


@inner
def be32(buffer: Bytes, at: Word) -> Word:
    """Unsigned 32-bit number in network order."""
    return (be16(buffer, at) << 16) | be16(buffer, at + 2)


@inner
def be64(buffer: Bytes, at: Word) -> Word:
    """64-bit number in network order, as two's complement."""
    return int64((be32(buffer, at) << 32) | be32(buffer, at + 4))


@inner
def le16(buffer: Bytes, at: Word) -> Word:
    """Unsigned 16-bit number, least byte first."""
    return (int64(buffer[U(at + 1)]) << 8) | int64(buffer[U(at)])

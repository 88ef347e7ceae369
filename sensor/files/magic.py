"""File types recognised by magic numbers in the first bytes. It opens and decompresses nothing."""

from typing import Final

from flows.compression import BZIP2_MAGIC, GZIP_MAGIC, LZ4_MAGIC, XZ_MAGIC, ZSTD_MAGIC

PARQUET_MAGIC: Final = b"PAR1"
# Offset, magic number, and name of the file type.
SIGNATURES: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, GZIP_MAGIC, "a gzip file"),
    (0, b"snoop\0\0\0", "a snoop capture"),
    (0, b"RTSS", "a Network Monitor 1 capture"),
    (0, b"GMBU", "a Network Monitor 2 capture"),
    (0, b"XCP\0", "a Sniffer capture"),
    (0, ZSTD_MAGIC, "a zstd file"),
    (0, XZ_MAGIC, "an xz file"),
    (0, BZIP2_MAGIC, "a bzip2 file"),
    (0, LZ4_MAGIC, "an lz4 file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"PK\x03\x04", "a zip archive"),
    (257, b"ustar", "a tar archive"),
    (0, PARQUET_MAGIC, "a Parquet table"),
    (0, b"\x7fELF", "a program"),
    (0, b"%PDF-", "a PDF document"),
)
TEXT_SAMPLE: Final = 512  # bytes
TEXT_CONTROLS: Final = frozenset("\t\n\r\f\x1b")


def describe(first: bytes) -> str:
    """Describe the type of a file by its first bytes; the text never contains any of them unescaped."""
    if not first:
        return "an empty file"
    if kind := known_kind(first):
        return kind
    if is_text(first[:TEXT_SAMPLE]):
        return "a text file"
    return f"binary data beginning {first[:8].hex(' ')}"


def known_kind(first: bytes) -> str:
    """The type of a file by its magic number; "" where it has none that is known."""
    return next((name for offset, magic, name in SIGNATURES if first[offset : offset + len(magic)] == magic), "")


def is_text(sample: bytes) -> bool:
    """Whether the bytes are UTF-8 without control characters; a character cut off at the end is allowed."""
    for cut in range(min(4, len(sample))):
        try:
            text = sample[: len(sample) - cut].decode()
        except UnicodeDecodeError:
            continue
        return all(character >= " " or character in TEXT_CONTROLS for character in text)
    return False

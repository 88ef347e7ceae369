"""How captures begin, pcap and pcapng: told before anything that decodes them is loaded."""

from typing import Final

# Magic -> (big-endian, nanoseconds of one unit of the fraction, bytes of a record header)
PCAP_MAGICS: Final[dict[bytes, tuple[bool, int, int]]] = {
    b"\xd4\xc3\xb2\xa1": (False, 1000, 16),
    b"\xa1\xb2\xc3\xd4": (True, 1000, 16),
    b"\x4d\x3c\xb2\xa1": (False, 1, 16),
    b"\xa1\xb2\x3c\x4d": (True, 1, 16),
    b"\x34\xcd\xb2\xa1": (False, 1000, 24),
    b"\xa1\xb2\xcd\x34": (True, 1000, 24),
}
PCAPNG_MAGIC: Final = b"\x0a\x0d\x0d\x0a"
CAPTURE_MAGICS: Final = frozenset((*PCAP_MAGICS, PCAPNG_MAGIC))  # the first four bytes

"""The functions of libpcap that compile filters, by ctypes. Source: pcap(3PCAP), <pcap/pcap.h>, <pcap/bpf.h>."""

import ctypes
import os
import sys
from contextlib import suppress
from ctypes import POINTER, c_char_p, c_int, c_uint, c_uint32, c_ushort, c_void_p
from ctypes.util import find_library
from functools import cache
from pathlib import Path
from typing import Final

ERRBUF_SIZE: Final = 256  # PCAP_ERRBUF_SIZE
# Its names by the system, the first of them that is there: Debian's carries the number of an old interface.
NAMES: Final = {
    "linux": ("libpcap.so.0.8", "libpcap.so.1"),
    "darwin": ("libpcap.A.dylib", "libpcap.dylib"),
    "win32": ("wpcap.dll",),
}
_NPCAP: Final = "System32/Npcap"  # under the system's directory, where Windows does not look by itself


class BpfInstruction(ctypes.Structure):
    """struct bpf_insn."""

    _fields_ = (("code", c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", c_uint32))


class BpfInstructions(ctypes.Structure):
    """struct bpf_program."""

    _fields_ = (("bf_len", c_uint), ("bf_insns", POINTER(BpfInstruction)))


# Of each function what it returns and takes; a handle is a pcap_t *.
_PROTOTYPES: Final = {
    "pcap_open_dead": (c_void_p, (c_int, c_int)),
    "pcap_create": (c_void_p, (c_char_p, c_char_p)),
    "pcap_set_snaplen": (c_int, (c_void_p, c_int)),
    "pcap_set_buffer_size": (c_int, (c_void_p, c_int)),
    "pcap_set_timeout": (c_int, (c_void_p, c_int)),
    "pcap_activate": (c_int, (c_void_p,)),
    "pcap_datalink": (c_int, (c_void_p,)),
    "pcap_compile": (c_int, (c_void_p, POINTER(BpfInstructions), c_char_p, c_int, c_uint32)),
    "pcap_freecode": (None, (POINTER(BpfInstructions),)),
    "pcap_geterr": (c_char_p, (c_void_p,)),
    "pcap_statustostr": (c_char_p, (c_int,)),
    "pcap_close": (None, (c_void_p,)),
}


@cache  # each one made holds itself by a circle, which waits for the collector of such
def libpcap() -> ctypes.CDLL:
    """The library with its prototypes. Raises OSError where it is not installed."""
    library = ctypes.CDLL(_name())
    for name, (result, arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _name() -> str:
    if sys.platform == "win32":
        with suppress(OSError):
            os.add_dll_directory(str(Path(os.environ.get("SYSTEMROOT", "C:/Windows")) / _NPCAP))
    for name in NAMES.get(sys.platform, ()):
        with suppress(OSError):
            ctypes.CDLL(name)
            return name
    found = find_library("pcap")
    if found is None:
        raise OSError("no libpcap")
    return found

"""What a card or the kernel does to packets before a sensor sees them: offloads that make one large packet of many.

Linux, without a privilege. Source: linux/ethtool.h, ethtool(8), Documentation/networking/segmentation-offloads.rst.
"""

import array
import fcntl
import os
import socket
import struct
from typing import Final

SIOCETHTOOL: Final = 0x8946
ETHTOOL_GTSO, ETHTOOL_GGSO, ETHTOOL_GFLAGS, ETHTOOL_GGRO = 0x1E, 0x23, 0x25, 0x2B
ETH_FLAG_LRO: Final = 1 << 15
INTERFACE_NAME: Final = 16  # bytes, the last one zero

# The name that ethtool -K knows, the question, and the bits of the answer. Two merge what is received, two let this
# machine's own packets be seen before they are cut to size.
QUESTIONS: Final = (
    ("gro", ETHTOOL_GGRO, 1),
    ("lro", ETHTOOL_GFLAGS, ETH_FLAG_LRO),
    ("tso", ETHTOOL_GTSO, 1),
    ("gso", ETHTOOL_GGSO, 1),
)


def merging_offloads(interface: str) -> tuple[str, ...]:
    """Which of gro, lro, tso and gso are on; none for an interface that is absent or cannot tell."""
    name = os.fsencode(interface)
    if len(name) >= INTERFACE_NAME:
        return ()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        return tuple(word for word, question, bits in QUESTIONS if _answer(asking, name, question) & bits)


def _answer(asking: socket.socket, name: bytes, question: int) -> int:
    value = array.array("I", [question, 0])  # struct ethtool_value
    address, _ = value.buffer_info()
    request = struct.pack(f"{INTERFACE_NAME}sP16x", name, address)  # struct ifreq
    try:
        fcntl.ioctl(asking.fileno(), SIOCETHTOOL, request)
    except OSError:
        return 0
    return value[1]

"""Offloads of a network card or the kernel that merge packets before a sensor sees them.

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
ETHTOOL_GSTRINGS, ETHTOOL_GSSET_INFO, ETHTOOL_GFEATURES = 0x1B, 0x37, 0x3A
ETH_FLAG_LRO: Final = 1 << 15
ETH_SS_FEATURES: Final = 4
ETH_GSTRING_LEN: Final = 32  # bytes of a feature's name
INTERFACE_NAME: Final = 16  # bytes, the last one zero

# The name in ethtool -K, the ioctl command, and the bits of its result. Two merge received packets, two show this
# machine's own packets before their segmentation.
GET_COMMANDS: Final = (
    ("gro", ETHTOOL_GGRO, 1),
    ("lro", ETHTOOL_GFLAGS, ETH_FLAG_LRO),
    ("tso", ETHTOOL_GTSO, 1),
    ("gso", ETHTOOL_GGSO, 1),
)
# Of the card itself, or of the host of a virtual machine: stays on when gro is turned off. It has no command.
BY_CARD: Final = "rx-gro-hw"


def merging_offloads(interface: str) -> tuple[str, ...]:
    """Which of gro, lro, tso, gso and rx-gro-hw are on; none for an interface that is absent or reports none."""
    name = os.fsencode(interface)
    if len(name) >= INTERFACE_NAME:
        return ()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        on = [word for word, command, bits in GET_COMMANDS if _query(control, name, command, 0)[1] & bits]
        return (*on, *([BY_CARD] if _has_feature(control, name, BY_CARD) else []))


def _has_feature(control: socket.socket, name: bytes, feature: str) -> bool:
    """Whether a feature without a command of its own is on."""
    # struct ethtool_sset_info: two words, 64 bits of the sets requested and then known, the size of each
    sets = struct.unpack("2I", struct.pack("Q", 1 << ETH_SS_FEATURES))
    count = _query(control, name, ETHTOOL_GSSET_INFO, 0, *sets, 0)[4]
    if not count:
        return False
    # struct ethtool_gstrings
    listed = _query(control, name, ETHTOOL_GSTRINGS, ETH_SS_FEATURES, count, *[0] * (count * ETH_GSTRING_LEN // 4))
    text = listed[3:].tobytes()
    names = [text[at : at + ETH_GSTRING_LEN].split(b"\0")[0] for at in range(0, len(text), ETH_GSTRING_LEN)]
    wanted = feature.encode()
    if wanted not in names:
        return False
    word, bit = divmod(names.index(wanted), 32)
    # struct ethtool_gfeatures: for each 32 features what is available, requested, active and never changed
    words = -(-count // 32)
    features = _query(control, name, ETHTOOL_GFEATURES, words, *[0] * (4 * words))
    return bool(features[2 + 4 * word + 2] >> bit & 1)


def _query(control: socket.socket, name: bytes, command: int, *words: int) -> "array.array[int]":
    """The structure of an ioctl command as the kernel filled it in, 32-bit words; zeros where it failed."""
    value = array.array("I", [command, *words])
    address, _ = value.buffer_info()
    request = struct.pack(f"{INTERFACE_NAME}sP16x", name, address)  # struct ifreq
    try:
        fcntl.ioctl(control.fileno(), SIOCETHTOOL, request)
    except OSError:
        return array.array("I", bytes(4 * len(value)))
    return value

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
ETHTOOL_GSTRINGS, ETHTOOL_GSSET_INFO, ETHTOOL_GFEATURES = 0x1B, 0x37, 0x3A
ETH_FLAG_LRO: Final = 1 << 15
ETH_SS_FEATURES: Final = 4
ETH_GSTRING_LEN: Final = 32  # bytes of a feature's name
INTERFACE_NAME: Final = 16  # bytes, the last one zero

# The name that ethtool -K knows, the question, and the bits of the answer. Two merge what is received, two let this
# machine's own packets be seen before they are cut to size.
QUESTIONS: Final = (
    ("gro", ETHTOOL_GGRO, 1),
    ("lro", ETHTOOL_GFLAGS, ETH_FLAG_LRO),
    ("tso", ETHTOOL_GTSO, 1),
    ("gso", ETHTOOL_GGSO, 1),
)
# Of the card itself, or of the host of a virtual machine: stays on when gro is turned off. Known by this name only.
BY_CARD: Final = "rx-gro-hw"


def merging_offloads(interface: str) -> tuple[str, ...]:
    """Which of gro, lro, tso, gso and rx-gro-hw are on; none for an interface that is absent or cannot tell."""
    name = os.fsencode(interface)
    if len(name) >= INTERFACE_NAME:
        return ()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        on = [word for word, question, bits in QUESTIONS if _ask(asking, name, question, 0)[1] & bits]
        return (*on, *([BY_CARD] if _has_feature(asking, name, BY_CARD) else []))


def _has_feature(asking: socket.socket, name: bytes, feature: str) -> bool:
    """Whether a feature is on, of those that have a name and no question of their own."""
    # struct ethtool_sset_info: two words, 64 bits of the sets that are asked for and then known, the size of each
    sets = struct.unpack("2I", struct.pack("Q", 1 << ETH_SS_FEATURES))
    count = _ask(asking, name, ETHTOOL_GSSET_INFO, 0, *sets, 0)[4]
    if not count:
        return False
    # struct ethtool_gstrings
    listed = _ask(asking, name, ETHTOOL_GSTRINGS, ETH_SS_FEATURES, count, *[0] * (count * ETH_GSTRING_LEN // 4))
    text = listed[3:].tobytes()
    names = [text[at : at + ETH_GSTRING_LEN].split(b"\0")[0] for at in range(0, len(text), ETH_GSTRING_LEN)]
    wanted = feature.encode()
    if wanted not in names:
        return False
    word, bit = divmod(names.index(wanted), 32)
    # struct ethtool_gfeatures: for each 32 features what is available, requested, active and never changed
    words = -(-count // 32)
    features = _ask(asking, name, ETHTOOL_GFEATURES, words, *[0] * (4 * words))
    return bool(features[2 + 4 * word + 2] >> bit & 1)


def _ask(asking: socket.socket, name: bytes, question: int, *words: int) -> "array.array[int]":
    """The structure of a question, 32-bit words, as the kernel has filled it in; zeros where it has no answer."""
    value = array.array("I", [question, *words])
    address, _ = value.buffer_info()
    request = struct.pack(f"{INTERFACE_NAME}sP16x", name, address)  # struct ifreq
    try:
        fcntl.ioctl(asking.fileno(), SIOCETHTOOL, request)
    except OSError:
        return array.array("I", bytes(4 * len(value)))
    return value

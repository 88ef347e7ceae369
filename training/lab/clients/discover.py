"""python -m training.lab.clients.discover: ask a segment who is there: mDNS, SSDP, LLMNR. RFC 6762, 4795."""

import argparse
import socket
import struct
import time
from random import Random

MDNS, SSDP, LLMNR = ("224.0.0.251", 5353), ("239.255.255.250", 1900), ("224.0.0.252", 5355)
SERVICES = ("_googlecast._tcp.local", "_ipp._tcp.local", "_airplay._tcp.local", "_services._dns-sd._udp.local")
SEARCH = 'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 2\r\nST: {}\r\n\r\n'
TYPES = ("ssdp:all", "upnp:rootdevice", "urn:dial-multiscreen-org:service:dial:1")


def question(name: str, kind: int, identifier: int) -> bytes:
    """A question of DNS for a name."""
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", identifier, 0, 1, 0, 0, 0) + labels + b"\x00" + struct.pack("!HH", kind, 1)


def discover(address: str, draw: Random) -> None:
    """Some questions of each kind, as a system asks that has just looked for screens and printers."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mdns,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_,
    ):
        mdns.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        mdns.bind((address, MDNS[1]))
        for each in (mdns, any_):
            each.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
            each.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        for _ in range(draw.randint(1, 3)):
            mdns.sendto(question(draw.choice(SERVICES), 12, 0), MDNS)
            any_.sendto(SEARCH.format(draw.choice(TYPES)).encode(), SSDP)
            any_.sendto(question(draw.choice(("wpad", "printer", "fileserver")), 1, draw.getrandbits(16)), LLMNR)
            time.sleep(draw.uniform(0.2, 1.5))


def main() -> None:
    """Read the command line and ask."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args()
    discover(given.address, Random(given.seed))


if __name__ == "__main__":
    main()

"""Interfaces that a ring can capture on: those that are up, and those that were named."""

import socket
from collections.abc import Sequence

from sensor.errors import CaptureError
from sensor.sources.live.packet_socket import KNOWN_HARDWARE, LINKTYPES, link_of
from sensor.sources.live.rtnetlink import IFF_UP, Link, link_at


def interfaces_up() -> tuple[str, ...]:
    """Names of the interfaces that are up and whose frames can be read, in the kernel's order."""
    links = (link_at(index) for index, _ in socket.if_nameindex())
    return tuple(link.name for link in links if link and link.flags & IFF_UP and link.hardware in LINKTYPES)


def links_of(interfaces: Sequence[str]) -> list[Link]:
    """Look up each interface. Raises CaptureError for one that is absent, down, of an unknown type or named twice."""
    links: dict[int, Link] = {}
    for interface in interfaces:
        link = link_of(interface)
        if not link.flags & IFF_UP:
            raise CaptureError(f"{interface}: the interface is down, expected it up (ip link set {interface} up)")
        if link.hardware not in LINKTYPES:
            raise CaptureError(f"{interface}: an interface of hardware type {link.hardware}, expected {KNOWN_HARDWARE}")
        if link.index in links:
            raise CaptureError(f"{interface}: the same interface as {links[link.index].name}, expected each once")
        links[link.index] = link
    return list(links.values())

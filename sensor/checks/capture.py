"""Whether packets can be taken: filter, interfaces, permission, ring, and what merges packets before they are seen.

Interfaces are only looked at; nothing is captured.
"""

import socket
import sys
from collections.abc import Sequence

from flows.linktypes import ETHERNET
from sensor.checks.finding import Remark, Status, Subject
from sensor.errors import CaptureError, ConfigError

NO_INTERFACE = Remark("no interface named (-i)", Status.SKIPPED)
NO_RING = Remark("this system has no packet ring", Status.SKIPPED)
NOTHING_MERGES = Remark("nothing merges packets")
LINUX = sys.platform == "linux"


def capture_filter(subject: Subject) -> Remark:
    """Compile the filter for the interfaces, or for Ethernet where that cannot be done. Raises ConfigError."""
    expression = subject.config.capture.filter
    if not expression:
        return Remark("none: all packets are taken")
    from sensor.sources.filters.libpcap import compile_offline

    compiled = _compiled(expression, subject.interfaces) if LINUX else []
    if not compiled:
        compile_offline(expression, ETHERNET)
    return Remark(f"compiles for {', '.join(compiled) or 'Ethernet; tried on no interface'}")


def _compiled(expression: str, interfaces: Sequence[str]) -> list[str]:
    """Interfaces for which the filter compiles. Raises ConfigError, also when it is too long for the kernel."""
    from sensor.sources.filters.bpf import Rule, socket_program
    from sensor.sources.filters.libpcap import compile_live
    from sensor.sources.live.packet_socket import ARPHRD_LOOPBACK, link_of

    rules: dict[str, Rule] = {}
    for name in interfaces:
        try:
            link = link_of(name)
            rules[name] = Rule(link.index, link.hardware == ARPHRD_LOOPBACK, compile_live(expression, name))
        except CaptureError:  # absent, down or not permitted, of which other checks tell
            continue
    for complement in (False, True):
        socket_program(list(rules.values()), complement=complement)
    return list(rules)


def interface(subject: Subject) -> Remark:
    """Look whether each interface is there, set up and of a type that can be read. Raises CaptureError."""
    if not subject.interfaces:
        return NO_INTERFACE
    if not LINUX:
        return _opened_portably(subject)
    from sensor.sources.live.packet_socket import KNOWN_HARDWARE, LINKTYPES, link_of
    from sensor.sources.live.rtnetlink import IFF_UP

    names: dict[int, str] = {}
    without_carrier = []
    for name in subject.interfaces:
        link = link_of(name)
        if link.index in names:
            raise CaptureError(f"{name}: the interface is already named as {names[link.index]}")
        names[link.index] = name
        if link.hardware not in LINKTYPES:
            raise CaptureError(f"{name}: found hardware type {link.hardware}, expected {KNOWN_HARDWARE}")
        if not link.flags & IFF_UP:
            raise CaptureError(f"{name}: the interface is down, expected it up: ip link set {name} up")
        if not link.up:
            without_carrier.append(name)
    if without_carrier:
        return Remark(f"no carrier, so no packets yet: {', '.join(without_carrier)}", Status.WARNING)
    return Remark(f"up: {', '.join(subject.interfaces)}")


def capability(subject: Subject) -> Remark:
    """Open a packet socket. Raises CaptureError."""
    if not LINUX:
        return Remark("not known before the start on this system", Status.SKIPPED)
    from sensor.sources.live.packet_socket import open_packet_socket

    open_packet_socket(_names(subject)).close()
    return Remark("CAP_NET_RAW is there")


def ring(subject: Subject) -> Remark:
    """Map as many rings as there are workers, of the size set. Raises CaptureError; ConfigError off Linux."""
    if not LINUX:
        if subject.config.capture.workers > 1:
            raise ConfigError(f"capture.workers is {subject.config.capture.workers}: more than one needs Linux")
        return NO_RING
    from contextlib import ExitStack, closing

    from sensor.sources.live.packet_socket import map_ring, open_packet_socket

    settings = subject.config.capture
    size = f"{settings.workers} × {settings.ring_block_bytes * settings.ring_blocks / 2**20:.0f} MiB"
    with ExitStack() as opened:
        for _ in range(settings.workers):
            try:
                packets = opened.enter_context(open_packet_socket(_names(subject)))
            except CaptureError:
                return Remark("not tried without the capability", Status.SKIPPED)
            try:
                opened.enter_context(closing(map_ring(packets, settings.ring_block_bytes, settings.ring_blocks)))
            except OSError as error:
                raise CaptureError(
                    f"the ring of {size} cannot be mapped: {(error.strerror or str(error)).lower()}, expected less by "
                    "capture.ring_blocks or capture.ring_block_bytes"
                ) from None
    return Remark(f"{size} can be mapped")


def offloads(subject: Subject) -> Remark:
    """Ask each interface what it merges."""
    if not LINUX:
        return Remark("not known on this system", Status.SKIPPED)
    if not subject.interfaces:
        return NO_INTERFACE
    from sensor.sources.live.offloads import merging_offloads

    found = {name: merging_offloads(name) for name in subject.interfaces}
    cures = [f"ethtool -K {name} {' '.join(f'{word} off' for word in words)}" for name, words in found.items() if words]
    if not cures:
        absent = set(subject.interfaces) - {name for _, name in socket.if_nameindex()}
        return Remark("not known of an interface that is absent", Status.SKIPPED) if absent else NOTHING_MERGES
    merging = ", ".join(f"{name} ({', '.join(words)})" for name, words in found.items() if words)
    return Remark(
        f"packets are merged before they are seen, so flows have fewer and larger ones than on the wire: {merging}; "
        f"turn it off: {'; '.join(cures)}",
        Status.WARNING,
    )


def _opened_portably(subject: Subject) -> Remark:
    from sensor.sources.live.portable import LIMIT, PortableCapture

    PortableCapture(subject.interfaces, promiscuous=subject.config.capture.promiscuous).close()
    return Remark(f"can be opened: {', '.join(subject.interfaces)}; {LIMIT}", Status.WARNING)


def _names(subject: Subject) -> str:
    return ", ".join(subject.interfaces) or "any interface"

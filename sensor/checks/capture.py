"""Checks of the capture: filter, interfaces, capability, ring, and offloads that merge packets before the capture.

Interfaces are only inspected; nothing is captured.
"""

import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flows.linktypes import ETHERNET
from sensor.checks.result import CheckContext, CheckStatus, Observation
from sensor.errors import CaptureError, ConfigError, reason_of

if TYPE_CHECKING:
    from sensor.sources.filters.bpf import Instruction

NO_INTERFACE = Observation("no interface named (-i)", CheckStatus.SKIPPED)
NO_RING = Observation("this system has no packet ring", CheckStatus.SKIPPED)
NOTHING_MERGES = Observation("nothing merges packets")
LINUX = sys.platform == "linux"


def capture_filter(context: CheckContext) -> Observation:
    """Compile the filter for the interfaces, or for Ethernet where that cannot be done. Raises ConfigError."""
    expression = context.config.capture.filter
    if not expression:
        return Observation("none: all packets are taken")
    from sensor.sources.filters.libpcap import compile_offline

    compiled = _compiled(expression, context.interfaces) if LINUX else []
    if not compiled:
        compile_offline(expression, ETHERNET)
    return Observation(f"compiles for {', '.join(compiled) or 'Ethernet; tried on no interface'}")


def _compiled(expression: str, interfaces: Sequence[str]) -> list[str]:
    """Interfaces for which the filter compiles. Raises ConfigError, also when it is too long for the kernel."""
    from sensor.sources.filters.libpcap import compile_live
    from sensor.sources.filters.socket_program import InterfaceRule, socket_program
    from sensor.sources.live.packet_socket import ARPHRD_LOOPBACK, link_of

    rules: dict[str, InterfaceRule] = {}
    for name in interfaces:
        try:
            link = link_of(name)
            rules[name] = InterfaceRule(link.index, link.hardware == ARPHRD_LOOPBACK, compile_live(expression, name))
        except CaptureError:  # absent, down or not permitted, which other checks report
            continue
    for complement in (False, True):
        _attached(list(rules), socket_program(list(rules.values()), complement=complement))
    return list(rules)


def _attached(interfaces: Sequence[str], program: "Sequence[Instruction]") -> None:
    """Give a filter to a socket that receives nothing. Raises CaptureError where the kernel has no memory for it."""
    from sensor.sources.live.packet_socket import attach_filter, open_packet_socket

    if not interfaces:  # nothing was permitted, which other checks report
        return
    with open_packet_socket(", ".join(interfaces)) as packets:
        try:
            attach_filter(packets, program)
        except OSError as error:
            raise CaptureError(f"{', '.join(interfaces)}: cannot capture: {reason_of(error)}") from None


def interface(context: CheckContext) -> Observation:
    """Inspect whether each interface exists, is up and is of a supported type. Raises CaptureError."""
    if not context.interfaces:
        return NO_INTERFACE
    if not LINUX:
        return _opened_portably(context)
    from sensor.sources.live.packet_socket import KNOWN_HARDWARE, LINKTYPES, link_of
    from sensor.sources.live.rtnetlink import IFF_UP

    names: dict[int, str] = {}
    without_carrier = []
    for name in context.interfaces:
        link = link_of(name)
        if link.index in names:
            raise CaptureError(f"{name}: the same interface as {names[link.index]}, expected each once")
        names[link.index] = name
        if link.hardware not in LINKTYPES:
            raise CaptureError(f"{name}: found hardware type {link.hardware}, expected {KNOWN_HARDWARE}")
        if not link.flags & IFF_UP:
            raise CaptureError(f"{name}: the interface is down, expected it up: ip link set {name} up")
        if not link.up:
            without_carrier.append(name)
    if without_carrier:
        return Observation(f"no carrier, so no packets yet: {', '.join(without_carrier)}", CheckStatus.WARNING)
    return Observation(f"up: {', '.join(context.interfaces)}")


def capability(context: CheckContext) -> Observation:
    """Open a packet socket. Raises CaptureError."""
    if not LINUX:
        return Observation("not known before the start on this system", CheckStatus.SKIPPED)
    from sensor.sources.live.packet_socket import open_packet_socket

    open_packet_socket(_names(context)).close()
    return Observation("CAP_NET_RAW is there")


def ring(context: CheckContext) -> Observation:
    """Map as many rings as there are workers, of the configured size. Raises CaptureError; ConfigError off Linux."""
    if not LINUX:
        if context.config.capture.workers > 1:
            raise ConfigError(f"capture.workers is {context.config.capture.workers}: more than one needs Linux")
        return NO_RING
    from contextlib import ExitStack, closing

    from sensor.sources.live.packet_socket import map_ring, open_packet_socket

    settings = context.config.capture
    size = f"{settings.workers} × {settings.ring_block_bytes * settings.ring_blocks / 2**20:.0f} MiB"
    with ExitStack() as opened:
        for _ in range(settings.workers):
            try:
                packets = opened.enter_context(open_packet_socket(_names(context)))
            except CaptureError:
                return Observation("not tried without the capability", CheckStatus.SKIPPED)
            try:
                opened.enter_context(closing(map_ring(packets, settings.ring_block_bytes, settings.ring_blocks)))
            except OSError as error:
                raise CaptureError(
                    f"the ring of {size} cannot be mapped: {reason_of(error)}, expected less by "
                    "capture.ring_blocks or capture.ring_block_bytes"
                ) from None
    return Observation(f"{size} can be mapped")


def offloads(context: CheckContext) -> Observation:
    """Query the offloads of each interface that merge packets."""
    if not LINUX:
        return Observation("not known on this system", CheckStatus.SKIPPED)
    if not context.interfaces:
        return NO_INTERFACE
    from sensor.sources.live.offloads import merging_offloads

    found = {name: merging_offloads(name) for name in context.interfaces}
    cures = [f"ethtool -K {name} {' '.join(f'{word} off' for word in words)}" for name, words in found.items() if words]
    if not cures:
        absent = set(context.interfaces) - {name for _, name in socket.if_nameindex()}
        return (
            Observation("not known of an interface that is absent", CheckStatus.SKIPPED) if absent else NOTHING_MERGES
        )
    merging = ", ".join(f"{name} ({', '.join(words)})" for name, words in found.items() if words)
    return Observation(
        f"packets are merged before they are seen, so flows have fewer and larger ones than on the wire: {merging}; "
        f"turn it off: {'; '.join(cures)}",
        CheckStatus.WARNING,
    )


def _opened_portably(context: CheckContext) -> Observation:
    from sensor.sources.live.portable import LIMIT, PortableCapture

    PortableCapture(context.interfaces, promiscuous=context.config.capture.promiscuous).close()
    return Observation(f"can be opened: {', '.join(context.interfaces)}; {LIMIT}", CheckStatus.WARNING)


def _names(context: CheckContext) -> str:
    return ", ".join(context.interfaces) or "any interface"

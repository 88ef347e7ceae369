"""Changes of network interfaces: rtnetlink messages of the kernel in, values out. It knows no packets.

Needs no privilege. Source: rtnetlink(7), linux/rtnetlink.h, linux/if_link.h, RFC 3549.
"""

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

RTMGRP_LINK: Final = 1
NLMSG_ERROR, NLMSG_DONE, RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 2, 3, 16, 17, 18
NLM_F_REQUEST, NLM_F_MULTI, NLM_F_DUMP = 0x001, 0x002, 0x300
IFLA_IFNAME: Final = 3
HEADER, LINK_HEADER, ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BxHiII"), struct.Struct("=HH")
IFF_UP, IFF_LOWER_UP = 0x1, 0x10000
RECEIVE_BYTES: Final = 1 << 16
READS: Final = 256  # at once: a machine that makes interfaces without end must not hold up the capture


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface as the kernel reports it."""

    index: int
    name: str
    flags: int  # IFF_
    hardware: int  # ARPHRD_ number

    @property
    def up(self) -> bool:
        """Whether it is administratively up and has a carrier (IFF_LOWER_UP); IFF_RUNNING may lag by a second."""
        return self.flags & (IFF_UP | IFF_LOWER_UP) == IFF_UP | IFF_LOWER_UP


@dataclass(frozen=True, slots=True)
class LinkRemoved:
    """The interface with this index was removed, or moved to another namespace."""

    index: int


@dataclass(frozen=True, slots=True)
class LinkDump:
    """All interfaces that exist, requested after messages were lost."""

    links: tuple[Link, ...]


LinkChange = Link | LinkRemoved | LinkDump


@dataclass(frozen=True, slots=True)
class NetlinkMessage:
    """A netlink message."""

    kind: int  # NLMSG_ or RTM_ number
    dump: bool  # part of the dump that was requested
    body: bytes


class LinkMonitor:
    """A socket on which the kernel reports changes of interfaces from its opening on."""

    def __init__(self) -> None:
        """Open it. Raises OSError."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setblocking(False)
        self._socket.bind((0, RTMGRP_LINK))
        self._dump: dict[int, Link] | None = None  # the dump that is arriving
        self._lost = False

    def fileno(self) -> int:
        """File descriptor to poll."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def read(self) -> list[LinkChange]:
        """Changes since the last call, without blocking."""
        changes: list[LinkChange] = []
        for _ in range(READS):
            try:
                datagram, (sender, _) = self._socket.recvfrom(RECEIVE_BYTES)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: the socket buffer was full, and messages are lost
                self._lost = True
                break
            if sender == 0:  # from the kernel, not from another process
                for message in messages(datagram):
                    self._handle(message, changes)
        if self._lost and self._dump is None:
            self._request_dump()
        return changes

    def _handle(self, message: NetlinkMessage, changes: list[LinkChange]) -> None:
        if message.kind in (NLMSG_DONE, NLMSG_ERROR):
            if self._dump is not None and message.kind == NLMSG_DONE:
                changes.append(LinkDump(tuple(self._dump.values())))
            self._lost |= message.kind == NLMSG_ERROR
            self._dump = None
            return
        change = parse_link(message.kind, message.body)
        dump = {} if self._dump is None else self._dump
        if change is None:
            return
        if message.dump and isinstance(change, Link):
            dump[change.index] = change
            return
        changes.append(change)
        # A change after the interface was listed in the dump is newer than its entry there.
        if isinstance(change, LinkRemoved):
            dump.pop(change.index, None)
        elif change.index in dump:
            dump[change.index] = change

    def _request_dump(self) -> None:
        self._socket.sendto(_request(NLM_F_DUMP, index=0), (0, 0))
        self._dump, self._lost = {}, False


def link_at(index: int) -> Link | None:
    """The interface with this index as it is now; None when there is none. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as netlink:
        netlink.sendto(_request(0, index), (0, 0))
        for message in messages(netlink.recv(RECEIVE_BYTES)):
            change = parse_link(message.kind, message.body)
            if isinstance(change, Link):
                return change
    return None


def _request(flags: int, index: int) -> bytes:
    head = HEADER.pack(HEADER.size + LINK_HEADER.size, RTM_GETLINK, NLM_F_REQUEST | flags, 1, 0)
    return head + LINK_HEADER.pack(socket.AF_UNSPEC, 0, index, 0, 0)


def messages(datagram: bytes) -> Iterator[NetlinkMessage]:
    """Each netlink message of a datagram, up to the first that is cut short."""
    at = 0
    while at + HEADER.size <= len(datagram):
        length, kind, flags, _, _ = HEADER.unpack_from(datagram, at)
        if length < HEADER.size or at + length > len(datagram):
            return
        yield NetlinkMessage(kind, bool(flags & NLM_F_MULTI), datagram[at + HEADER.size : at + length])
        at += (length + 3) & ~3


def parse_link(kind: int, body: bytes) -> Link | LinkRemoved | None:
    """The change that a message reports; None for a message about anything else, or a malformed one."""
    if kind not in (RTM_NEWLINK, RTM_DELLINK) or len(body) < LINK_HEADER.size:
        return None
    family, hardware, index, flags, _ = LINK_HEADER.unpack_from(body)
    if family != socket.AF_UNSPEC:  # of a bridge: its port "deleted" means that the interface has left the bridge
        return None
    if kind == RTM_DELLINK:
        return LinkRemoved(index)
    at = LINK_HEADER.size
    while at + ATTRIBUTE.size <= len(body):
        length, attribute = ATTRIBUTE.unpack_from(body, at)
        if length < ATTRIBUTE.size:
            return None
        if attribute == IFLA_IFNAME:
            return Link(index, os.fsdecode(body[at + ATTRIBUTE.size : at + length].split(b"\0")[0]), flags, hardware)
        at += (length + 3) & ~3
    return None

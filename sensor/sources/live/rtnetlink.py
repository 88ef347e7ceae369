"""News of network interfaces from the kernel: messages of rtnetlink in, values out. Knows nothing of packets.

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
    """An interface as the kernel tells of it. flags: IFF_. hardware: ARPHRD_ number."""

    index: int
    name: str
    flags: int
    hardware: int

    @property
    def up(self) -> bool:
        """Whether it was set up and has a carrier (IFF_LOWER_UP); IFF_RUNNING follows as much as a second later."""
        return self.flags & (IFF_UP | IFF_LOWER_UP) == IFF_UP | IFF_LOWER_UP


@dataclass(frozen=True, slots=True)
class Gone:
    """The interface of this index was removed, or moved to another namespace."""

    index: int


@dataclass(frozen=True, slots=True)
class Listing:
    """All interfaces there are, after news were lost."""

    links: tuple[Link, ...]


News = Link | Gone | Listing


@dataclass(frozen=True, slots=True)
class Message:
    """A netlink message. listed: part of the listing that was asked for."""

    kind: int
    listed: bool
    body: bytes


class LinkMonitor:
    """A socket on which the kernel tells of interfaces from now on."""

    def __init__(self) -> None:
        """Open it. Raises OSError."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setblocking(False)
        self._socket.bind((0, RTMGRP_LINK))
        self._listed: dict[int, Link] | None = None  # the listing that is arriving
        self._lost = False

    def fileno(self) -> int:
        """Descriptor to wait on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def read(self) -> list[News]:
        """What has been told since the last call, without waiting."""
        news: list[News] = []
        for _ in range(READS):
            try:
                datagram, (sender, _) = self._socket.recvfrom(RECEIVE_BYTES)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: the kernel had more to tell than the socket holds
                self._lost = True
                break
            if sender == 0:  # the kernel, and no process that pretends
                for message in messages(datagram):
                    self._take(message, news)
        if self._lost and self._listed is None:
            self._ask()
        return news

    def _take(self, message: Message, news: list[News]) -> None:
        if message.kind in (NLMSG_DONE, NLMSG_ERROR):
            if self._listed is not None and message.kind == NLMSG_DONE:
                news.append(Listing(tuple(self._listed.values())))
            self._lost |= message.kind == NLMSG_ERROR
            self._listed = None
            return
        told = parse_link(message.kind, message.body)
        listed = {} if self._listed is None else self._listed
        if told is None:
            return
        if message.listed and isinstance(told, Link):
            listed[told.index] = told
            return
        news.append(told)
        # What is told of an interface after it was listed is newer; news from before they were lost may be too old.
        if isinstance(told, Gone):
            listed.pop(told.index, None)
        elif told.index in listed:
            listed[told.index] = told

    def _ask(self) -> None:
        self._socket.sendto(_request(NLM_F_DUMP, index=0), (0, 0))
        self._listed, self._lost = {}, False


def link_at(index: int) -> Link | None:
    """The interface with this index as it is now; None when there is none. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as asking:
        asking.sendto(_request(0, index), (0, 0))
        for message in messages(asking.recv(RECEIVE_BYTES)):
            told = parse_link(message.kind, message.body)
            if isinstance(told, Link):
                return told
    return None


def _request(flags: int, index: int) -> bytes:
    head = HEADER.pack(HEADER.size + LINK_HEADER.size, RTM_GETLINK, NLM_F_REQUEST | flags, 1, 0)
    return head + LINK_HEADER.pack(socket.AF_UNSPEC, 0, index, 0, 0)


def messages(datagram: bytes) -> Iterator[Message]:
    """Each netlink message of a datagram, up to the first that is cut short."""
    at = 0
    while at + HEADER.size <= len(datagram):
        length, kind, flags, _, _ = HEADER.unpack_from(datagram, at)
        if length < HEADER.size or at + length > len(datagram):
            return
        yield Message(kind, bool(flags & NLM_F_MULTI), datagram[at + HEADER.size : at + length])
        at += (length + 3) & ~3


def parse_link(kind: int, body: bytes) -> Link | Gone | None:
    """What a message tells of an interface; None when it tells nothing of that kind."""
    if kind not in (RTM_NEWLINK, RTM_DELLINK) or len(body) < LINK_HEADER.size:
        return None
    family, hardware, index, flags, _ = LINK_HEADER.unpack_from(body)
    if family != socket.AF_UNSPEC:  # of a bridge: its port "deleted" means that the interface has left the bridge
        return None
    if kind == RTM_DELLINK:
        return Gone(index)
    at = LINK_HEADER.size
    while at + ATTRIBUTE.size <= len(body):
        length, attribute = ATTRIBUTE.unpack_from(body, at)
        if length < ATTRIBUTE.size:
            return None
        if attribute == IFLA_IFNAME:
            return Link(index, os.fsdecode(body[at + ATTRIBUTE.size : at + length].split(b"\0")[0]), flags, hardware)
        at += (length + 3) & ~3
    return None

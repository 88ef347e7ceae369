"""The network of the synthetic traffic: hosts, addresses, stacks, and the paths between them.

A small office seen from its gateway: private clients and servers, the outside behind the gateway's MAC address.
Outside hosts have addresses that no real network uses: RFC 2544 for ordinary peers,
RFC 5737 for attackers, RFC 3849 for IPv6.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from sensor.synth.packets import address
from sensor.synth.randomness import child
from sensor.synth.stacks import FREEBSD, LINUX, MACOS, MS, WINDOWS, Stack


@dataclass(frozen=True, slots=True)
class Host:
    """One machine."""

    name: str
    mac: bytes  # as seen at the sensor
    ipv4: bytes
    stack: Stack
    ipv6: bytes | None = None
    hops: int = 0  # routers between it and the sensor

    @property
    def ttl(self) -> int:
        """Remaining hop limit of its packets at the sensor."""
        return self.stack.ttl - self.hops

    def ip(self, ipv6: bool) -> bytes:
        """Its address of one family. Raises ValueError when it has none."""
        if not ipv6:
            return self.ipv4
        if self.ipv6 is None:
            raise ValueError(f"{self.name} has no IPv6 address")
        return self.ipv6


@dataclass(frozen=True, slots=True)
class NetworkPath:
    """Delays and bandwidth of the path between two hosts."""

    near_ns: int  # one-way, from the initiator to the sensor
    far_ns: int  # one-way, from the sensor to the target
    jitter_ns: int  # mean extra delay of each leg
    bits_per_second: int


_GATEWAY_MAC = bytes.fromhex("021fca000001")
_PREFIX = "2001:db8:1:20::"

_CLIENTS = (
    ("reception", WINDOWS, False),
    ("accounts", WINDOWS, True),
    ("sales", WINDOWS, True),
    ("meeting", WINDOWS, False),
    ("design", MACOS, True),
    ("editor", MACOS, True),
    ("phone", MACOS, False),
    ("build", LINUX, False),
    ("devel", LINUX, True),
    ("printer", LINUX, False),
)


def _mac(last: int) -> bytes:
    return bytes.fromhex("021fca0020") + bytes((last,))


def _clients() -> tuple[Host, ...]:
    return tuple(
        Host(
            name=name,
            mac=_mac(100 + i),
            ipv4=address(f"10.20.0.{100 + i}"),
            stack=stack,
            ipv6=address(f"{_PREFIX}{100 + i:x}") if dual else None,
        )
        for i, (name, stack, dual) in enumerate(_CLIENTS)
    )


@dataclass(frozen=True)
class Site:
    """Hosts of the office, and the ephemeral ports that they have used: no flow key occurs twice."""

    gateway: Host = Host("gateway", _GATEWAY_MAC, address("10.20.0.1"), LINUX, address(f"{_PREFIX}1"))
    web: Host = Host("web", _mac(10), address("10.20.0.10"), LINUX, address(f"{_PREFIX}10"))
    files: Host = Host("files", _mac(11), address("10.20.0.11"), LINUX, address(f"{_PREFIX}11"))
    clients: tuple[Host, ...] = field(default_factory=_clients)
    _ports: dict[str, Iterator[int]] = field(default_factory=dict)

    def port(self, host: Host, rng: Random) -> int:
        """The next ephemeral port of a host, in the order of its operating system."""
        if host.name not in self._ports:
            self._ports[host.name] = _ephemeral(host.stack, child(rng))
        return next(self._ports[host.name])


def _ephemeral(stack: Stack, rng: Random) -> Iterator[int]:
    """Ports in the order of the operating system; one is repeated only after all were used."""
    low, high = stack.ephemeral_ports
    used: set[int] = set()
    port = rng.randint(low, high)
    while True:
        used.add(port)
        yield port
        if len(used) > high - low:
            used.clear()
        while port in used:
            port = rng.randint(low, high) if stack.random_ports else low + (port + 1 - low) % (high + 1 - low)


def inside(name: str, last: int, stack: Stack = LINUX) -> Host:
    """A further host of the office, at 10.20.0.`last`; 1, 10, 11 and 100 to 109 are taken by those of every Site."""
    return Host(name, _mac(last), address(f"10.20.0.{last}"), stack)


def outside(name: str, ipv4: str, rng: Random, stack: Stack = LINUX) -> Host:
    """A host on the internet: its packets carry the gateway's MAC and have crossed some routers."""
    return Host(name, _GATEWAY_MAC, address(ipv4), stack, hops=rng.randrange(6, 16))


def remote_server(number: int) -> Host:
    """One of 512 ordinary servers outside; a number is the same server in all traffic."""
    third, fourth = 10 + number // 200, 11 + number % 200
    return Host(
        name=f"server{number}",
        mac=_GATEWAY_MAC,
        ipv4=address(f"198.18.{third}.{fourth}"),
        stack=FREEBSD if number % 4 == 0 else LINUX,
        ipv6=address(f"2001:db8:80:{third:x}::{fourth:x}") if number % 3 else None,
        hops=7 + number % 9,
    )


def local_path(rng: Random) -> NetworkPath:
    """Path between two hosts on the office's switch."""
    return NetworkPath(rng.randrange(MS // 20, MS // 5), rng.randrange(MS // 20, MS // 5), MS // 100, 1_000_000_000)


def outward_path(rng: Random) -> NetworkPath:
    """Path from the office to a server outside, from a CDN in the next city to another continent."""
    far_ns = int(MS * min(95.0, rng.lognormvariate(1.9, 0.7)))
    return NetworkPath(rng.randrange(MS // 10, MS), far_ns, far_ns // 200 + MS // 50, 100_000_000)


def inward_path(rng: Random, far_ms: float = 0.0) -> NetworkPath:
    """Path from outside to a server of the office. far_ms: one-way delay of the outer leg, random if 0."""
    outer_ns = int(MS * (far_ms or min(95.0, rng.lognormvariate(2.7, 0.6))))
    return NetworkPath(outer_ns, rng.randrange(MS // 20, MS // 5), outer_ns // 200 + MS // 50, 50_000_000)

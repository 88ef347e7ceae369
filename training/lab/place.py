"""What a service, an action or an attack may know of where it runs: its host, the others, a directory of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

IPV6_NAMES: Final = "ip6"  # below it, each host that has an IPv6 address has a name for that alone


@dataclass(frozen=True, slots=True)
class Site:
    """The hosts of a scenario, as all of them know each other."""

    domain: str
    addresses: Mapping[str, str]  # by which a host is asked, by host
    addresses6: Mapping[str, str]  # IPv6, of the hosts that have one
    networks: Mapping[str, IPv4Network]  # of the segment of a host, by host
    resolver: str  # host
    services: Mapping[str, tuple[str, ...]]  # by host
    shared: Path  # directory of what all hosts may read: certificates, content, word lists

    def by(self, version: int) -> "Site":
        """The same site, whose hosts are asked by this version of IP where they have it."""
        return self if version == 4 else replace(self, addresses={**self.addresses, **self.addresses6})

    def name(self, host: str) -> str:
        """The full name of a host; one that has its IPv6 address alone where it is asked by that."""
        return f"{host}.{IPV6_NAMES}.{self.domain}" if ":" in self.addresses[host] else f"{host}.{self.domain}"

    def in_url(self, host: str) -> str:
        """The address of a host as an address of the web has it: IPv6 in brackets. RFC 3986, 3.2.2."""
        address = self.addresses[host]
        return f"[{address}]" if ":" in address else address


@dataclass(frozen=True, slots=True)
class Place:
    """One host, and a directory that is its own."""

    host: str
    site: Site
    directory: Path

    @property
    def address(self) -> str:
        """Its IPv4 address."""
        return self.site.addresses[self.host]

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its IPv4 address, and its IPv6 address where it has one."""
        six = self.site.addresses6.get(self.host)
        return (self.address,) if six is None else (self.address, six)

    @property
    def name(self) -> str:
        """Its full name."""
        return self.site.name(self.host)

    def path(self, name: str) -> Path:
        """A path in its directory."""
        return self.directory / name

    def write(self, name: str, text: str, mode: int = 0o644) -> Path:
        """Write a file of its directory, with the directories above it. Raises OSError."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    def folder(self, name: str, mode: int = 0o755) -> Path:
        """Make a directory of its directory. Raises OSError."""
        path = self.path(name)
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        return path

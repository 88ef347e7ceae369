"""What a service, an action or an attack may know of where it runs: its host, the others, a directory of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Site:
    """The hosts of a scenario, as all of them know each other."""

    domain: str
    addresses: Mapping[str, str]  # by host
    networks: Mapping[str, IPv4Network]  # of the segment of a host, by host
    resolver: str  # host
    services: Mapping[str, tuple[str, ...]]  # by host
    shared: Path  # directory of what all hosts may read: certificates, content, word lists

    def name(self, host: str) -> str:
        """The full name of a host."""
        return f"{host}.{self.domain}"


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

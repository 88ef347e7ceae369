"""Where the API listens, who may reach it there, and what they must show.

This machine's own addresses and a socket file need nothing; any other address needs a token, and there is none by
default.
"""

import os
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from sensor.errors import ConfigError

UNIX: Final = "unix:"
TOKEN_VARIABLE: Final = "FLOWVIGIL_TOKEN"  # noqa: S105  # the name of a variable
SHORTEST_TOKEN, LONGEST_TOKEN = 32, 512
BACKLOG: Final = 1024


@dataclass(frozen=True, slots=True)
class Address:
    """A place to listen at. host: as given, without brackets; "" for a socket file. path: of the file, or None."""

    host: str
    port: int
    path: Path | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return f"{UNIX}{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_own(self) -> bool:
        """Whether only this machine reaches it. A name is one of its own when it is localhost and nothing else."""
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str) -> Address:
    """`HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`. Raises ConfigError."""
    expected = "expected HOST:PORT, [IPV6]:PORT or unix:PATH"
    if text.startswith(UNIX):
        if not text.removeprefix(UNIX):
            raise ConfigError(f"--listen {text}: {expected}")
        return Address("", 0, Path(text.removeprefix(UNIX)))
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not colon or not host or (":" in host) != bracketed or not (port.isascii() and port.isdigit()):
        raise ConfigError(f"--listen {text}: {expected}")
    if len(port) > 5 or int(port) > 65535:
        raise ConfigError(f"--listen {text}: port {port:.20} is none, expected 0 to 65535")
    return Address(host, int(port))


def token_of(path: Path | None, environment: Mapping[str, str]) -> str | None:
    """The token of a file, else of the environment, else none. Raises ConfigError for one that is none."""
    if path is not None:
        try:
            with path.open("rb") as file:
                content = file.read(LONGEST_TOKEN + 3)
            return _checked(content.decode("ascii").strip(), f"--token-file {path}")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ConfigError(f"--token-file {path}: {reason}, expected a file with a token") from error
        except UnicodeDecodeError:
            raise ConfigError(f"--token-file {path}: no ASCII text, expected a token") from None
    if TOKEN_VARIABLE not in environment:
        return None
    return _checked(environment[TOKEN_VARIABLE].strip(), f"environment variable {TOKEN_VARIABLE}")


def _checked(token: str, place: str) -> str:
    """A header carries it, so that it has no blanks. RFC 6750, 2.1."""
    if not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN:
        raise ConfigError(f"{place}: {len(token)} characters, expected a token of {SHORTEST_TOKEN} to {LONGEST_TOKEN}")
    if not all("!" <= character <= "~" for character in token):
        raise ConfigError(f"{place}: a blank or a letter beyond ASCII, expected a token without")
    return token


def require_token(address: Address, token: str | None) -> None:
    """Raise ConfigError where others than this machine would reach the API without a token."""
    if token is None and not address.is_own:
        raise ConfigError(
            f"--listen {address}: others can reach this address, expected a token in --token-file FILE or "
            f"{TOKEN_VARIABLE} (openssl rand -hex 32 makes one)"
        )


def bound_socket(address: Address) -> socket.socket:
    """A socket that listens there. Raises ConfigError, as for an address that is in use."""
    try:
        return _unix_socket(address.path) if address.path is not None else _tcp_socket(address)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(f"--listen {address}: {reason}, expected an address that is free") from error


def _tcp_socket(address: Address) -> socket.socket:
    family, kind, protocol, _, place = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(place)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _unix_socket(path: Path) -> socket.socket:
    """A file that only its owner may connect to. One that nobody listens at any more is replaced."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_left_over(path):
            path.unlink()
        before = os.umask(0o177)
        try:
            made.bind(str(path))
        finally:
            os.umask(before)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def _is_left_over(path: Path) -> bool:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1.0)
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            return True
    return False

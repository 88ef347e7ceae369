"""The address that the API listens on, its socket, and the bearer token that requests must present.

Loopback addresses and a socket file need no token; any other address does, and there is none by default.
"""

import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from sensor.errors import ConfigError, reason_of
from sensor.files.sockets import Made, bind, remove

UNIX: Final = "unix:"
TOKEN_VARIABLE: Final = "FLOWVIGIL_TOKEN"  # noqa: S105  # the name of a variable
MIN_TOKEN_CHARACTERS, MAX_TOKEN_CHARACTERS = 32, 512
BACKLOG: Final = 1024
OWNER_ONLY: Final = 0o177  # taken from the mode of a Unix socket


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A TCP address or a Unix socket to listen on."""

    host: str  # name or address as given, without brackets; "" for a Unix socket
    port: int  # 0 for any free port, and for a Unix socket
    path: Path | None = None  # of the Unix socket

    def __str__(self) -> str:
        if self.path is not None:
            return f"{UNIX}{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it; of names only localhost is known to be."""
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_listen_address(text: str) -> ListenAddress:
    """Parse `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`. Raises ConfigError."""
    expected = "expected HOST:PORT, [IPV6]:PORT or unix:PATH"
    if text.startswith(UNIX):
        if not text.removeprefix(UNIX):
            raise ConfigError(f"--listen {text}: {expected}")
        return ListenAddress("", 0, Path(text.removeprefix(UNIX)))
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not colon or not host or (":" in host) != bracketed or not (port.isascii() and port.isdigit()):
        raise ConfigError(f"--listen {text}: {expected}")
    if len(port) > 5 or int(port) > 65535:
        raise ConfigError(f"--listen {text}: found port {port:.20}, expected 0 to 65535")
    return ListenAddress(host, int(port))


def read_token(path: Path | None, environment: Mapping[str, str]) -> str | None:
    """The token in a file, else in the environment, else None. Raises ConfigError for one that cannot be used."""
    if path is not None:
        try:
            with path.open("rb") as file:
                content = file.read(MAX_TOKEN_CHARACTERS + 3)
            return _checked_token(content.decode("ascii").strip(), f"--token-file {path}")
        except OSError as error:
            reason = reason_of(error)
            raise ConfigError(f"--token-file {path}: {reason}, expected a file with a token") from error
        except UnicodeDecodeError:
            raise ConfigError(f"--token-file {path}: no ASCII text, expected a token") from None
    if TOKEN_VARIABLE not in environment:
        return None
    return _checked_token(environment[TOKEN_VARIABLE].strip(), f"environment variable {TOKEN_VARIABLE}")


def _checked_token(token: str, origin: str) -> str:
    """A token of visible ASCII, as an HTTP header transports it (RFC 6750, 2.1)."""
    if not MIN_TOKEN_CHARACTERS <= len(token) <= MAX_TOKEN_CHARACTERS:
        raise ConfigError(
            f"{origin}: {len(token)} characters, expected a token of {MIN_TOKEN_CHARACTERS} to {MAX_TOKEN_CHARACTERS}"
        )
    if not all("!" <= character <= "~" for character in token):
        raise ConfigError(f"{origin}: a blank or a letter beyond ASCII, expected a token without")
    return token


def require_token(address: ListenAddress, token: str | None) -> None:
    """Raise ConfigError where other machines could use the API without a token."""
    if token is None and not address.is_local:
        raise ConfigError(
            f"--listen {address}: others can reach this address, expected a token in --token-file FILE or "
            f"{TOKEN_VARIABLE} (openssl rand -hex 32 makes one)"
        )


@contextmanager
def listening_socket(address: ListenAddress) -> Iterator[socket.socket]:
    """A socket that listens at the address, and is closed in the end; the file of a Unix socket goes with it.

    Raises ConfigError, as for an address in use.
    """
    with ExitStack() as stack:
        try:
            if address.path is None:
                listener = stack.enter_context(_tcp_socket(address))
            else:
                listener = _unix_socket(address.path, stack)
        except OSError as error:
            reason = reason_of(error)
            raise ConfigError(f"--listen {address}: {reason}, expected an address that is free") from error
        yield listener


def _tcp_socket(address: ListenAddress) -> socket.socket:
    family, socktype, protocol, _, address_info = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, socktype, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address_info)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _unix_socket(path: Path, stack: ExitStack) -> socket.socket:
    """A Unix socket that only its owner may connect to. A stale file, which nobody listens on any more, is replaced.

    stack: closes it, and removes its file where that is still the one that was made here.
    """
    if _is_stale(path):
        remove(path)
    listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    made = bind(listener, path, OWNER_ONLY)
    stack.callback(_leave, path, made)
    listener.listen(BACKLOG)
    return listener


def _leave(path: Path, made: Made) -> None:
    with suppress(OSError):  # one that stays is replaced at the next start
        remove(path, made)


def _is_stale(path: Path) -> bool:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
    return False

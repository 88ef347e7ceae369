"""python -m training.lab.clients.beacon: ask for orders again and again: a web server, a bare port, or a name server.

URL: http://, https://, tcp:// (a connection each time), held:// (one connection), dns:// (RESOLVER/ZONE).
"""

import argparse
import socket
import ssl
import struct
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from random import Random
from urllib.parse import urlsplit

TIMEOUT_S = 10.0


def _web(url: str) -> Callable[[bytes], None]:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))

    def ask(body: bytes) -> None:
        request = urllib.request.Request(url, headers={"Cookie": body.hex()[:3000]})  # noqa: S310  the lab's
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            answer.read(1 << 20)

    return ask


def _bare(host: str, port: int) -> Callable[[bytes], None]:
    def ask(body: bytes) -> None:
        with socket.create_connection((host, port), TIMEOUT_S) as channel:
            channel.sendall(body)
            channel.recv(4096)

    return ask


def _held(host: str, port: int) -> Callable[[bytes], None]:
    channels: list[socket.socket] = []

    def ask(body: bytes) -> None:
        if not channels:
            channels.append(socket.create_connection((host, port), TIMEOUT_S))
        try:
            channels[0].sendall(body)
            channels[0].recv(4096)
        except OSError:
            channels.pop().close()
            raise

    return ask


def _names(resolver: str, zone: str) -> Callable[[bytes], None]:
    """A question for the address of a name that carries the body. RFC 1035."""

    def ask(body: bytes) -> None:
        name = ".".join((body.hex()[:40], zone))
        labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split(".")) + b"\x00"
        question = struct.pack("!HHHHHH", int.from_bytes(body[:2], "big"), 0x0100, 1, 0, 0, 0) + labels
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.settimeout(TIMEOUT_S)
            channel.sendto(question + struct.pack("!HH", 1, 1), (resolver, 53))
            channel.recv(4096)
            time.sleep(0.3)  # so long that the lab sees which port this was

    return ask


def asker_of(url: str) -> Callable[[bytes], None]:
    """What asks once, by the kind of the address. Raises ValueError for another kind."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme in ("http", "https"):
        return _web(url)
    if parts.scheme in ("tcp", "held"):
        return (_bare if parts.scheme == "tcp" else _held)(host, parts.port or 0)
    if parts.scheme == "dns":
        return _names(host, parts.path.lstrip("/"))
    raise ValueError(f"{url}: expected http, https, tcp, held or dns")


def beacon(ask: Callable[[bytes], None], period_s: float, jitter: float, for_s: float, draw: Random) -> None:
    """Ask every period_s, give or take the share `jitter`, for so long. What fails is tried again next time."""
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        body = draw.randbytes(draw.choice((48, 48, 48, 64, 900)))
        with suppress(OSError):
            ask(body)
        time.sleep(max(0.0, min(period_s * draw.uniform(1 - jitter, 1 + jitter), end - time.monotonic())))


def main() -> None:
    """Read the command line and ask."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--period", type=float, required=True)
    parser.add_argument("--jitter", type=float, default=0.0)
    parser.add_argument("--for", type=float, required=True, dest="for_s")
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args()
    beacon(asker_of(given.url), given.period, given.jitter, given.for_s, Random(given.seed))


if __name__ == "__main__":
    main()

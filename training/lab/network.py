"""The network of a scenario: namespaces, devices, addresses, routes, and the process that is its cables and switches.

Nothing leads out of it: no device of the system's own namespace takes part, and the router drops what no host has.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from training.lab.accounts import account_files
from training.lab.namespaces import DEVICE, add_namespace, add_tap, ip, nft, own_prefix, remove_namespace
from training.lab.place import Site
from training.lab.processes import surroundings
from training.lab.scenario import ROUTER, Host, Link, Scenario, Segment
from training.lab.stacks import EVERYWHERE, STACKS, WITH_IPV6, congestion_control
from training.lab.translation import translation_of

_ROUTING: Final = {"net/ipv4/ip_forward": "1", "net/ipv4/icmp_ratelimit": "0"}
_ROUTING6: Final = {**WITH_IPV6, "net/ipv6/conf/all/forwarding": "1", "net/ipv6/icmp/ratelimit": "0"}
_VENDORS: Final = ("3c5282", "b42e99", "a4bb6d", "f4939f", "001e4f", "dca632")
_WIRE: Final = Link(delay_ms=0.0, rate_mbit=1000.0)  # of the router
_ENDING_S: Final = 20.0


def hardware_address(scenario: Scenario, segment: str, name: str) -> str:
    """The hardware address of a host or of the router at a segment, as 12 hexadecimal digits; the same at each run."""
    digest = hashlib.sha256(f"{scenario.name} {segment} {name}".encode()).hexdigest()
    return _VENDORS[int(digest[:2], 16) % len(_VENDORS)] + digest[2:8]


@dataclass(slots=True)
class Network:
    """A network that is up."""

    scenario: Scenario
    fabric: subprocess.Popen[str]
    counts: Mapping[str, Any]  # of the fabric; empty until it has ended

    def namespace(self, host: str) -> str:
        """The namespace of a host."""
        return own_prefix() + host

    def begin_capture(self) -> None:
        """Begin the captures. Raises OSError where the fabric is gone."""
        if self.fabric.stdin is not None:  # as it is: it was started with a pipe
            self.fabric.stdin.write("capture\n")
            self.fabric.stdin.flush()

    def end(self) -> None:
        """End the fabric, which writes out its captures, and keep its counts."""
        if self.counts:
            return
        with suppress(subprocess.TimeoutExpired, ValueError, OSError):
            out, _ = self.fabric.communicate(timeout=_ENDING_S)
            self.counts = json.loads(out) if out else {}
        if self.fabric.poll() is None:
            self.fabric.kill()
            self.fabric.wait()


@contextmanager
def network_up(scenario: Scenario, site: Site, directory: Path, captures: Mapping[str, Path]) -> Iterator[Network]:
    """The network of a scenario while it is needed. directory: of this run's own files. captures: by vantage point.

    Raises OSError and CalledProcessError; then nothing is left of it.
    """
    overlay = _overlay(site, directory)
    with ExitStack() as stack:
        ports = [_host(scenario, name, overlay, stack) for name in scenario.hosts]
        ports += _router(scenario, stack)
        plan = {"ports": ports, "seed": scenario.seed, "captures": {key: str(path) for key, path in captures.items()}}
        path = directory / "fabric.json"
        path.write_text(json.dumps(plan), encoding="utf-8")
        network = Network(scenario, _start_fabric(path, [port["fd"] for port in ports], directory), {})
        try:
            yield network
        finally:
            network.end()


def _start_fabric(plan: Path, descriptors: list[int], directory: Path) -> subprocess.Popen[str]:
    with (directory / "fabric.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "training.lab.fabric", str(plan)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=surroundings(directory),
            pass_fds=descriptors,
            start_new_session=True,  # an interrupt at the keyboard is the runner's alone
        )


def _overlay(site: Site, directory: Path) -> dict[str, str]:
    """Files that stand for those of /etc at every host."""
    homes = directory / "homes"
    resolver = site.addresses[site.resolver]
    return {
        **account_files(homes),
        "resolv.conf": f"nameserver {resolver}\nsearch {site.domain}\noptions timeout:2 attempts:2\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
    }


def _namespace(name: str, sysctls: Mapping[str, str], overlay: Mapping[str, str], stack: ExitStack) -> str:
    namespace = own_prefix() + name
    stack.callback(remove_namespace, namespace)
    add_namespace(namespace, sysctls, overlay)
    return namespace


def _tap(namespace: str, device: str, stack: ExitStack) -> int:
    descriptor = add_tap(namespace, device)
    stack.callback(_close, descriptor)
    return descriptor


def _close(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        os.close(descriptor)


def _host(scenario: Scenario, name: str, overlay: Mapping[str, str], stack: ExitStack) -> dict[str, Any]:
    host = scenario.hosts[name]
    segment = scenario.segments[host.segment]
    files = {**overlay, "hosts": f"127.0.0.1 localhost\n127.0.1.1 {name}.{scenario.domain} {name}\n"}
    six = {} if host.address6 is None else WITH_IPV6
    namespace = _namespace(name, {**EVERYWHERE, **six, **congestion_control(), **STACKS[host.stack]}, files, stack)
    descriptor = _tap(namespace, DEVICE, stack)
    mac = hardware_address(scenario, host.segment, name)
    inside = host.address in segment.network
    length = segment.network.prefixlen if inside else 32
    lines = [
        "link set lo up",
        f"link set {DEVICE} address {_colons(mac)} mtu {scenario.links[host.link].mtu} up",
        f"address add {host.address}/{length} dev {DEVICE}"
        + (f" broadcast {segment.network.broadcast_address}" if inside else ""),
        *([] if inside else [f"route add {segment.gateway} dev {DEVICE}"]),
        f"route add default via {segment.gateway}",
        *_host_ipv6(host, segment),
    ]
    ip("-n", namespace, batch="\n".join(lines) + "\n")
    return _port(descriptor, mac, (name, host.segment), segment, None, scenario.links[host.link])


def _host_ipv6(host: Host, segment: Segment) -> list[str]:
    """Commands of ip for a host's IPv6 address; none where it has none."""
    if host.address6 is None or segment.network6 is None:
        return []
    inside = host.address6 in segment.network6
    return [
        f"address add {host.address6}/{segment.network6.prefixlen if inside else 128} dev {DEVICE} nodad",
        *([] if inside else [f"route add {segment.gateway6} dev {DEVICE}"]),
        f"route add ::/0 via {segment.gateway6} dev {DEVICE}",
    ]


def _router(scenario: Scenario, stack: ExitStack) -> list[dict[str, Any]]:
    six = any(segment.network6 is not None for segment in scenario.segments.values())
    namespace = _namespace(ROUTER, {**EVERYWHERE, **_ROUTING, **(_ROUTING6 if six else {})}, {}, stack)
    ports, lines = [], ["link set lo up"]
    for name, segment in scenario.segments.items():
        descriptor = _tap(namespace, name[:15], stack)
        mac = hardware_address(scenario, name, ROUTER)
        lines += [
            f"link set {name[:15]} address {_colons(mac)} up",
            f"address add {segment.gateway}/{segment.network.prefixlen} dev {name[:15]}",
        ]
        if segment.network6 is not None:
            lines.append(f"address add {segment.gateway6}/{segment.network6.prefixlen} dev {name[:15]} nodad")
        ports.append(_port(descriptor, mac, (ROUTER, name), segment, _captured_from_router(scenario, name), _WIRE))
    for host in scenario.hosts.values():
        segment = scenario.segments[host.segment]
        for address, network in ((host.address, segment.network), (host.address6, segment.network6)):
            if address is not None and address not in (network or ()):
                lines.append(f"route add {address} dev {host.segment[:15]}")
    # What no host has goes nowhere, and nobody is told.
    lines += ["route add blackhole default", *(["route add blackhole ::/0"] if six else [])]
    ip("-n", namespace, batch="\n".join(lines) + "\n")
    translation = translation_of(scenario)
    if translation is not None:
        nft(namespace, translation.rules())
    return ports


def _captured_from_router(scenario: Scenario, name: str) -> list[str]:
    """Whose frames are captured where the router sends them to a segment: its own, and what it translates back."""
    segment, translation = scenario.segments[name], translation_of(scenario)
    addresses = [address for address in (segment.gateway, segment.gateway6) if address is not None]
    if translation is not None and name in translation.inside:
        addresses += [host.address for host in scenario.hosts.values() if host.segment == translation.outside]
    return [address.packed.hex() for address in addresses]


def _port(
    fd: int, mac: str, names: tuple[str, str], segment: Segment, own: list[str] | None, link: Link
) -> dict[str, Any]:
    """A port of the fabric. names: of who is at it, and of the segment."""
    hidden = segment.gateway.packed.hex() if segment.masquerades else None
    described = {"fd": fd, "name": names[0], "mac": mac, "segment": names[1], "own": own, "hidden": hidden}
    return {**described, **link.model_dump()}


def _colons(mac: str) -> str:
    return ":".join(mac[place : place + 2] for place in range(0, 12, 2))

"""A private network over others: WireGuard, in a process of its own where the kernel has none."""

import os
import subprocess
from typing import Final

from training.lab.content import web_root
from training.lab.place import Place
from training.lab.services.service import Command, Service
from training.lab.traffic import udp

WIREGUARD_PORT: Final = 51_820
GATEWAY_INSIDE: Final = "10.98.0.1"
HOST_INSIDE: Final = "10.98.0.{}"
CLIENTS: Final = 40  # keys that the gateway takes

_GATEWAY: Final = """set -e
WG_PROCESS_FOREGROUND=1 wireguard-go -f wg0 &
for try in 1 2 3 4 5 6 7 8 9 10; do ip link show wg0 >/dev/null 2>&1 && break; sleep 0.2; done
wg setconf wg0 "$1/wg.conf"
ip address add "$2/24" dev wg0
ip link set wg0 up mtu 1400
cd "$3"
exec python3 -m http.server --bind "$2" 80
"""


def key_pair(place: Place, number: int) -> tuple[str, str]:
    """Private and public key with a number, 0 that of the gateway; made where there is none yet."""
    path = place.site.shared / f"wireguard-{number}.key"
    if not os.path.exists(path):
        made = subprocess.run(["wg", "genkey"], check=True, capture_output=True, text=True, timeout=10).stdout
        path.write_text(made, encoding="utf-8")
    private = path.read_text(encoding="utf-8")
    public = subprocess.run(["wg", "pubkey"], input=private, check=True, capture_output=True, text=True, timeout=10)
    return private.strip(), public.stdout.strip()


def client_number(place: Place) -> int:
    """Which of the gateway's clients a host is."""
    return 2 + sorted(place.site.addresses).index(place.host) % CLIENTS


def _wireguard(place: Place) -> list[Command]:
    private, _ = key_pair(place, 0)
    parts = [f"[Interface]\nPrivateKey = {private}\nListenPort = {WIREGUARD_PORT}\n"]
    for number in range(2, 2 + min(CLIENTS, len(place.site.addresses))):
        _, public = key_pair(place, number)
        parts.append(f"[Peer]\nPublicKey = {public}\nAllowedIPs = {HOST_INSIDE.format(number)}/32\n")
    place.write("wg.conf", "\n".join(parts))
    return [["sh", "-c", _GATEWAY, "sh", str(place.directory), GATEWAY_INSIDE, str(web_root(place.site.shared))]]


WIREGUARD: Final = Service(
    "wireguard",
    "WireGuard with a web server behind it",
    ("wireguard-go", "wireguard-tools"),
    ("wireguard-go", "wg"),
    (udp(WIREGUARD_PORT),),
    _wireguard,
    private=("/run/wireguard",),
)

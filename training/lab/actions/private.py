"""Work over a private network: WireGuard up, some pages fetched inside, WireGuard down."""

from random import Random
from typing import Final

from training.lab.actions.action import Action, Step
from training.lab.content import parts_of
from training.lab.place import Place
from training.lab.services.private import GATEWAY_INSIDE, HOST_INSIDE, WIREGUARD_PORT, client_number, key_pair

_SESSION: Final = """set -e
mount -t tmpfs tmpfs /run
mkdir /run/wireguard
umask 077
WG_PROCESS_FOREGROUND=1 wireguard-go -f wg0 &
trap 'kill $!' EXIT
for try in 1 2 3 4 5 6 7 8 9 10; do ip link show wg0 >/dev/null 2>&1 && break; sleep 0.2; done
wg setconf wg0 "$1"
ip address add "$2/24" dev wg0
ip link set wg0 up mtu 1400
shift 2
for pause in $PAUSES; do
  curl -sS --max-time 20 -o /dev/null "$1" || true
  shift
  sleep "$pause"
done
"""


def _session(place: Place, target: str, draw: Random) -> list[Step]:
    number = client_number(place)
    private, _ = key_pair(place, number)
    _, gateway = key_pair(place, 0)
    endpoint = f"{place.site.addresses[target]}:{WIREGUARD_PORT}"
    peer = f"[Peer]\nPublicKey = {gateway}\nAllowedIPs = {GATEWAY_INSIDE}/32\nEndpoint = {endpoint}\n"
    path = place.write("wg.conf", f"[Interface]\nPrivateKey = {private}\n{peer}PersistentKeepalive = 25\n", 0o600)
    parts = [part for _ in range(draw.randint(1, 3)) for part in parts_of(draw.randrange(24))[:5]]
    urls = [f"http://{GATEWAY_INSIDE}/{part}" for part in parts]
    pauses = " ".join(f"{draw.lognormvariate(0, 0.8):.1f}" for _ in urls)
    script = f"PAUSES='{pauses}'\n{_SESSION}"
    return [Step(["sh", "-c", script, "sh", str(path), HOST_INSIDE.format(number), *urls])]


PRIVATE: Final = (
    Action(
        "vpn",
        "works over WireGuard for a while",
        ("wireguard-go", "wireguard-tools", "curl"),
        ("wireguard-go", "wg", "curl"),
        "wireguard",
        _session,
        longest_s=90,
    ),
)

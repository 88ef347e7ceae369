"""Name servers: dnsmasq, which knows every host of the site."""

from typing import Final

from training.lab.place import Place
from training.lab.services.service import Command, Service
from training.lab.traffic import tcp, udp

TUNNELS: Final = {
    "iodine": "t.example.test",
    "dns2tcp": "d.example.test",
    "name-orders": "o.example.test",
}  # zones, by the service that answers for each
LARGE_NAME: Final = "large.example.test"  # its answer is many times as long as the question
LARGE_RECORDS: Final = 10


def _dns(place: Place) -> list[Command]:
    site = place.site
    lines = [
        "keep-in-foreground",
        "no-resolv",
        "no-hosts",
        "local=/#/",  # what nobody here has is nowhere: NXDOMAIN, not a refusal
        "bind-interfaces",
        *(f"listen-address={address}" for address in place.addresses),
        "user=root",
        "log-facility=-",
        "cache-size=1000",
        "edns-packet-max=4096",
        f"pid-file={place.path('dnsmasq.pid')}",
        *(f"host-record={site.name(host)},{address}" for host, address in site.addresses.items()),
        *(f"host-record={site.by(6).name(host)},{address}" for host, address in site.addresses6.items()),
        *(f'txt-record={LARGE_NAME},"{number:04d}{"." * 200}"' for number in range(LARGE_RECORDS)),
    ]
    for service, zone in TUNNELS.items():
        owners = [host for host, services in site.services.items() if service in services]
        lines += [f"server=/{zone}/{site.addresses[host]}" for host in owners]
    return [["dnsmasq", "-C", str(place.write("dnsmasq.conf", "\n".join(lines) + "\n"))]]


DNS: Final = Service(
    "dns",
    "dnsmasq with the site's names",
    ("dnsmasq-base",),
    ("dnsmasq",),
    (udp(53), tcp(53)),
    _dns,
    asks=tuple(TUNNELS),
    ipv6=True,
)

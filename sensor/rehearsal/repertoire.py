"""The generator's attacks for a rehearsal: every technique that shapes name, in a time that the site's traffic has.

What repeats, such as beacons and slow scans, repeats as seldom as still lets a sensor see enough of it: a site of ten
minutes gets quick ones, one of a day the usual ones of the catalogue.
"""

from typing import Final

from sensor.episodes.shapes import BEACON_EVENTS
from sensor.synth.scenarios.beacons import held_channel, tcp_beacon, tls_beacon
from sensor.synth.scenarios.exfiltration import exfiltration, slow_exfiltration
from sensor.synth.scenarios.floods import forged_syn_flood, http_flood, icmp_flood, udp_flood
from sensor.synth.scenarios.logins import LOGIN_SERVICES, guessing
from sensor.synth.scenarios.portscan import PORTSCAN
from sensor.synth.scenarios.reflection import reflection
from sensor.synth.scenarios.scenario import Scenario
from sensor.synth.scenarios.slowhttp import SLOWHTTP
from sensor.synth.scenarios.sweeps import echo_sweep, slow_scan, slow_sweep, udp_sweep
from sensor.synth.scenarios.synflood import SYNFLOOD
from sensor.synth.scenarios.tunnels import dns_tunnel, icmp_tunnel

SHARE: Final = 0.7  # of the site's time that an attack takes at most, so that it fits in
BEATS: Final = 1.3 * BEACON_EVENTS  # calls that a beacon makes at least, some of which may be held up
PROBES: Final = 60  # of a slow scan


def repertoire(site_s: float) -> tuple[Scenario, ...]:
    """The attacks for a site whose traffic covers so many seconds. Those of one name are made by the same hosts."""
    room_s = SHARE * site_s
    beat_s = min(300.0, max(10.0, room_s / BEATS))
    hours = min(24.0, BEATS * beat_s / 3600)
    probe_s = min(300.0, max(2.0, room_s / PROBES))
    probing = PROBES * probe_s / 3600
    minutes = min(10.0, max(2.0, room_s / 60))
    keep_alive_s = min(45.0, max(3.0, room_s / 100))
    return (
        PORTSCAN,
        slow_scan(every_s=probe_s, hours=probing),
        slow_sweep(every_s=probe_s, hours=probing),
        udp_sweep(),
        echo_sweep(),
        SYNFLOOD,
        forged_syn_flood(),
        udp_flood(),
        icmp_flood(),
        http_flood(quiet_s=60.0),
        SLOWHTTP,
        reflection(),
        *(guessing(service=service) for service in LOGIN_SERVICES),
        guessing(service="rdp", sources=40),
        tls_beacon(period_s=beat_s, hours=hours),
        tcp_beacon(period_s=beat_s, hours=hours),
        held_channel(keep_alive_s=keep_alive_s, hours=100 * keep_alive_s / 3600),
        dns_tunnel(minutes=minutes),
        icmp_tunnel(minutes=minutes),
        exfiltration(),
        slow_exfiltration(every_s=beat_s, kilobytes=100, hours=hours),
    )

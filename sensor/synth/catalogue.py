"""All scenarios with their usual arguments, by name: those of the demo, further attacks, further everyday traffic."""

from sensor.synth.generate import SCENARIOS
from sensor.synth.scenarios.beacons import held_channel, tcp_beacon, tls_beacon
from sensor.synth.scenarios.exfiltration import exfiltration, slow_exfiltration
from sensor.synth.scenarios.floods import forged_syn_flood, http_flood, icmp_flood, udp_flood
from sensor.synth.scenarios.logins import LOGIN_SERVICES, guessing
from sensor.synth.scenarios.reflection import reflection
from sensor.synth.scenarios.scenario import Scenario
from sensor.synth.scenarios.sweeps import echo_sweep, slow_scan, slow_sweep, udp_sweep
from sensor.synth.scenarios.tunnels import dns_tunnel, icmp_tunnel

ATTACKS: tuple[Scenario, ...] = (
    tls_beacon(),
    tcp_beacon(),
    held_channel(),
    dns_tunnel(),
    icmp_tunnel(),
    reflection(),
    forged_syn_flood(),
    udp_flood(),
    icmp_flood(),
    http_flood(),
    *(guessing(service=service, sources=sources) for service in LOGIN_SERVICES for sources in (1, 40)),
    slow_scan(),
    slow_sweep(),
    udp_sweep(),
    echo_sweep(),
    exfiltration(),
    slow_exfiltration(),
)
EVERYDAY: tuple[Scenario, ...] = ()
CATALOGUE: tuple[Scenario, ...] = (*SCENARIOS, *ATTACKS, *EVERYDAY)

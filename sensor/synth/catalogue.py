"""All scenarios with their usual arguments, by name: those of the demo, further attacks, further everyday traffic.

Each function that is called here makes a scenario, and takes its rate, jitter, sources, sizes and duration as keyword
arguments: `generate([tls_beacon(period_s=60, jitter=0.2, hours=8)], seed=3)` is another beacon; `replace(udp_flood(),
begins=0.5)` begins half way. A day is some thousands of packets.
"""

from sensor.synth.generate import SCENARIOS
from sensor.synth.scenarios.announcements import announcements
from sensor.synth.scenarios.answers import backscatter, unreachable_ports
from sensor.synth.scenarios.beacons import held_channel, tcp_beacon, tls_beacon
from sensor.synth.scenarios.bulk import backups, software_updates, speed_test, web_crawl
from sensor.synth.scenarios.devices import cloud_heartbeats, devices
from sensor.synth.scenarios.exfiltration import exfiltration, slow_exfiltration
from sensor.synth.scenarios.floods import forged_syn_flood, http_flood, icmp_flood, udp_flood
from sensor.synth.scenarios.logins import LOGIN_SERVICES, guessing
from sensor.synth.scenarios.logon import directory_logon
from sensor.synth.scenarios.monitoring import agent_polling, health_checks, snmp_polling, uptime_checks
from sensor.synth.scenarios.recurring import dashboard, mail_delivery, retries
from sensor.synth.scenarios.reflection import reflection
from sensor.synth.scenarios.scenario import Scenario
from sensor.synth.scenarios.streams import video_call, vpn
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
EVERYDAY: tuple[Scenario, ...] = (
    snmp_polling(),
    agent_polling(),
    health_checks(),
    uptime_checks(),
    software_updates(),
    speed_test(),
    web_crawl(),
    backups(),
    retries(),
    retries(every_s=5.0, refused=True, hours=6.0),
    dashboard(),
    mail_delivery(),
    devices(),
    cloud_heartbeats(),
    announcements(),
    directory_logon(),
    video_call(),
    vpn(),
    backscatter(),
    unreachable_ports(),
)
CATALOGUE: tuple[Scenario, ...] = (*SCENARIOS, *ATTACKS, *EVERYDAY)

"""SYN flood against a web server: the accept backlog fills, the rest goes unanswered. T1499.001.

The victim has a bounded number of half-open connections and repeats its SYN-ACK for each; the attacker never responds.
"""

from collections.abc import Iterator
from random import Random

from sensor.synth.datagrams import ip_frame
from sensor.synth.packets import TCP, Flag, tcp
from sensor.synth.randomness import SECOND
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.site import Host, Site, inward_path, outside
from sensor.synth.stacks import options
from sensor.synth.truth import Exchange, Packet, Purpose, flow

FLOOD = Purpose("synflood", "T1499.001")

_REPEATS_S = (0, 1, 3, 7, 15, 31)  # Linux: five more SYN-ACKs, each after twice the time
_FLOOD_WINDOW = 512


def syn_flood(
    site: Site,
    rng: Random,
    span: Span,
    *,
    syns: int = 4000,
    per_second: float = 400.0,
    backlog: int = 128,
    spoofed: bool = False,
    purpose: Purpose = FLOOD,
) -> Iterator[Exchange]:
    """SYNs to port 80, each from a source port of its own, and if spoofed from an address of its own.

    The first `backlog` SYNs are answered, repeatedly; the victim drops the others.
    """
    attacker = outside("flooder", "192.0.2.200", rng)
    path = inward_path(rng, 8.0)
    at_ns = span.start_ns
    source_ports = rng.sample(range(1024, 65536), min(syns, 64000))
    for number in range(syns):
        at_ns += int(rng.expovariate(per_second) * SECOND)
        source = _forged(number, rng) if spoofed else attacker
        source_port = source_ports[number % len(source_ports)]
        seen = _half_open(
            source, source_port, site.web, rng, at_ns=at_ns, far_ns=path.far_ns, answered=number < backlog
        )
        yield flow(seen, purpose, TCP, (source.ipv4, source_port), (site.web.ipv4, 80))


def _forged(number: int, rng: Random) -> Host:
    return outside(f"forged{number}", f"198.19.{rng.randrange(128, 256)}.{rng.randrange(1, 255)}", rng)


def _half_open(
    source: Host, source_port: int, victim: Host, rng: Random, *, at_ns: int, far_ns: int, answered: bool
) -> list[Packet]:
    ends, pair = (source.ipv4, victim.ipv4), (source_port, 80)
    sequence, initial = rng.getrandbits(32), rng.getrandbits(32)
    seen = [
        Packet(at_ns, ip_frame(source, victim, TCP, tcp(ends, pair, sequence, 0, Flag.SYN, window=_FLOOD_WINDOW), rng))
    ]
    if answered:
        mss = options(("mss",), 1460, 0, 0, 0)
        answer = tcp(ends[::-1], pair[::-1], initial, sequence + 1, Flag.SYN | Flag.ACK, window=64240, options=mss)
        for after_s in _REPEATS_S:
            when = at_ns + 2 * far_ns + after_s * SECOND + rng.randrange(20_000, 4_000_000 if after_s else 60_000)
            seen.append(Packet(when, ip_frame(victim, source, TCP, answer, rng)))
    return seen


SYNFLOOD = Scenario("synflood", "4000 SYNs to port 80 in ten seconds from one host", 0.27, syn_flood)

"""TCP SYN scan of one host: probes with nothing but an MSS; closed ports answer RST, open ones are reset. T1046."""

from collections.abc import Iterator
from random import Random

from sensor.synth.datagrams import ip_frame
from sensor.synth.packets import TCP, Flag, tcp
from sensor.synth.randomness import lognormal
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.site import Site, inward_path, outside
from sensor.synth.stacks import MS, options
from sensor.synth.truth import Exchange, Packet, Purpose, flow

SCAN = Purpose("portscan", "T1046")

_OPEN = (22, 80, 443)
_PROBE_WINDOW = 1024
_BATCH = 40  # probes that a scanner sends before it waits for replies


def port_scan(site: Site, rng: Random, span: Span, ports: int = 1000) -> Iterator[Exchange]:
    """Probes of ports of the web server, in random order, from one source port. ports: their number, at least 3."""
    scanner = outside("scanner", "203.0.113.45", rng)
    target = site.web
    path = inward_path(rng, 11.0)
    source_port, sequence = rng.randrange(33000, 61000), rng.getrandbits(32)
    chosen = [*_OPEN, *rng.sample([port for port in range(1, 10000) if port not in _OPEN], ports - len(_OPEN))]
    rng.shuffle(chosen)
    at_ns = span.start_ns
    mss_only = options(("mss",), 1460, 0, 0, 0)
    for number, port in enumerate(chosen):
        at_ns += int(lognormal(rng, 0.35 * MS, 0.8)) + (number % _BATCH == 0) * int(lognormal(rng, 200 * MS, 0.3))
        ends, pair = (scanner.ipv4, target.ipv4), (source_port, port)
        segments = [
            (at_ns, scanner, target, tcp(ends, pair, sequence, 0, Flag.SYN, window=_PROBE_WINDOW, options=mss_only))
        ]
        reply_ns = at_ns + 2 * path.far_ns + 30_000 + int(rng.expovariate(1 / path.jitter_ns))
        back = ends[::-1], pair[::-1]
        if port in _OPEN:
            initial = rng.getrandbits(32)
            accepted = tcp(*back, initial, sequence + 1, Flag.SYN | Flag.ACK, window=64240, options=mss_only)
            # The scanner's own kernel knows of no connection, and resets it.
            dropped_ns = reply_ns + 2 * path.near_ns + int(rng.expovariate(1 / path.jitter_ns))
            segments.append((reply_ns, target, scanner, accepted))
            segments.append((dropped_ns, scanner, target, tcp(ends, pair, sequence + 1, 0, Flag.RST, window=0)))
        else:
            segments.append((reply_ns, target, scanner, tcp(*back, 0, sequence + 1, Flag.RST | Flag.ACK, window=0)))
        seen = [Packet(when, ip_frame(source, sink, TCP, segment, rng)) for when, source, sink, segment in segments]
        yield flow(seen, SCAN, TCP, (scanner.ipv4, source_port), (target.ipv4, port))


PORTSCAN = Scenario("portscan", "TCP SYN scan of 1000 ports of the web server", 0.18, port_scan)

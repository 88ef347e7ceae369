"""Devices and what they tell their makers: lamps, plugs and sensors that keep a connection, beat, and ask the time.

To an analyst of beacons this is the hard case: the same host outside, at a fixed period, in small messages, for ever.
It began before anybody looked, the answers come, and the like is said by every such device.
"""

from collections.abc import Iterator
from random import Random

from sensor.synth.conversation import Close, Conversation
from sensor.synth.datagrams import Message, dialogue, request_and_response
from sensor.synth.protocols import ntp, tls
from sensor.synth.protocols.opaque import opaque
from sensor.synth.randomness import SECOND, child, pause_ns
from sensor.synth.scenarios.lookups import server_name
from sensor.synth.scenarios.scenario import Scenario, Span
from sensor.synth.scenarios.secured import secure
from sensor.synth.site import Host, Site, inside, outward_path, remote_server
from sensor.synth.stacks import MS
from sensor.synth.truth import Exchange, Purpose

DEVICES = Purpose("devices")
HEARTBEATS = Purpose("cloud-heartbeats")

_BROKER, _CLOUD, _RELAY, _CLOCK = 485, 486, 487, 488  # numbers of servers outside
_PING = 2  # bytes of MQTT's PINGREQ and PINGRESP, MQTT 3.1.1 sections 3.12 and 3.13


def devices(
    *, count: int = 3, mqtt_s: float = 60.0, heartbeat_s: float = 30.0, clock_s: float = 64.0, hours: float = 2.0
) -> Scenario:
    """Devices that each hold an MQTT connection over TLS, exchange heartbeats over UDP, and ask a time server.

    count: at most 20. mqtt_s: between two PINGREQ. heartbeat_s: between two heartbeats, give or take a tenth.
    clock_s: between two NTP requests; 64 s is the shortest interval that RFC 5905 section 7.3 uses by itself.
    """

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        part = span.first(hours * 3600)
        for device in _devices(count, 210):
            yield _held_connection(site, device, child(rng), list(part.ticks(rng, mqtt_s, 0.005)), part)
            own, beats = child(rng), list(part.ticks(rng, heartbeat_s, 0.1))
            if beats:
                yield _heartbeats(site, device, own, beats)
            path = outward_path(rng)
            for at_ns in part.ticks(rng, clock_s, 0.005):
                yield request_and_response(
                    (device, remote_server(_CLOCK)),
                    (site.port(device, rng), 123),
                    (ntp.request(at_ns), ntp.response(at_ns, at_ns + path.near_ns + path.far_ns)),
                    start_ns=at_ns,
                    path=path,
                    rng=rng,
                    purpose=DEVICES,
                    processing_ns=MS // 20,
                )

    return Scenario("devices", f"{count} devices: MQTT, heartbeats, NTP", 0.0, traffic, hours * 60)


def cloud_heartbeats(
    *, count: int = 2, period_s: float = 30.0, jitter: float = 0.1, body_bytes: int = 240, hours: float = 1.0
) -> Scenario:
    """Devices that each make a new TLS connection to their maker every period, as a beacon does. count: at most 20."""

    def traffic(site: Site, rng: Random, span: Span) -> Iterator[Exchange]:
        server = remote_server(_CLOUD)
        for device in _devices(count, 232):
            path = outward_path(rng)
            for at_ns in span.first(hours * 3600).ticks(rng, period_s, jitter):
                own = child(rng)
                talk = Conversation((device, site.port(device, own)), (server, 443), path, own)
                talk.open(at_ns)
                secure(talk, own, server_name(server))
                talk.initiator_sends(tls.sealed(body_bytes + own.randrange(30)), pause_ns(own, 0.004))
                talk.target_sends(tls.sealed(160), pause_ns(own, 0.01))
                talk.close(Close.INITIATOR_FIN, pause_ns(own, 0.003))
                yield talk.exchange(HEARTBEATS)

    summary = f"{count} devices that connect to their maker every {period_s:g} s"
    return Scenario("cloud-heartbeats", summary, 0.0, traffic, hours * 60)


def _held_connection(site: Site, device: Host, rng: Random, beats: list[int], span: Span) -> Exchange:
    """MQTT on 8883, opened as the span begins and still open at its end; now and then a state is published."""
    server = remote_server(_BROKER)
    talk = Conversation((device, site.port(device, rng)), (server, 8883), outward_path(rng), rng)
    talk.open(span.start_ns + rng.randrange(SECOND))
    secure(talk, rng, server_name(server))
    talk.initiator_sends(tls.sealed(110), pause_ns(rng, 0.004))  # CONNECT
    talk.target_sends(tls.sealed(4), pause_ns(rng, 0.01))  # CONNACK
    for at_ns in beats:
        talk.initiator_sends(tls.sealed(_PING), max(0, at_ns - talk.now_ns))
        talk.target_sends(tls.sealed(_PING), pause_ns(rng, 0.002))
        if rng.random() < 0.03:
            talk.initiator_sends(tls.sealed(rng.randrange(120, 400)), pause_ns(rng, 5.0))
            talk.target_sends(tls.sealed(4), pause_ns(rng, 0.004))
    return talk.exchange(DEVICES)


def _heartbeats(site: Site, device: Host, rng: Random, beats: list[int]) -> Exchange:
    """Datagrams to a relay of the maker's and their answers, all in one flow."""
    path = outward_path(rng)
    messages = []
    for at_ns in beats:
        messages.append(Message(at_ns, False, opaque(88)))
        messages.append(Message(at_ns + 2 * path.far_ns + rng.randrange(MS, 3 * MS), True, opaque(40)))
    return dialogue((device, remote_server(_RELAY)), (site.port(device, rng), 32100), messages, rng, DEVICES)


def _devices(count: int, last: int) -> list[Host]:
    return [inside(f"device{last + number}", last + number) for number in range(count)]

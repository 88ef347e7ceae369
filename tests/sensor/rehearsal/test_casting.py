"""Who plays whom: hosts by what they did in a site's records, and the hosts of an attack replaced by them."""

from ipaddress import IPv4Address, IPv4Network
from random import Random

import pytest

from flows.batch import FlowBatch, address_words
from flows.meter import Meter, concatenate
from flows.truth import FlowTruth
from sensor.rehearsal.casting import cast
from sensor.rehearsal.episode import AttackEpisode, made
from sensor.rehearsal.hosts import PRIVATE, SeenHosts, SiteHosts
from sensor.synth.catalogue import guessing
from sensor.synth.scenarios.portscan import PORTSCAN
from sensor.synth.scenarios.reflection import reflection
from sensor.synth.scenarios.sweeps import echo_sweep
from sensor.synth.scenarios.tunnels import dns_tunnel
from tests.support.packets import block, tcp, udp


def talk(client: str, server: str, port: int, source_port: int = 40000, vlan: tuple[int, ...] = ()) -> list:
    """A short conversation over TCP."""
    one, two = f"{client}:{source_port}", f"{server}:{port}"
    turns = ((one, two, "S"), (two, one, "SA"), (one, two, "PA"), (two, one, "PA"), (one, two, "FA"), (two, one, "FA"))
    return [
        tcp(source, target, flags, at=0.01 * place, payload=40 * ("P" in flags), vlan=vlan)
        for place, (source, target, flags) in enumerate(turns)
    ]


def asks(client: str, resolver: str) -> list:
    return [udp(f"{client}:5000", f"{resolver}:53", payload=40), udp(f"{resolver}:53", f"{client}:5000", at=0.01)]


def hosts_of(packets: list) -> SiteHosts:
    packets = sorted(packets, key=lambda packet: packet.ts_ns)
    meter = Meter(1024)
    census = SeenHosts()
    records: list[FlowBatch] = [meter.feed(block(packets)), meter.drain()]
    concatenate(list(census.all_of(iter(records))))
    return census.hosts()


def texts(addresses: object) -> list[str]:
    return [str(IPv4Address(address)) for address in addresses]


@pytest.fixture(scope="module")
def site() -> SiteHosts:
    """Two clients, a web server, a mail server, a resolver, and a host outside that clients talk to."""
    packets = [
        *talk("192.168.5.20", "192.168.5.2", 80, 40001),
        *talk("192.168.5.20", "192.168.5.2", 80, 40002),
        *talk("192.168.5.21", "192.168.5.3", 993),
        *talk("192.168.5.21", "198.51.100.53", 443),
        *asks("192.168.5.20", "192.168.5.1"),
        tcp("203.0.113.45:50000", "192.168.5.77:445", "S"),  # nobody answers
    ]
    return hosts_of(packets)


def players(attack: AttackEpisode, site: SiteHosts, seed: int = 1) -> dict[str, str]:
    """Who plays each host of an attack, as text."""
    found = cast(attack, site, Random(seed))
    return dict(zip(texts(found), texts(found.values()), strict=True))


def test_hosts_are_known_by_what_was_answered(site: SiteHosts) -> None:
    assert site.home == PRIVATE
    assert texts(site.clients) == ["192.168.5.20", "192.168.5.21"]
    assert set(texts(site.servers)) == {"192.168.5.1", "192.168.5.2", "192.168.5.3"}
    assert texts(site.services[6, 993]) == ["192.168.5.3"]
    assert texts([site.resolver]) == ["192.168.5.1"]
    assert address_words("203.0.113.45")[1] in site.seen
    assert site.vlans == {}


def test_inside_of_a_site_without_private_addresses_is_its_busiest_network() -> None:
    packets = [packet for port in range(40000, 40005) for packet in talk(f"9.9.{port % 7}.9", "8.1.2.3", 443, port)]
    hosts = hosts_of(packets)
    assert hosts.home == (IPv4Network("8.1.2.0/24"),)
    assert (texts(hosts.servers), hosts.clients) == (["8.1.2.3"], ())


def test_public_servers_beside_a_private_network_are_inside_too() -> None:
    public = [packet for port in range(40000, 40005) for packet in talk(f"9.9.{port % 7}.9", "8.1.2.3", 443, port)]
    hosts = hosts_of([*public, *talk("192.168.5.20", "77.1.2.3", 443)])
    assert hosts.home == (*PRIVATE, IPv4Network("8.1.2.0/24"))
    assert (texts(hosts.servers), texts(hosts.clients)) == (["8.1.2.3"], ["192.168.5.20"])


def test_a_stray_flow_between_strangers_makes_none_of_them_ours() -> None:
    own = [packet for port in range(40000, 40030) for packet in talk("192.168.5.20", "77.1.2.3", 443, port)]
    assert hosts_of([*own, *talk("9.9.9.9", "8.1.2.3", 443)]).home == PRIVATE


def test_a_host_has_the_tags_of_most_of_its_flows() -> None:
    tagged = [packet for port in (40001, 40002) for packet in talk("10.0.0.1", "10.0.0.2", 80, port, (30, 7))]
    hosts = hosts_of([*tagged, *talk("10.0.0.1", "10.0.0.2", 80, 40003)])
    assert hosts.vlans[address_words("10.0.0.1")[1]] == 30 << 12 | 7


def test_a_server_becomes_one_that_answers_at_the_same_port(site: SiteHosts) -> None:
    for seed in range(5):
        assert players(made(guessing(service="imaps", sessions=9)), site, seed)["10.20.0.10"] == "192.168.5.3"


def test_a_service_that_the_site_has_not_is_tried_at_another_server(site: SiteHosts) -> None:
    found = {players(made(guessing(service="rdp", sessions=9)), site, seed)["10.20.0.10"] for seed in range(9)}
    assert len(found) > 1
    assert found <= {"192.168.5.1", "192.168.5.2", "192.168.5.3"}


def test_a_tunnel_goes_through_the_site_s_resolver_from_one_of_its_clients(site: SiteHosts) -> None:
    found = players(made(dns_tunnel(minutes=0.2)), site)
    assert found["10.20.0.1"] == "192.168.5.1"
    assert found["10.20.0.132"] in ("192.168.5.20", "192.168.5.21")


def test_whoever_attacks_stays_unless_the_site_has_seen_that_address(site: SiteHosts) -> None:
    scanned = players(made(PORTSCAN), site)  # by 203.0.113.45, which the site has seen
    assert scanned["203.0.113.45"] == "203.0.113.1"
    guessed = players(made(guessing(service="ssh", sessions=9)), site)
    assert guessed["198.18.220.1"] == "198.18.220.1"
    many = players(made(reflection(reflectors=60)), site)
    assert len(set(many.values())) == len(many)


def test_a_swept_network_becomes_the_site_s_with_every_host_at_its_place(site: SiteHosts) -> None:
    found = players(made(echo_sweep()), site)
    asked = {old: new for old, new in found.items() if old.startswith("10.20.")}
    assert len(asked) == 254
    places = {"10.20.1": "192.168.5", "10.20.2": "192.168.6"}  # the second is beside the site's only one
    for old, new in asked.items():
        network, _, place = old.rpartition(".")
        assert new == f"{places[network]}.{place}"
    assert len(set(found.values())) == len(found)


def test_a_site_of_one_host_gets_newcomers_beside_it() -> None:
    lonely = hosts_of(talk("192.168.5.20", "198.51.100.53", 443))
    flows = tuple(
        FlowTruth(0, 1, 6, f"10.20.0.{number}", 5000, "10.20.0.10", 22, 4, "moving-on", "T1021") for number in (3, 4, 5)
    )
    found = players(AttackEpisode("moving-on", "T1021", "lab", (), flows), lonely)
    assert "192.168.5.20" in found.values()
    assert all(new.startswith("192.168.5.") for new in found.values())
    assert len(set(found.values())) == 4


def test_whoever_was_outside_where_the_attack_was_made_stays_outside(site: SiteHosts) -> None:
    guess = FlowTruth(0, 1, 6, "80.82.77.33", 5000, "9.9.9.25", 993, 4, "guessing", "T1110")
    found = players(AttackEpisode("guessing", "T1110", "lab", (), (guess,), (IPv4Network("9.9.9.0/24"),)), site)
    assert found == {"80.82.77.33": "80.82.77.33", "9.9.9.25": "192.168.5.3"}

"""Whose a flow is: users, episodes while they last, forged addresses, answers, ICMP errors, ports of a tool's own."""

from copy import deepcopy
from ipaddress import IPv4Network, ip_address
from pathlib import Path

from tests.training.lab.sites import DUAL, SMALL, scenario_of
from training.lab.attacks.tool import Reach
from training.lab.claims import GRACE_NS, Claim, Claims, Ends, benign_claims, host_addresses
from training.lab.labelling import IDLE_NS, label
from training.lab.orders import reaches_of
from training.lab.packets import IPV4, IPV6, LabPacket
from training.lab.traffic import ICMP, ICMPV6, TCP, UDP, udp

S = 1_000_000_000
SERVER, DESK, MALLORY = "10.1.1.2", "10.1.1.3", "203.0.113.9"


def ends(protocol: int, initiator: str, initiator_port: int, target: str, target_port: int) -> Ends:
    return Ends(protocol, int(ip_address(initiator)), initiator_port, int(ip_address(target)), target_port)


def packet(at_ns: int, of: Ends, about: Ends | None = None, *, begins: bool = False, answer: bool = False) -> LabPacket:
    return LabPacket(at_ns, bytes(6), IPV4, of, about, begins, answer)


def claims_of(tmp_path: Path, *further: Claim) -> Claims:
    """Claims of the small scenario, its scan from 10 to 30 s and its flood from 60 to 70 s."""
    scenario = scenario_of(tmp_path)
    reaches = reaches_of(scenario)
    scan = [Claim("scan", "T1046", reach, 10 * S, 30 * S) for reach in reaches["scan"]]
    flood = [Claim("flood", "T1499.001", reach, 60 * S, 70 * S) for reach in reaches["flood"]]
    return Claims([*further, *scan, *flood, *benign_claims(scenario)], host_addresses(scenario))


def names(tmp_path: Path, *packets: LabPacket) -> list[tuple[str, int]]:
    """Of each flow whose it is and how many packets it has."""
    return [(truth.scenario, truth.packets) for truth in label(packets, claims_of(tmp_path)).truths]


def test_a_user_and_its_lookup_are_told_by_their_service(tmp_path: Path) -> None:
    browse, lookup = ends(TCP, DESK, 50000, SERVER, 80), ends(UDP, DESK, 50001, SERVER, 53)
    found = names(tmp_path, packet(1 * S, lookup), packet(2 * S, browse), packet(2 * S, browse.turned()))
    assert found == [("lookups", 1), ("desk/clerk/browse", 2)]


def test_a_probe_is_the_scan_while_it_lasts_and_nobodys_before(tmp_path: Path) -> None:
    probe = ends(TCP, MALLORY, 40000, SERVER, 99)
    assert names(tmp_path, packet(9 * S, probe)) == [("unaccounted", 1)]
    assert names(tmp_path, packet(11 * S, probe), packet(11 * S + 1, probe.turned())) == [("scan", 2)]
    assert names(tmp_path, packet(30 * S + GRACE_NS, probe)) == [("scan", 1)]
    assert names(tmp_path, packet(31 * S + GRACE_NS, probe)) == [("unaccounted", 1)]


def test_a_late_answer_stays_with_its_flow(tmp_path: Path) -> None:
    probe = ends(TCP, MALLORY, 40000, SERVER, 80)
    assert names(tmp_path, packet(29 * S, probe), packet(29 * S + 60 * S, probe.turned())) == [("scan", 2)]


def test_ports_that_a_user_has_after_an_episode_are_the_users(tmp_path: Path) -> None:
    of_tool = Claim("early", "T1046", Reach((IPv4Network(DESK),), (IPv4Network(SERVER),), (udp(53),)), 0, 10 * S)
    asked = ends(UDP, DESK, 50000, SERVER, 53)
    labelled = label([packet(1 * S, asked), packet(40 * S, asked)], claims_of(tmp_path, of_tool))
    assert [truth.scenario for truth in labelled.truths] == ["early", "lookups"]


def test_a_flood_from_forged_addresses_is_told_from_users_of_the_same_port(tmp_path: Path) -> None:
    forged, user = ends(TCP, "77.1.2.3", 1234, SERVER, 80), ends(TCP, DESK, 50000, SERVER, 80)
    found = label([packet(61 * S, forged), packet(61 * S, user)], claims_of(tmp_path)).truths
    assert {(truth.initiator, truth.technique) for truth in found} == {("77.1.2.3", "T1499.001"), (DESK, "benign")}


def test_a_flow_whose_first_packet_is_an_answer_has_its_initiator_at_the_other_end(tmp_path: Path) -> None:
    answer = ends(TCP, SERVER, 80, DESK, 50000)
    (truth,) = label([packet(1 * S, answer, answer=True)], claims_of(tmp_path)).truths
    assert (truth.initiator, truth.target, truth.scenario) == (DESK, SERVER, "desk/clerk/browse")


def test_an_error_belongs_to_whom_the_packet_belongs_that_it_is_about(tmp_path: Path) -> None:
    probe, error = ends(TCP, MALLORY, 40000, SERVER, 99), ends(ICMP, SERVER, 0, MALLORY, 0)
    found = label([packet(11 * S, probe), packet(11 * S + 9, error, about=probe)], claims_of(tmp_path)).truths
    assert [(truth.scenario, truth.protocol) for truth in found] == [("scan", TCP), ("scan", ICMP)]


def test_ports_of_a_tools_own_sockets_tell_it_from_the_host(tmp_path: Path) -> None:
    reach = Reach((IPv4Network(DESK),), (IPv4Network(SERVER),), (udp(53),), own_ports=True)
    tunnel = Claim("tunnel", "T1071.004", reach, own_ports=frozenset({5353}))
    packets = [packet(1 * S, ends(UDP, DESK, port, SERVER, 53)) for port in (5353, 5354)]
    found = label(packets, claims_of(tmp_path, tunnel)).truths
    assert [truth.scenario for truth in found] == ["tunnel", "lookups"]


def test_silence_and_a_new_beginning_end_a_flow(tmp_path: Path) -> None:
    browse = ends(TCP, DESK, 50000, SERVER, 80)
    whole = names(tmp_path, packet(0, browse, begins=True), packet(IDLE_NS, browse.turned()))
    silent = names(tmp_path, packet(0, browse, begins=True), packet(IDLE_NS + 1, browse.turned()))
    anew = names(tmp_path, packet(0, browse, begins=True), packet(IDLE_NS // 2, browse, begins=True))
    assert [len(found) for found in (whole, silent, anew)] == [1, 2, 2]


def test_what_a_host_tells_all_of_its_segment_is_its_own(tmp_path: Path) -> None:
    content = deepcopy(SMALL)
    content["hosts"]["desk"]["services"] = ["netbios"]
    content["habits"]["clerk"]["actions"]["discover"] = ["server"]
    scenario = scenario_of(tmp_path, content)
    claims = Claims(benign_claims(scenario), host_addresses(scenario))
    shouts = [ends(UDP, DESK, 138, "10.1.1.255", 138), ends(UDP, DESK, 5353, "224.0.0.251", 5353)]
    others = [ends(UDP, SERVER, 138, "10.1.1.255", 138), ends(UDP, DESK, 138, "10.1.2.255", 138)]
    found = [claims.of(each, 0) for each in (*shouts, *others)]
    assert [claim and claim.name for claim in found] == ["desk/netbios", "desk/discover", None, None]


def test_packets_in_are_packets_over_all_flows(tmp_path: Path) -> None:
    probes = [packet((11 + n % 9) * S + n, ends(TCP, MALLORY, 40000, SERVER, n % 50)) for n in range(500)]
    probes.sort(key=lambda each: each.ts_ns)
    labelled = label([*probes, replace_kind(probes[-1])], claims_of(tmp_path))
    assert sum(truth.packets for truth in labelled.truths) == 500
    assert labelled.packets == 501
    assert [len(times) for times in labelled.arp.values()] == [1]


def replace_kind(of: LabPacket) -> LabPacket:
    """The same as a frame of ARP."""
    return of._replace(kind=0x0806, ends=None)


def test_flows_of_ipv6_are_told_as_those_of_ipv4(tmp_path: Path) -> None:
    content = deepcopy(DUAL)
    content["habits"]["clerk"]["actions"]["ping"] = ["server"]
    scenario = scenario_of(tmp_path, content)
    claims = Claims(benign_claims(scenario), host_addresses(scenario))
    six, server6 = "2001:db8:1::3", "2001:db8:1::2"
    sent = [ends(TCP, six, 50000, server6, 80), ends(UDP, six, 50001, server6, 53), ends(ICMPV6, six, 0, server6, 0)]
    found = label([packet(n, each) for n, each in enumerate(sent)], claims).truths
    assert [truth.scenario for truth in found] == ["desk/clerk/browse", "lookups", "desk/clerk/ping"]
    assert {(truth.initiator, truth.target) for truth in found} == {(six, server6)}


def test_neighbours_are_nobodys_doing_and_echoes_between_the_same_two_are_somebodys(tmp_path: Path) -> None:
    content = deepcopy(DUAL)
    content["habits"]["clerk"]["actions"]["ping"] = ["server"]
    scenario = scenario_of(tmp_path, content)
    claims = Claims(benign_claims(scenario), host_addresses(scenario))
    both = ends(ICMPV6, "2001:db8:1::3", 0, "2001:db8:1::2", 0)
    asked = LabPacket(1, bytes(6), IPV6, both, None, False, False, neighbours=True)
    packets = [asked, packet(2, both), packet(3, both.turned()), asked._replace(ts_ns=4), packet(5, both)]
    found = label(packets, claims).truths
    assert [(truth.scenario, truth.packets, truth.technique) for truth in found] == [
        ("neighbours", 1, "benign"),
        ("desk/clerk/ping", 4, "benign"),
    ]

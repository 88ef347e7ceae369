"""Flows that come near to the shape of a technique, on either side of where it is reached."""

from flows.batch import SEEN_ACK, SEEN_RST_BACK, SEEN_SYN, SEEN_SYN_BACK, SNAPSHOT
from tests.support.episodes import HULK, ICMP, Flow, guesses, requests

UDP = 17
SYN = Flow(sent=0, answered=0, port=80)
OPEN = {"every": 0.1, "lasts": 70.0, "sent": 200, "end": SNAPSHOT}  # a request that goes on and hardly sends


def ports(n: int, every: float = 1.0, *, answered: int = 0) -> list[Flow]:
    """One host asked for n ports, of which the first `answered` answer."""
    return [SYN._replace(port=1 + i, at=i * every, back=int(i < answered)) for i in range(n)]


def hosts(n: int, every: float = 1.0, **fields: int) -> list[Flow]:
    """One service of n hosts of a network asked."""
    return [SYN._replace(target=f"198.51.100.{1 + i}", at=i * every, **fields) for i in range(n)]


def echo_sweep(n: int, there: int) -> list[Flow]:
    """One echo request to each of n hosts of a network, of which so many, here and there, answer."""
    flow = Flow(protocol=ICMP, port=0, source_port=0, sent=0)
    answered = [i * there // n != (i + 1) * there // n for i in range(n)]
    return [
        flow._replace(target=f"198.51.100.{1 + i}", at=i * 0.1, back=int(answered[i]), answered=0) for i in range(n)
    ]


def anywhere(n: int, every: float = 0.1, **fields: int) -> list[Flow]:
    """One service of n hosts, each of another network."""
    return [SYN._replace(target=f"198.{i}.100.1", at=i * every, **fields) for i in range(n)]


def crowd(n: int, every: float, sources: int = 60, **fields: int) -> list[Flow]:
    """SYNs of many sources to one service."""
    return [
        SYN._replace(source=f"203.0.113.{1 + i % sources}", at=i * every, source_port=i, **fields) for i in range(n)
    ]


def answers(n: int, sources: int = 60, **fields: int) -> list[Flow]:
    """Answers of many resolvers that nobody asked for."""
    flow = SYN._replace(protocol=UDP, source_port=53, port=40000, **fields)
    return [flow._replace(source=f"203.0.113.{1 + i % sources}", at=i * 0.01, port=40000 + i) for i in range(n)]


def beat(n: int, gap: float, jitter: float, **fields: object) -> list[Flow]:
    """Connections whose gaps are the median one, longer and shorter by turns."""
    flow = Flow(port=443, source="10.0.0.1")._replace(**fields)
    return [flow._replace(at=i * gap + (i % 3 == 2) * jitter * gap, source_port=1024 + i) for i in range(n)]


def echoes(n: int, seconds: float, size: int = 600) -> list[Flow]:
    """One flow of n echo requests, each answered."""
    return [Flow(protocol=ICMP, port=0, source_port=0, sent=0, packets=n, back=n, lasts=seconds, seen=size << 24)]


def names(n: int, asked: int, every: float = 0.25) -> list[Flow]:
    """Questions to a resolver, each of so many bytes from a port of its own."""
    flow = Flow(protocol=UDP, port=53, sent=asked)
    return [flow._replace(at=i * every, source_port=1024 + i) for i in range(n)]


def one_flow(packets: int, seconds: float, back: int = 0, port: int = 9999, **fields: str) -> list[Flow]:
    """One flow of datagrams."""
    flow = Flow(protocol=UDP, port=port, sent=1000 * packets, answered=0, packets=packets, back=back, lasts=seconds)
    return [flow._replace(**fields)]


def visits(n: int, every: float, sources: int = 40, quiet: float = 200, **fields: float) -> list[Flow]:
    """Sessions of many sources with a web server, after a time in which it had one every ten seconds."""
    flow = Flow(port=80)._replace(**fields)
    before = [flow._replace(source="192.0.2.200", at=i * 10.0, known=1.0) for i in range(int(quiet / 10))]
    return before + [
        flow._replace(source=f"203.0.113.{1 + i % sources}", at=quiet + i * every, source_port=i) for i in range(n)
    ]


def kept(seconds: float = 90, packets: int = 200, **fields: object) -> list[Flow]:
    """One connection out of a private network to an unusual port, kept open."""
    flow = Flow(source="10.0.0.1", port=4444, sent=9000, answered=3000, seen=SEEN_SYN | SEEN_SYN_BACK | SEEN_ACK)
    return [flow._replace(lasts=seconds, news=packets, packets=packets // 2, back=packets // 2)._replace(**fields)]


def upload(megabytes: float, **fields: object) -> list[Flow]:
    """One connection out of a private network that sends so much."""
    return [Flow(source="10.0.0.1", sent=int(1e6 * megabytes), answered=10_000, lasts=60.0)._replace(**fields)]


A, U = "attack", "uncertain"
EDGES: dict[str, tuple[list[Flow], set[tuple[str, str]]]] = {
    "four ports of one host": (ports(4), set()),
    "five ports of one host": (ports(5), {("T1046", U)}),
    "ten ports of one host": (ports(10), {("T1046", A)}),
    "ten ports, of which four answer": (ports(10, answered=4), set()),
    "ten ports, each asked with a byte in the SYN": (
        [flow._replace(sent=1, back=1, seen=SEEN_SYN | SEEN_RST_BACK) for flow in ports(10)],
        {("T1046", A)},
    ),
    "ten ports, each ten minutes after the last": (ports(10, 600), set()),
    "eighteen ports of one host, each an hour after the last": (ports(18, 3600), {("T1046", U)}),
    "eighteen ports, each an hour after the last, of which one answers": (ports(18, 3600, answered=1), set()),
    "seven hosts of a network": (hosts(7), set()),
    "nine hosts of a network": (hosts(9), {("T1046", U)}),
    "nine web servers here and there in a network": (
        [flow._replace(target=f"198.51.100.{1 + 28 * i}") for i, flow in enumerate(hosts(9, port=443))],
        {("T1046", U)},
    ),
    "seventeen hosts of a network": (hosts(17), {("T1046", A)}),
    "echo requests to seventeen hosts": (hosts(17, protocol=ICMP, port=0, source_port=0), {("T1018", A)}),
    "one port of nine hosts anywhere": (anywhere(9, port=8883), {("T1046", U)}),
    "web sites, as without an uplink": (anywhere(29, port=443), set()),
    "web sites, more than a client asks": (anywhere(31, port=443), {("T1046", U)}),
    "pictures sent one way, each to a port of its own": (
        [flow._replace(protocol=UDP, packets=9, sent=9000) for flow in ports(20)],
        set(),
    ),
    "datagrams to ports that do not answer": (
        [flow._replace(protocol=UDP, packets=8, sent=800) for flow in ports(6)],
        {("T1046", U)},
    ),
    "peers that are gone, each on a port of its own": (
        [flow._replace(port=20000 + 7 * i) for i, flow in enumerate(anywhere(200))],
        set(),
    ),
    "one dead server, again and again": ([SYN._replace(at=i * 5.0, source_port=i) for i in range(2000)], set()),
    "SYNs, 9.5 a second": ([SYN._replace(at=i / 9.5, source_port=i) for i in range(1000)], set()),
    "SYNs, 11 a second": ([SYN._replace(at=i / 11, source_port=i) for i in range(1000)], {("T1499.001", A)}),
    "connections without data, 9.5 a second": (
        [SYN._replace(back=1, at=i / 9.5, source_port=i) for i in range(1000)],
        set(),
    ),
    "connections without data, 11 a second": (
        [SYN._replace(back=1, at=i / 11, source_port=i) for i in range(1000)],
        {("T1499.001", A)},
    ),
    "SYNs with a byte, 11 a second": (
        [SYN._replace(sent=1, at=i / 11, source_port=i, seen=SEEN_SYN) for i in range(1000)],
        {("T1499.001", A)},
    ),
    "SYNs with a byte of sixty hosts, all answered, 22 a second": (
        crowd(1000, 1 / 22, sent=1, back=1, seen=SEEN_SYN | SEEN_SYN_BACK),
        {("T1498.001", A)},
    ),
    "SYNs of sixty hosts, 19 a second": (crowd(1000, 1 / 19), set()),
    "SYNs of sixty hosts, 22 a second": (crowd(1000, 1 / 22), {("T1498.001", A)}),
    "SYNs of ten hosts, 22 a second": (crowd(1000, 1 / 22, sources=10), set()),
    "SYNs of sixty hosts to a busy service": (
        crowd(1000, 1 / 22)
        + [Flow(port=80, at=i / 11, source=f"10.0.0.{1 + i % 200}", source_port=i) for i in range(500)],
        set(),
    ),
    "ninety packets of answers": (answers(45), set()),
    "a hundred and twenty packets of answers": (answers(60), {("T1498.002", A)}),
    "as many of ten hosts": (answers(60, sources=10), set()),
    "as many of memcached": (
        [flow._replace(source_port=11211) for flow in answers(60)],
        {("T1498.002", A)},
    ),
    "as many of devices of the network, which was searched": (
        [flow._replace(source_port=10001, source=f"10.0.0.{1 + i % 60}") for i, flow in enumerate(answers(60))],
        set(),
    ),
    "as many from ports of no service": ([flow._replace(source_port=20_001) for flow in answers(60)], set()),
    "datagrams one way, 700 a second": (one_flow(7000, 10), set()),
    "datagrams one way, 900 a second": (one_flow(9000, 10), {("T1498.001", U)}),
    "datagrams one way, as many as 3000 a second": (one_flow(30_000, 10), {("T1498.001", U)}),
    "datagrams one way, 9000 a second": (one_flow(90_000, 10), {("T1498.001", A)}),
    "datagrams that are answered": (one_flow(9000, 10, back=600), set()),
    "datagrams one way to a port of discovery, 9000 a second": (one_flow(90_000, 10, port=1900), {("T1498.001", A)}),
    "datagrams to a port of traceroute, each from a port of its own, 11 a second": (
        [SYN._replace(protocol=UDP, port=33434, at=i / 11, source_port=1024 + i) for i in range(1000)],
        {("T1498.001", A)},
    ),
    "datagrams to a group, 9000 a second": (one_flow(90_000, 10, port=1900, target="239.1.2.3"), set()),
    "datagrams of one host from port 53, 7000 a second": (
        [flow._replace(source_port=53) for flow in one_flow(70_000, 10)],
        set(),
    ),
    "datagrams of one host from port 53, 17,000 a second": (
        [flow._replace(source_port=53) for flow in one_flow(170_000, 10)],
        {("T1498.001", A)},
    ),
    "errors of ICMP, 7000 a second": (
        [Flow(protocol=ICMP, icmp_type=3, port=0, source_port=0, sent=0, answered=0, packets=70_000, lasts=10.0)],
        set(),
    ),
    "errors of ICMP, 40,000 a second": (
        [Flow(protocol=ICMP, icmp_type=3, port=0, source_port=0, sent=0, answered=0, packets=400_000, lasts=10.0)],
        {("T1498.001", A)},
    ),
    "echoes, 90 a second, of 56 bytes": (echoes(900, 10, 64), set()),
    "echoes, 110 a second": (echoes(1100, 10), {("T1498.001", U)}),
    "echoes, 220 a second": (echoes(2200, 10), {("T1498.001", A)}),
    "SYNs to ports of one host, 4900 a second": (
        [SYN._replace(at=i / 4900, port=i) for i in range(20_000)],
        {("T1046", A)},
    ),
    "SYNs to ports of one host, 5100 a second": (
        [SYN._replace(at=i / 5100, port=i) for i in range(40_000)],
        {("T1046", A), ("T1499.001", A)},
    ),
    "echo requests to eleven hosts, a third of them there": (echo_sweep(11, 4), set()),
    "echo requests to thirteen hosts, two thirds of them there": (echo_sweep(13, 9), {("T1018", U)}),
    "echo requests to hosts all of which are there": (echo_sweep(60, 60), set()),
    "large echoes, 1.5 a second": (echoes(150, 100), set()),
    "large echoes, 2.5 a second": (echoes(250, 100), {("T1095", U)}),
    "eighteen like sessions": (guesses(18, known=1.0), set()),
    "twenty-five like sessions": (guesses(25, known=1.0), {("T1110.001", U)}),
    "forty-five like sessions": (guesses(45, known=1.0), {("T1110.001", A)}),
    "four labelled ones": (guesses(4), set()),
    "five labelled ones": (guesses(5), {("T1110.001", U)}),
    "ten labelled ones": (guesses(10), {("T1110.001", U)}),
    "eleven labelled ones": (guesses(11), {("T1110.001", A)}),
    "labelled ones elsewhere": (guesses(95, port=8883), set()),
    "more of them elsewhere": (guesses(130, port=8883), {("T1110.001", U)}),
    "sessions with a login service that differ": (
        [flow._replace(sent=4 ** (i % 7)) for i, flow in enumerate(guesses(60))],
        set(),
    ),
    "long sessions": (guesses(60, lasts=40.0), set()),
    "sessions that go on": (guesses(60, end=SNAPSHOT, seen=3), set()),
    "thirty like sessions of thirty hosts": (
        [flow._replace(source=f"203.0.113.{i}") for i, flow in enumerate(guesses(30, known=1.0))],
        set(),
    ),
    "sixty like sessions of one host beside those of five": (
        guesses(60, every=2.0)
        + [
            flow._replace(source=f"203.0.113.{i % 5}", at=1 + 12.0 * i) for i, flow in enumerate(guesses(12, known=1.0))
        ],
        {("T1110.001", A)},
    ),
    "datagrams of one host, each from a port of its own, 11 a second": (
        [SYN._replace(protocol=UDP, at=i / 11, source_port=i) for i in range(1000)],
        {("T1498.001", A)},
    ),
    "fifty like sessions of fifty hosts": (
        [flow._replace(source=f"203.0.113.{i}") for i, flow in enumerate(guesses(50, known=1.0))],
        {("T1110.001", U)},
    ),
    "requests, 9 a second": (requests(1000, every=1 / 9), set()),
    "requests, 11 a second": (requests(1000, every=1 / 11), {("T1499.002", A)}),
    "requests that no lane takes for overload": (requests(1000, every=1 / 11, known=1.0), set()),
    "visits, 18 a second, of a server that had one in ten": (visits(1000, 1 / 18, known=1.0), set()),
    "visits, 22 a second, of a server that had one in ten": (visits(1000, 1 / 22, known=1.0), {("T1499.002", U)}),
    "as many of a server just come into view": (visits(1000, 1 / 22, quiet=30, known=1.0), set()),
    "as many that the known lane takes for overload": (
        visits(1000, 1 / 22, quiet=0, label=HULK, known=1e-9),
        {("T1499.002", A)},
    ),
    "as many of two hundred visitors": (visits(1000, 1 / 22, sources=200, known=1.0), set()),
    "as many of a server that had three a second": (
        [
            *(Flow(port=80, at=i / 3, source=f"203.0.113.{1 + i % 60}") for i in range(1800)),
            *(flow._replace(at=600 + flow.at) for flow in visits(1000, 1 / 22, quiet=0, known=1.0)),
        ],
        set(),
    ),
    "nineteen requests that never end": (requests(19, every=1.0, lasts=90.0, sent=200), set()),
    "requests that never end and no lane takes for anything": (
        requests(48, every=1.0, lasts=30.0, sent=200, answered=0, back=2, known=1.0),
        set(),
    ),
    "more of them": (requests(70, every=1.0, lasts=30.0, sent=200, answered=0, back=2, known=1.0), {("T1499.002", U)}),
    "as many that are answered": (requests(70, every=1.0, lasts=30.0, sent=200, known=1.0), set()),
    "thirty requests that never end": (requests(30, every=1.0, lasts=90.0, sent=200), {("T1499.002", A)}),
    "thirty-five requests that never end, as only their second report shows": (requests(35, report=1, **OPEN), set()),
    "fifty requests that never end, as only their second report shows": (
        requests(50, report=1, **OPEN),
        {("T1499.002", A)},
    ),
    "a browser's six connections, told each minute": (
        [flow._replace(at=60.0 * k + flow.at, report=k) for k in range(9) for flow in requests(6, **OPEN)],
        set(),
    ),
    "twenty connections in a beat": (beat(20, 60, 0.1), set()),
    "thirty connections in a beat": (beat(30, 60, 0.05), {("T1071.001", U)}),
    "thirty in a beat to another port outside": (beat(30, 60, 0.05, port=4444), {("T1571", U)}),
    "thirty in a beat to a web port inside": (beat(30, 60, 0.05, port=8080, target="10.0.0.9"), {("T1071.001", U)}),
    "a timer that polls a neighbour": (beat(30, 60, 0.005, port=8080, target="10.0.0.9"), set()),
    "a timer that polls a host outside": (beat(30, 60, 0.005, port=8080), {("T1071.001", U)}),
    "thirty in a beat to another port inside": (beat(30, 60, 0.05, port=4444, target="10.0.0.9"), set()),
    "thirty whose gaps differ by .15 of the median": (beat(30, 60, 0.15), {("T1071.001", U)}),
    "thirty whose gaps differ by .17 of the median": (beat(30, 60, 0.17), set()),
    "a beat of uploads": (beat(30, 60, 0.05, sent=20_000), {("T1041", U)}),
    "a beat of uploads inside": (beat(30, 60, 0.05, sent=20_000, target="10.0.0.9"), {("T1071.001", U)}),
    "a beat that sends little": (beat(30, 60, 0.05, sent=9_000), {("T1071.001", U)}),
    "a beat that gets as much": (beat(30, 60, 0.05, sent=20_000, answered=2_500), {("T1071.001", U)}),
    "an upload of 18 MB": (upload(18), set()),
    "an upload of 22 MB": (upload(22), {("T1048", U)}),
    "two uploads of 12 MB": (upload(12) + upload(12, at=3600.0), {("T1048", U)}),
    "two reports of one upload of 12 MB": (
        upload(12, end=SNAPSHOT) + upload(12, lasts=70.0, report=1, news=1),
        set(),
    ),
    "an upload of 22 MB, of which a twelfth comes back": (upload(22, answered=1_900_000), set()),
    "an upload of 22 MB to the web": (upload(22, port=443), set()),
    "an upload of 22 MB to a mail server": (upload(22, port=587), set()),
    "reports of two uploads of 12 MB by turns": (
        upload(8, end=SNAPSHOT, packets=99)
        + upload(8, end=SNAPSHOT, packets=99, at=0.5)
        + upload(11, lasts=70.0, report=1, news=30, packets=129, back=1)
        + upload(11, lasts=70.0, report=1, news=30, packets=129, back=1, at=0.5),
        {("T1048", U)},
    ),
    "nine uploads in parts, each to another host": (
        [
            flow
            for part in range(3)
            for c in range(9)
            for flow in upload(8, target=f"198.51.100.{c}", at=part * 9.0 + c)
        ],
        set(),
    ),
    "an upload of 22 MB inside": (upload(22, target="10.0.0.9"), set()),
    "an upload of 22 MB to a server of many": (
        [flow for c in range(8) for flow in upload(22, source=f"10.0.0.{c + 1}", at=100.0 * c)][4:]
        + [Flow(source=f"10.0.1.{c + 1}") for c in range(6)],
        set(),
    ),
    "a kept connection": (kept(), {("T1571", U)}),
    "one kept for 50 s": (kept(50), set()),
    "one of 70 packets": (kept(packets=70), set()),
    "one that gets as much": (kept(answered=8000), set()),
    "one of large packets": (kept(sent=60_000), set()),
    "one that began out of view": (kept(seen=SEEN_ACK), set()),
    "one to a port of MQTT": (kept(port=8883), set()),
    "one to a web port": (kept(port=8443), set()),
    "four one after the other": ([flow for i in range(4) for flow in kept(30, 80, at=40.0 * i)], {("T1571", U)}),
    "five of which the last is long": (
        [flow for i in range(4) for flow in kept(0.5, 4, sent=10, at=2.0 * i)] + kept(90, at=10.0),
        set(),
    ),
    "one inside": (kept(target="10.0.0.9"), set()),
    "nine at once, as who shares files has": (
        [flow for c in range(9) for flow in kept(30, 60, target=f"198.51.100.{c}", end=SNAPSHOT)]
        + [flow for c in range(9) for flow in kept(95, target=f"198.51.100.{c}", report=1)],
        set(),
    ),
    "a control loop": (beat(30, 1.5, 0.0), set()),
    "a service with eight clients": (
        [flow for c in range(8) for flow in beat(30, 60, 0.05, source=f"10.0.0.{c + 1}", port=8443)],
        set(),
    ),
    "a monitor of five hosts": (
        [flow for c in range(5) for flow in beat(24, 60, 0.05, target=f"198.51.100.{c + 1}")],
        set(),
    ),
    "questions of 60 bytes": (names(400, 60), set()),
    "questions of 150 bytes, four a second": (names(400, 150), {("T1071.004", U)}),
    "questions of 150 bytes, one in two seconds": (names(400, 150, 2.0), set()),
}

"""The windows of KDD connections once more, from lists: the oracle of their tests.

Shares no code with flows/: a connection is a small record, every window is a filtered list.
"""

from dataclasses import dataclass
from struct import pack, unpack

SYN_ERRORS = {"S0", "S1", "S2", "S3", "SH"}
REJECTIONS = {"REJ", "RSTO", "RSTOS0", "RSTR"}
IN_TIME, TO_HOST, SPAN_US = 511, 255, 2_000_000


@dataclass(frozen=True)
class Connection:
    """host, service: anything that compares; hosts are sorted. start_us: of the whole connection."""

    host: int
    service: int
    port: int
    flag: str
    start_us: int
    reported_us: int
    goes_on: bool = False  # established, and not over yet
    again: bool = False  # reported before

    @property
    def syn_error(self):
        return self.flag in SYN_ERRORS and not self.goes_on

    @property
    def rejected(self):
        return self.flag in REJECTIONS


def share(part, whole):
    """As C prints a float with two decimals."""
    return float(f"{unpack('f', pack('f', part / whole))[0]:.2f}")


def distinct_share(values, whole):
    return share(len(set(values)), whole) if len(set(values)) > 1 else 0.0


class Windows:
    """What a sensor remembers: every connection entered, and which hosts it knows."""

    def __init__(self, hosts):
        self.hosts = hosts
        self.entered = []  # in the order of reports
        self.forgotten = set()  # their numbers, where their host was given up
        self.known = {}  # host: number of its last connection

    def columns(self, own):
        """The nineteen columns by name; then the connection enters, unless it did before."""
        values = self.in_time(own) | self.last(own)
        if not own.again:
            if own.host not in self.known and len(self.known) == self.hosts:
                self.forget(min(self.known, key=self.known.get))
            self.known[own.host] = len(self.entered)
            self.entered.append(own)
        return values

    def forget(self, host):
        del self.known[host]
        self.forgotten |= {i for i, each in enumerate(self.entered) if each.host == host}

    def to_host(self, host):
        return [each for i, each in enumerate(self.entered) if each.host == host and i not in self.forgotten]

    def of_service(self, service):
        last = [(i, each) for i, each in enumerate(self.entered) if each.service == service][-(IN_TIME - 1) :]
        return [each for i, each in last if i not in self.forgotten]

    def in_time(self, own):
        hosts = [own, *in_span(own, self.to_host(own.host)[-(IN_TIME - 1) :])]
        services = [own, *in_span(own, self.of_service(own.service))]
        return {
            "count": len(hosts),
            "srv_count": len(services),
            "serror_rate": share(sum(each.syn_error for each in hosts), len(hosts)),
            "srv_serror_rate": share(sum(each.syn_error for each in services), len(services)),
            "rerror_rate": share(sum(each.rejected for each in hosts), len(hosts)),
            "srv_rerror_rate": share(sum(each.rejected for each in services), len(services)),
            "same_srv_rate": share(sum(each.service == own.service for each in hosts), len(hosts)),
            "diff_srv_rate": distinct_share([each.service for each in hosts], len(hosts)),
            "srv_diff_host_rate": distinct_share([each.host for each in services], len(services)),
        }

    def last(self, own):
        to_host = self.to_host(own.host)[-TO_HOST:]
        if own.again:
            itself = [i for i, each in enumerate(to_host) if (each.service, each.port) == (own.service, own.port)]
            to_host = [each for i, each in enumerate(to_host) if i not in itself[-1:]]
        hosts = [own, *to_host[-(TO_HOST - 1) :]]
        below = []
        for host in sorted((host for host in self.known if host < own.host), reverse=True):
            below += self.to_host(host)[::-1][:TO_HOST]
        window = hosts + below[: TO_HOST - len(hosts)]
        same = [each for each in window if each.service == own.service]
        return {
            "dst_host_count": len(hosts),
            "dst_host_srv_count": len(same),
            "dst_host_same_srv_rate": share(sum(each.service == own.service for each in hosts), len(hosts)),
            "dst_host_diff_srv_rate": distinct_share([each.service for each in hosts], len(hosts)),
            "dst_host_same_src_port_rate": share(sum(each.port == own.port for each in hosts), len(hosts)),
            "dst_host_srv_diff_host_rate": distinct_share([each.host for each in same], len(same)),
            "dst_host_serror_rate": share(sum(each.syn_error for each in hosts), len(hosts)),
            "dst_host_srv_serror_rate": share(sum(each.syn_error for each in same), len(same)),
            "dst_host_rerror_rate": share(sum(each.rejected for each in hosts), len(hosts)),
            "dst_host_srv_rerror_rate": share(sum(each.rejected for each in same), len(same)),
        }


def in_span(own, entered):
    """Those that started in the two seconds before, without the connection itself."""
    itself = (own.host, own.service, own.port, own.start_us)
    return [
        each
        for each in entered
        if own.start_us - SPAN_US <= each.start_us <= own.start_us
        and not (own.again and (each.host, each.service, each.port, each.start_us) == itself)
    ]

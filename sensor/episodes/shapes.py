"""The shape of each technique that alerts name: what must be seen, in how long, and why.

A shape is a claim about a rate in a stretch of time between two sides. A label of a model is evidence beside it, and no
name by itself: the known classes were learned in other networks than the one that is watched. One label names what no
shape shows, data that leaves over ports of the web, and what it names is uncertain. The counts are those of
sensor.episodes.behaviour; thresholds stand here, once, each with its reason. None is fitted to a network.
"""

from dataclasses import dataclass
from typing import Final

# What the known lane took a flow for, of the shapes that a label can support. A label of what has a shape says nothing
# by itself; from OTHER_LABEL on they do, where no shape accounts for the flows.
NO_LABEL, SCAN_LABEL, DOS_LABEL, GUESS_LABEL, CHANNEL_LABEL, OTHER_LABEL, UPLOAD_LABEL = range(7)

(
    SCAN,
    FLOOD_FROM,
    FLOOD_AT,
    REFLECTION,
    STREAM,
    GUESSING,
    GUESSING_AT,
    OVERLOAD,
    BEACON,
    DNS_TUNNEL,
    ECHO_TUNNEL,
    TORRENT,
    OVERLOAD_AT,
    UPLOAD,
    UPLOAD_BEAT,
    KEPT_OPEN,
    KINDS,
) = range(17)

# A scan asks what it does not know, so most of what it asks is not there. Services that were never tried before count;
# what is asked again does not, nor does a source most of whose services answer.
SCAN_PORTS: Final = 4.5  # of one host within minutes: a program that misses its server asks one or two
SCAN_PORTS_A_DAY: Final = 12.0  # of one host within a day, of which none ever answered
SCAN_TARGETS: Final = 8.0  # of one port in one network (/24, IPv6 /64), within minutes or, if none answers, a day;
# of a day in any network too, but for ports of the web, DNS and NTP: who has no uplink asks those of many
# Of one port anywhere within minutes: without its uplink a host asks some of a cloud's hosts, and who shares files asks
# peers, most of them gone, each on a port of its own.
SCAN_SPREAD: Final = 30.0
PROBE_PACKETS: Final = 8.0  # of UDP, at most: more go one way, as logs and pictures do
ECHO_TARGETS: Final = 12.0  # of one network within minutes, answered or not: most that are swept are there
EMPTY: Final = 0.25  # share of them that is not; who watches his own hosts misses few
MOSTLY: Final = 0.7  # share of those that failed
NEVER: Final = 0.97  # the same within a day

# A flood is more than a service can answer. Ten a second for ten seconds from one source to one port is what no client
# does that waits for an answer; of many sources none alone shows it, so their number counts too.
FLOOD_FROM_FLOWS: Final = 100.0  # flows without data in 10 s, of one source to one service
FLOOD_AT_FLOWS: Final = 200.0  # the same of many sources to one host, four times what it exchanges
TORRENT_FLOWS: Final = 5000.0  # flows without data in a second, of one source to one host: what a scan has no need of
MANY_SOURCES: Final = 20.0  # within 10 s
REFLECTION_PACKETS: Final = 100.0  # of answers within 10 s that their target did not ask for, twice what it exchanges
REFLECTORS: Final = 10.0  # within 10 s
# Services beyond the system ports that answer more than they are asked (CISA, TA14-017A): Apple Remote Desktop, CoAP,
# Ubiquiti, memcached, Steam, Plex, DVRs. Those of discovery have a role of their own (flows.roles).
REFLECTING_PORTS: Final = (3283, 5683, 10001, 11211, 27015, 32414, 37810)
STREAM_ECHOES_PER_S: Final = 100.0  # ping sends one; 100 is its flood mode
STREAM_ANSWERS_PER_S: Final = 8000.0  # that nobody asked for, of one host, and errors: Linux sends a thousand at most
STREAM_PACKETS_PER_S: Final = 800.0  # of UDP without answers, more than a film of 8 Mbit/s
STREAM_BEYOND_DOUBT: Final = 10.0  # times that rate

# Guessing is one short session after the other, all alike: the same greeting, the same refusal. Nobody logs on ten
# times in five minutes; a program might, so that without a label it stays uncertain until there are twice as many.
GUESS_S: Final = 30.0  # a session that was refused is over, and has carried little
GUESS_BYTES: Final = 20_000.0
GUESSES: Final = 20.0  # like sessions to one log-on service from one source within 10 minutes
GUESSES_LABELLED: Final = 4.0  # of them, where the known lane says so too
GUESSES_AGREED: Final = 10  # from here on the two of them are sure: a program that fetches files logs on a few times
# Like sessions that the known lane says so of, to any other service within 10 minutes: devices and programs have short
# ones of a kind each few seconds, so that only more than ten a minute are told.
GUESSES_ANYWHERE: Final = 100.0
GUESSES_AT: Final = 40.0  # like sessions to one log-on service from several sources, each with few
GUESSING_SOURCES: Final = 3.0
LIKE: Final = 0.5  # deviation of the logarithm of the bytes sent
LIKE_LABELLED: Final = 1.0  # the same of guesses by their label: a session may hold several

# Overload by whole requests looks like use, so it needs the known lane as well: many a second, or many that are kept
# open and hardly send. Who begins many requests and ends none is not served, whatever a model says.
OVERLOAD_FLOWS: Final = 100.0  # sessions in 10 s from one source to one service
OVERLOAD_OPEN: Final = 20.0  # within 2 minutes, that hardly send: browsers keep six
# The same without the known lane, where the service has said nothing yet: requests that do not end.
OVERLOAD_WAITING: Final = 50.0
OPEN_S: Final = 5.0  # or more, in which one sends less than so many bytes a second
OPEN_BYTES_PER_S: Final = 200.0

# Of many sources each must ask again and again, as who comes once is a visitor, and the service must get many times
# what it got before, or the known lane must say so: a service that is much used is no news.
CROWD_FLOWS: Final = 200.0  # sessions in 10 s from many sources to one service
CROWD_AGAIN: Final = 3.0  # of each source: a browser opens six at once, but not all visitors come at once
SURGE: Final = 10.0  # times the rate before

# A beacon calls home in a beat that people do not have: real ones deviate by at most .16 of the median gap (median
# absolute deviation), refreshed pages by .34 and more. What polls faster than each 2 s is a control loop; a source with
# several beats is a monitor, and a service with many clients that have one is a service.
BEACON_EVENTS: Final = 24  # gaps
BEACON_FIRST: Final = 12  # from here on a pair counts among those that have a beat, and its connections are told
BEACON_GAP_S: Final = 2.0
BEACON_JITTER: Final = 0.16
TIMER_JITTER: Final = 0.01  # within a network, less is a timer that polls a neighbour: what calls home waits at random
BEACON_PAIRS: Final = 3
COMMON_TARGET: Final = 4.0  # sources of its destination within 10 minutes

# Data that leaves: to a host outside that few of the others talk to, many times what comes back. Web ports are left
# out, as all of the cloud is behind them, and mail; there only what goes out in a beat is told.
UPLOAD_BYTES: Final = 20e6  # a day: more than is typed or filed in, less than most backups
UPLOAD_RATIO: Final = 20.0  # sent by received
UPLOAD_BEAT_BYTES: Final = 10_000.0  # of each connection of a beat; who only asks for orders sends some hundreds
UPLOAD_BEAT_RATIO: Final = 10.0

# A connection that is kept open to a port outside that no service is known for, over which the inside host tells more
# than it is told, in small packets: remote control sends what it sees and gets orders. Games, calls and downloads get
# more than they send; who has many such connections shares files.
KEPT_S: Final = 60.0
KEPT_PACKETS: Final = 80.0
KEPT_BYTES: Final = 4000.0  # sent
KEPT_RATIO: Final = 1.3  # sent by received
KEPT_PACKET_BYTES: Final = 300.0  # mean of a packet, at most
KEPT_CONNECTIONS: Final = 3  # opened, at most
OUTWARD_PAIRS: Final = 3  # of one source, with uploads

# Questions that carry data: a name has some 20 characters behind 12 bytes of header, most questions less than 60 bytes.
# A stub asks each question from a port of its own (RFC 5452, 9.2), so that many over one port are of a program.
QUESTIONS: Final = 50.0  # within a minute, or in one flow
QUESTION_BYTES: Final = 100.0  # mean
QUESTIONS_PER_S: Final = 5.0  # in one flow, twice as many at least, with so many bytes in question and answer
EXCHANGE_BYTES: Final = 200.0
LONG_ANSWERS_PER_S: Final = 1.0  # in one flow, with so many bytes in each answer
ANSWER_BYTES: Final = 250.0

# Echo requests that carry something: more often and larger than ping sends them, answered, for minutes; as many as a
# flood has are one.
TUNNEL_ECHOES: Final = 100.0
TUNNEL_ECHOES_PER_S: Final = 2.0
TUNNEL_ECHO_BYTES: Final = 128

UNSHAPED_FLOWS: Final = 10  # flagged flows with data that no shape accounts for, before they are worth a word
UNSHAPED_TARGETS: Final = 3  # at most, where the known lane alone flags them: an exploit is of one host
# Services that people log on to (IANA): FTP, SSH, Telnet, POP3, IMAP, submission, RDP, VNC, WinRM. Tuples, as kernels
# look in them.
LOGIN_PORTS: Final = (21, 22, 23, 110, 143, 465, 587, 990, 993, 995, 3389, 5900, 5901, 5902, 5903, 5985, 5986)
MAIL_PORTS: Final = (25, 465, 587)
# Services whose clients keep a connection open for hours (IANA): VPNs, MQTT, XMPP and what pushes to phones, IRC,
# conference calls, syslog, databases, monitoring agents.
KEPT_OPEN_PORTS: Final = (
    *(1194, 1433, 1521, 1723, 1883, 3306, 3478, 4222, 5061, 5222, 5223, 5228, 5269, 5349, 5432, 5671, 5672),
    *(6379, 6514, 6667, 6697, 8883, 9092, 10050, 10051, 27017),
)
WEB_PORTS: Final = (80, 443, 8080, 8443)  # HTTP, HTTPS and their alternatives (IANA)

# Names of the kinds in their order, by which a bundle says what its site does; last that of what has no shape.
KIND_NAMES: Final = (
    *("scan", "flood-from", "flood-at", "reflection", "stream", "guessing", "guessing-at", "overload", "beacon"),
    *("dns-tunnel", "echo-tunnel", "torrent", "overload-at", "upload", "upload-beat", "kept-open", "unusual"),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of claim."""

    technique: str  # ATT&CK id
    sided: str  # whom it is about: "source", "target" or "pair"
    certain: float | None  # level from which the shape alone makes it an attack, None: never
    reason: str


SHAPES: Final[tuple[Shape, ...]] = (
    Shape("T1046", "source", 2.0, "services never tried before that do not answer"),
    Shape("T1499.001", "pair", 1.0, "connections to one service that carry nothing"),
    Shape("T1498.001", "target", 1.0, "connections from many sources that carry nothing"),
    Shape("T1498.002", "target", 1.0, "answers from many sources that nobody asked for"),
    Shape("T1498.001", "pair", 2.0, "one stream of packets without answers"),
    Shape("T1110.001", "pair", 2.0, "short sessions to a log-on service, all alike"),
    Shape("T1110.001", "target", 2.0, "short sessions of many sources to a log-on service, all alike"),
    Shape("T1499.002", "pair", None, "sessions of one source that keep a service busy"),
    Shape("T1071.001", "pair", None, "connections in a beat"),
    Shape("T1071.004", "pair", None, "questions to a resolver that carry more than names"),
    Shape("T1095", "pair", None, "echo packets that carry data both ways"),
    Shape("T1499.001", "pair", 1.0, "connections to one host that carry nothing, on whatever port"),
    Shape("T1499.002", "target", None, "sessions of many sources to one service, each again and again"),
    Shape("T1048", "pair", None, "much more sent to a host outside than came back"),
    Shape("T1041", "pair", None, "connections in a beat, each of which sends much more than it gets"),
    Shape("T1571", "pair", None, "a connection to an unusual port outside, kept open, that tells more than it gets"),
)

_SUPPORTED: Final = {
    "T1046": SCAN_LABEL,
    "T1018": SCAN_LABEL,
    "T1595": SCAN_LABEL,
    "T1498": DOS_LABEL,
    "T1499": DOS_LABEL,
    "T1110": GUESS_LABEL,
    "T1071": CHANNEL_LABEL,
    "T1095": CHANNEL_LABEL,
    "T1571": CHANNEL_LABEL,
    "T1572": CHANNEL_LABEL,
    "T1041": UPLOAD_LABEL,
    "T1048": UPLOAD_LABEL,
}
# The kind of label that speaks for a kind of claim. None does for channels, tunnels and uploads: a model takes a beat
# for a beacon and long questions for a tunnel because they are that, which is all that the shape says.
SUPPORTING: Final = {
    SCAN: SCAN_LABEL,
    FLOOD_FROM: DOS_LABEL,
    TORRENT: DOS_LABEL,
    FLOOD_AT: DOS_LABEL,
    REFLECTION: DOS_LABEL,
    STREAM: DOS_LABEL,
    GUESSING: GUESS_LABEL,
    GUESSING_AT: GUESS_LABEL,
    OVERLOAD: DOS_LABEL,
    OVERLOAD_AT: DOS_LABEL,
}
# Kinds of which the load of the target, now and before, is a part of what is told.
LOADED: Final = (FLOOD_FROM, FLOOD_AT, REFLECTION, STREAM, OVERLOAD_AT, TORRENT)


def label_kind(technique: str | None) -> int:
    """Which shapes a label of this technique supports: one of the constants above, OTHER_LABEL for none."""
    return _SUPPORTED.get((technique or "").partition(".")[0], OTHER_LABEL)

"""What this sensor could not see, said as plainly as what it found."""

from sensor.alerts.spread import counted, span_in_words
from sensor.progress.words import early_in_words
from sensor.report.coverage import Coverage
from sensor.report.markup import Content, element
from sensor.report.subject import ReportSubject
from sensor.report.words import listed, share

_SECOND_NS = 1_000_000_000
SHORT_NS = 3600 * _SECOND_NS
_UNDECODED = {
    "not IP": "ARP, spanning tree and other traffic below IP: attacks inside the local network that use it go unseen",
    "headers cut short": "the capture kept too few bytes of each packet: capture with a larger snap length",
    "unknown link type": "a kind of network that is not decoded",
    "malformed IP header": "broken, or made to confuse a sensor",
    "malformed layer-4 header": "broken, or made to confuse a sensor",
    "later fragment without its first": "pieces of packets whose beginning was not captured",
    "later fragment of a tunnel's packet": "the packet inside was counted with the first fragment",
    "too many IPv6 extension headers": "unusual; made to hide a payload more often than not",
    "encrypted 802.11 frame": "wireless frames: capture behind the access point",
    "tunnels nested too deep": "more tunnels inside each other than are followed",
}


def limits(coverage: Coverage, subject: ReportSubject) -> Content:
    """The section's content."""
    return [
        element("ul", [element("li", sentence) for sentence in _sentences(coverage, subject)]),
        _table(coverage),
        [_warnings(judging.model_id, judging.warnings) for judging in subject.judging if judging.warnings],
    ]


def _sentences(coverage: Coverage, subject: ReportSubject) -> list[str]:
    sentences = [
        "Contents. It judges headers, sizes and times, never payloads, encrypted or not: an attack that looks like a "
        "usual visit from outside (one stolen password, one crafted document) is not seen.",
    ]
    if subject.kind == "alerts":
        sentences.append("This page was made from lines that a sensor wrote: what the sensor did not tell is not here.")
    sentences += _of_packets(coverage)
    if subject.expression is not None:
        sentences.append(f"Whatever the capture filter left out: {subject.expression}")
    if subject.kind == "captures" and not subject.decapsulated:
        sentences.append(
            "Inside tunnels (GRE, ERSPAN, VXLAN, Geneve, GTP-U, TZSP, IP in IP): each was judged from outside. --decap "
            "looks in."
        )
    span_ns = coverage.end_ns - coverage.start_ns
    if coverage.end_ns and span_ns < SHORT_NS:
        sentences.append(
            f"What takes longer than {span_in_words(span_ns)}: slow scans, slow guessing and regular contact to a "
            "control server show over hours or days."
        )
    attacks = sorted({attack for judging in subject.judging for attack in judging.attacks})
    if attacks:
        sentences.append(
            f"The model knows {listed(attacks, 12)}. Other attacks have a name only where number, rate and spread give "
            "it away (scans, floods, reflection, guessing, beats, tunnels in DNS and echoes); else they are unusual "
            "traffic at most. Data that is carried out, and floods of whole requests, have no such shape yet."
        )
    return sentences


def _of_packets(coverage: Coverage) -> list[str]:
    counts = coverage.counts
    if counts is None:
        return ["How many packets were seen, lost or not decoded: the input holds no statistics."]
    told = (
        (counts.dropped, "lost before they reached the sensor"),
        (counts.shed, "left out under overload"),
        (counts.late, "stamped before one that came earlier, so that gaps between packets are blurred"),
        (counts.tunnelled, "of tunnels (mirrored traffic?), which were judged from outside"),
    )
    sentences = [f"{counted(number, 'packet')} {what}." for number, what in told if number]
    if counts.unjudged:
        kinds = ", ".join(f"{number:,} of {protocol}" for protocol, number in sorted(counts.unjudged.items()))
        sentences.append(
            f"Flows that no model judges: {kinds}. They go to groups, are of discovery or routing, or of a kind that "
            "the bundle has no normal traffic of, such as lone packets without answers; scans and floods are seen."
        )
    if counts.evicted:
        sentences.append(f"{counted(counts.evicted, 'flow')} to the end: the table was full (meter.capacity_flows).")
    if counts.context_evicted:
        sentences.append(
            "What hosts, pairs and services did before as a whole: "
            f"{counted(counts.context_evicted, 'row')} of it gave way to others (episodes.capacity_hosts)."
        )
    if early := early_in_words(counts):
        sentences.append(f"Alerts and hosts to their ends: {early}.")
    if counts.clock_jumps:
        sentences.append(f"The true times around {counted(counts.clock_jumps, 'jump')} of a source's clock.")
    if counts.lost_lines:
        sentences.append(f"{counted(counts.lost_lines, 'line')} that the sensor could not write anywhere.")
    return sentences


def _table(coverage: Coverage) -> Content:
    counts = coverage.counts
    if counts is None or not any(counts.undecoded.values()):
        return None
    rows = [
        element(
            "tr",
            element("th", reason, scope="row"),
            element("td", number, class_="number"),
            element("td", share(number, counts.received), class_="number"),
            element("td", _UNDECODED.get(reason, "")),
        )
        for reason, number in sorted(counts.undecoded.items(), key=lambda item: (-item[1], item[0]))
        if number
    ]
    head = [element("th", title, scope="col", class_=kind) for title, kind in (
        ("Not decoded", None), ("Packets", "number"), ("Share", "number"), ("What that means", None))]  # fmt: skip
    return element(
        "div",
        element("table", element("thead", element("tr", head)), element("tbody", rows)),
        class_="scroll", role="region", aria_label="Packets not decoded", tabindex=0,
    )  # fmt: skip


def _warnings(model_id: str, warnings: tuple[str, ...]) -> Content:
    return [
        element("h4", f"What the makers of the model {model_id} warn of"),
        element("ul", [element("li", warning) for warning in warnings]),
    ]

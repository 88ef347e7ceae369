"""The record `alert/1`: what of an alert stands where in its line, how it is written, read back and described.

Field names are those of the Elastic Common Schema 9.4; everything that it has no name for stands under `flowvigil`.
`ALERT` is the one declaration of it: a field that is added is added there and in sensor.alerts.alert.

What a line does not carry: times below a microsecond, digits beyond the sixth, the 99.9 % of normal traffic (NaN), and
numbers that JSON has none for (NaN). A writer may leave out what came to the record later.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import orjson

from configs.formats import Format
from sensor.alerts import ecs
from sensor.alerts.alert import Alert, Endpoint, Grade, ModelIdentity, Muted, Observer
from sensor.alerts.declaration import Constant, Declaration, Field, claimed_schema, part
from sensor.alerts.deviation import Deviation, distance_of
from sensor.alerts.kinds import (
    ADDRESS,
    COUNT,
    FLAG,
    MOMENT,
    NUMBER,
    PORT,
    Kind,
    any_of,
    between,
    count,
    exact,
    first,
    misfit,
    numbers_by_name,
    one_of,
    sentence,
    text,
    text_or_null,
)
from sensor.alerts.packet_filters import display_filter
from sensor.alerts.playbook import playbook_of
from sensor.alerts.seen_names import SeenName, TlsHello
from sensor.alerts.spread import Spread
from sensor.alerts.techniques import Technique
from sensor.alerts.words import lane_in_words, whom
from sensor.printable import printable

FORMAT: Final = Format("alert", instead="read it with the flowvigil that wrote it")
# With these and the bounds of the strings below, four bytes a letter and every field at its longest stay within a line.
FEATURES_SHOWN, SCORES_SHOWN, TARGETS_SHOWN, PORTS_SHOWN, STEPS_SHOWN, NAMES_SHOWN = 5, 8, 8, 16, 6, 2
AS_NUMBERS: Final = 2**32 - 1  # the last one (RFC 6793)


def alert_line(alert: Alert) -> bytes:
    """The alert as one line of JSON with its newline, at most LINE_LIMIT_BYTES."""
    return orjson.dumps(ALERT.document(alert), option=orjson.OPT_APPEND_NEWLINE)


def alert_document(alert: Alert) -> dict[str, Any]:
    """The alert as the nested mapping that is written. Every string in it is bounded and printable."""
    return ALERT.document(alert)


def alert_of(document: Mapping[str, Any]) -> Alert:
    """The alert that a native document tells. Raises ValueError, which names the field, for any other document."""
    schema = claimed_schema(document)
    if schema != str(FORMAT):
        raise misfit("flowvigil.schema", schema, repr(str(FORMAT)))
    values = ALERT.values(document)
    told, source, destination = values[""], Endpoint(**values["source"]), Endpoint(**values["destination"])
    if (":" in source.ip) != (":" in destination.ip):
        raise ValueError(f"destination.ip: found {destination.ip}, expected an address of the source's IP version")
    sources, storm = told.pop("sources"), told.pop("storm")
    if storm and "origins" not in document["flowvigil"]:  # which such a line did not tell yet
        values["spread"]["origins"] = sources
    spread = Spread(
        **values["spread"],
        span_ns=max(0, told["end_ns"] - told["start_ns"]),
        protocol=told["protocol"],
        port=destination.port or 0,
    )
    return Alert(
        **told,
        source=source,
        destination=destination,
        ip_version=6 if ":" in source.ip else 4,
        spread=spread,
        model=ModelIdentity(**values["model"]),
        observer=Observer(**values["observer"]),
        tls=TlsHello(**values["tls"]),
        hosts_merged=sources if storm else 0,
    )


def is_alert(document: Mapping[str, Any]) -> bool:
    """Whether a native record is an alert; else it tells of the sensor."""
    return (claimed_schema(document) or "").startswith("alert/")


def _message(alert: Alert) -> str:
    """Who did what to whom, how sure that is and why, in one sentence."""
    lane = "the " * (alert.lane in ("known", "novel")) + lane_in_words(alert)
    sure = f"{alert.verdict} by {lane}, risk {alert.risk:g} of 100"
    muted = f"Muted by {alert.muted.by} ({alert.muted.why}): " if alert.muted else ""
    return f"{muted}{alert.title}: {alert.origin} to {whom(alert)}, {sure}: {alert.reason}"


def _next(alert: Alert) -> tuple[str, ...]:
    return playbook_of(alert).steps


# ECS keeps a sub-technique beside its parent, each text of both in a list.


def _texts(longest: int) -> Kind:
    """A text in a list of its own, of at most one and a half times as many bytes as letters."""
    item = sentence(longest, longest * 3 // 2)
    write = item.write
    assert write is not None  # noqa: S101  that of a sentence
    schema = {"type": "array", "items": item.schema, "minItems": 1}
    return Kind(schema, lambda value: [write(value)], lambda value, path: _first_text(value, path, longest))


def _first_text(value: Any, path: str, longest: int) -> str:
    """The first of a list of texts, "" where there is none; ECS takes a plain text for a list of one."""
    if value is None or value == []:
        return ""
    found = value[0] if isinstance(value, list) else value
    if not isinstance(found, str):
        raise misfit(path, value, "a list of texts")
    return printable(found, longest)


def _technique_of(threat: Any, path: str) -> Technique | None:
    """The most exact technique, None without any."""
    technique = _inner(threat, "technique")
    below = _inner(technique, "subtechnique")
    parent_id = _first_text(technique.get("id"), f"{path}.technique.id", 16)
    id_ = _first_text(below.get("id"), f"{path}.technique.subtechnique.id", 16)
    if not (id_ or parent_id):
        return None
    named, where = (below, "technique.subtechnique") if id_ else (technique, "technique")
    name = _first_text(named.get("name"), f"{path}.{where}.name", 64)
    tactic = _first_text(_inner(threat, "tactic").get("name"), f"{path}.tactic.name", 48)
    return Technique(id_ or parent_id, name, tactic)


def _inner(mapping: Any, name: str) -> dict[str, Any]:
    """What stands there, where that is a mapping."""
    inner = mapping.get(name) if isinstance(mapping, dict) else None
    return inner if isinstance(inner, dict) else {}


def _below(technique: Technique) -> Technique | None:
    return technique if "." in technique.id else None


_SUBTECHNIQUE = Declaration(
    (
        Field("id", _texts(16), "id"),
        Field("name", _texts(64), lambda technique: technique.name or None, optional=True),
    )
)
_TACTIC = Declaration((Field("name", _texts(64), "tactic"),))
_THREAT = Declaration(
    (
        Constant("framework", "MITRE ATT&CK"),
        Field("technique.id", _texts(16), "parent"),
        Field(
            "technique.name",
            _texts(64),
            lambda technique: None if _below(technique) else technique.name or None,
            optional=True,
        ),
        Field("technique.subtechnique", part(_SUBTECHNIQUE), _below, optional=True),
        Field("tactic", part(_TACTIC), lambda technique: technique if technique.tactic else None, optional=True),
    ),
    objects={"": "Where a known class spoke, or the shape of the episode gave it away."},
)
_TECHNIQUE = Kind(_THREAT.schema(), _THREAT.document, _technique_of)


def _deviation(**values: Any) -> Deviation:
    distance = distance_of(values["value"], values["median"], values["p01"], values["p99"])
    return Deviation(**values, p999=math.nan, distance=distance)


_FEATURE = Declaration(
    (
        Field("name", sentence(40, 40), "name"),
        Field("unit", sentence(16, 24), "unit", absent=""),
        Field("value", NUMBER, "value"),
        Field("normal_p01", NUMBER, "p01"),
        Field("normal_median", NUMBER, "median"),
        Field("normal_p99", NUMBER, "p99"),
    ),
    within="flowvigil.features",
)

_MUTED: Final = Declaration(
    (
        Field("by", sentence(96, 96), "by", "The rule, asset or mark."),
        Field("why", sentence(200, 240), "why", "As the operator wrote it."),
        Field("until", MOMENT, "until_ns", "After which it mutes nothing.", optional=True),
    ),
    {"": "A note of the site says that nobody need look at it: severity is 1, risk 0."},
    within="flowvigil.muted",
)
_GRADE: Final = Declaration(
    (Field("severity", count(most=100), "severity"), Field("risk_score", between(0, 100), "risk")),
    {"": "Severity and risk where notes of the site changed them."},
    within="flowvigil.before_notes",
)
_DOMAIN: Final = sentence(64, 64)
_NAME: Final = sentence(80, 80)  # that a stranger chose
_NAMES: Final = any_of(
    NAMES_SHOWN,
    part(
        Declaration(
            (
                Field("name", _NAME, "name"),
                Field("seen", MOMENT, "seen_ns", "When an answer told it last."),
                Field("asker", ADDRESS, "asker", "Who asked."),
                Field("reverse", FLAG, "reverse", "Whether the address was asked for, not the name.", absent=False),
            ),
            within="flowvigil.source_names",
        ),
        SeenName,
    ),
)


def _whereabouts(side: str) -> tuple[Field, ...]:
    """Where the address of a side belongs, by the operator's databases."""
    country = (
        "Where its network is, by the operator's database (ISO 3166-1): shown and never judged, as city and system."
    )
    return (
        Field(f"{side}.geo.country_iso_code", text(2), f"{side}.country", country, optional=True),
        Field(f"{side}.geo.city_name", sentence(48, 48), f"{side}.city", optional=True),
        Field(f"{side}.as.number", count(most=AS_NUMBERS), f"{side}.as_number", optional=True),
        Field(f"{side}.as.organization.name", sentence(64, 64), f"{side}.as_organization", optional=True),
    )


ALERT: Final = Declaration(
    (
        Field("@timestamp", MOMENT, "time_ns", "Traffic time at which this line became true."),
        Field("message", sentence(640), _message, "For people: who did what to whom, how sure that is and why."),
        ecs.VERSION,
        *ecs.event("alert", "flowvigil.alert", ("network", "intrusion_detection")),
        Field("event.action", one_of("opened", "updated", "closed"), "action"),
        Field("event.id", ecs.NAME, "id", "Of the episode: the same in each of its lines."),
        Field("event.sequence", count(least=1), "sequence", "Number of the line, without gaps."),
        Field("event.severity", count(most=100), "severity", "How bad if true."),
        Field("event.risk_score", between(0, 100), "risk", "Severity by evidence."),
        Field("event.start", MOMENT, "start_ns", "First packet of the flagged flows."),
        Field("event.end", MOMENT, "end_ns", "Last packet of the flagged flows."),
        Field("event.reason", sentence(480), "reason", "For people: one sentence."),
        *ecs.side("source"),
        Field("source.domain", _DOMAIN, "source.domain", "Name of the asset in the site's notes.", optional=True),
        *_whereabouts("source"),
        *ecs.side("destination"),
        Field("destination.domain", _DOMAIN, "destination.domain", "The same.", optional=True),
        *_whereabouts("destination"),
        *ecs.network(),
        Field(
            "network.direction",
            one_of("inbound", "outbound", "internal", "external"),
            "direction",
            "Of the flow shown, where the site's notes say which networks are ours.",
            optional=True,
        ),
        *ecs.observer(),
        *ecs.capture(),
        Field(
            "tls.client.server_name", _NAME, "tls.server_name", "Server that the flow shown asked for.", optional=True
        ),
        Field("threat", _TECHNIQUE, "technique", optional=True),
        Constant("flowvigil.schema", str(FORMAT)),
        Field("flowvigil.verdict", one_of("attack", "uncertain"), "verdict"),
        Field("flowvigil.lane", one_of("known", "novel", "both", "shape"), "lane"),
        Field("flowvigil.label", text_or_null(64), "label", "What the known lane said."),
        Field("flowvigil.p.known", NUMBER, "p_known"),
        Field("flowvigil.p.novel", NUMBER, "p_novel"),
        Field("flowvigil.scores", numbers_by_name(SCORES_SHOWN, 24), "scores", "By detector."),
        Field("flowvigil.features", first(FEATURES_SHOWN, part(_FEATURE, _deviation)), "deviations"),
        Field(
            "flowvigil.sources",
            count(least=1),
            "sources",
            "Alerts of single hosts told as one: 1 but in a storm.",
            absent=1,
        ),
        Field(
            "flowvigil.storm",
            FLAG,
            "storm",
            "More alerts opened than are told one by one: this one is of many hosts.",
            absent=False,
        ),
        Field(
            "flowvigil.habit",
            NUMBER,
            "habit",
            "A habit of the site: share of its learning period in which the same claim held.",
            optional=True,
        ),
        Field("flowvigil.flows", COUNT, "spread.flows", "Flows flagged."),
        Field("flowvigil.packets", COUNT, "spread.packets", "Of the flagged flows, both directions."),
        Field("flowvigil.failed", COUNT, "spread.failed", "Flagged flows in which no data was exchanged."),
        Field("flowvigil.targets", COUNT, "spread.targets", "Distinct destination addresses."),
        Field("flowvigil.targets_more", FLAG, "spread.targets_more", "There are more targets than were counted."),
        Field("flowvigil.origins", COUNT, "spread.origins", "Distinct source addresses.", absent=1),
        Field(
            "flowvigil.origins_more",
            FLAG,
            "spread.origins_more",
            "There are more source addresses than were counted.",
            absent=False,
        ),
        Field(
            "flowvigil.load_before",
            NUMBER,
            "spread.load_before",
            "Of floods: packets a second of the target in the ten minutes before, both directions.",
            optional=True,
        ),
        Field("flowvigil.target_ips", first(TARGETS_SHOWN, ADDRESS), "target_ips", "The first targets."),
        Field("flowvigil.ports", COUNT, "spread.ports", "Distinct destination ports."),
        Field("flowvigil.ports_more", FLAG, "spread.ports_more", "There are more ports than were counted."),
        Field("flowvigil.target_ports", first(PORTS_SHOWN, PORT), "target_ports", "The first destination ports."),
        Field("flowvigil.next", first(STEPS_SHOWN, exact(200)), _next, "What to look at next, the first thing first."),
        Field(
            "flowvigil.packets_filter",
            exact(400),
            display_filter,
            "Display filter of tshark and Wireshark for its packets.",
        ),
        Field("flowvigil.model.id", sentence(64, 96), "model.id"),
        Field("flowvigil.model.sha256", sentence(64, 64), "model.sha256"),
        Field("flowvigil.quality.dropped", COUNT, "dropped", "Packets that the capture had lost by then."),
        Field(
            "flowvigil.packets_file",
            text(64),
            "packets_file",
            "Capture that gets packets of its flows, below the directory of --keep-packets.",
            optional=True,
        ),
        Field(
            "flowvigil.source_names",
            _NAMES,
            "source.names",
            "Names that DNS answers told of the source, the latest first, when the flow shown was reported.",
            optional=True,
            absent=(),
        ),
        Field("flowvigil.destination_names", _NAMES, "destination.names", "The same.", optional=True, absent=()),
        Field("flowvigil.ja4", text(36), "tls.ja4", "Fingerprint of the TLS client of the flow shown.", optional=True),
        Field("flowvigil.muted", part(_MUTED, Muted), "muted", optional=True),
        Field("flowvigil.before_notes", part(_GRADE, Grade), "before_notes", optional=True),
    ),
    objects={
        "source": "The host that the episode is about, with its side of the flow shown.",
        "destination": "The other side of the flow shown: the one that speaks strongest.",
        "observer": ecs.OBSERVER,
        "flowvigil.p": "P-values of the flow shown.",
    },
)

"""Writes the files for other tools that follow from our declarations: `python -m docs.neighbours`.

The index template of Elasticsearch and OpenSearch comes from the schemas of the records, Wazuh's rules from the table
of techniques, and Grafana's dashboard from a table of panels. A test holds the files to them.
"""

import json
import re
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from sensor.alerts.formats.schemas import RECORDS, schema_of
from sensor.alerts.techniques import TECHNIQUES, Technique, severity_of

EXAMPLES: Final = Path(__file__).resolve().parents[1] / "configs" / "examples"
TEMPLATE, PIPELINE = EXAMPLES / "elasticsearch" / "template.json", EXAMPLES / "elasticsearch" / "pipeline.json"
DASHBOARD, RULES = EXAMPLES / "grafana" / "flowvigil.json", EXAMPLES / "wazuh" / "flowvigil_rules.xml"
NOT_RUN: Final = "Not run: made from our schemas and compared with our own records alone."

# Elasticsearch and OpenSearch

# Types that ECS has for a field and the JSON Schema does not tell (fields of ECS, as published).
ECS_TYPES: Final = {"message": "match_only_text", "event.risk_score": "float"}
ADDRESSES: Final = frozenset({"source.ip", "destination.ip", "related.ip", "flowvigil.target_ips"})
KEYWORD_CHARACTERS: Final = 1024  # more than any of our texts has: nothing is left out of the index

Mapping = dict[str, Any]


def template() -> Mapping:
    """The index template of data streams `logs-flowvigil.*-*`. Raises ValueError where two records differ in a type."""
    properties: Mapping = {}
    by_name: dict[str, str] = {}
    for record in RECORDS:
        _add(schema_of(record), "", properties, by_name)
    _put(properties, "event.ingested", {"type": "date"})
    _put(properties, "related.ip", {"type": "ip"})
    dynamic = [
        {path.replace(".", "_"): {"path_match": f"{path}.*", "mapping": {"type": kind}}}
        for path, kind in sorted(by_name.items())
    ]
    return {
        "index_patterns": ["logs-flowvigil.*-*"],
        "data_stream": {},
        "priority": 200,
        "_meta": {"description": f"Records of flowvigil, every type fixed. {NOT_RUN}"},
        "template": {
            "settings": {"index.default_pipeline": "flowvigil"},
            "mappings": {"dynamic": False, "dynamic_templates": dynamic, "properties": properties},
        },
    }


def pipeline() -> Mapping:
    """The ingest pipeline: an id of its own for each line of an alert, so that one that comes twice is kept once."""
    return {
        "description": f"Records of flowvigil: an alert's line is one document, however often it comes. {NOT_RUN}",
        "processors": [
            {
                "set": {
                    "description": "Kept once: a second one of this id is refused as a conflict.",
                    "if": "ctx.event?.id != null && ctx.event?.sequence != null",
                    "field": "_id",
                    "value": "{{{observer.name}}}-{{{event.id}}}-{{{event.sequence}}}",
                }
            },
            {"set": {"field": "event.ingested", "value": "{{{_ingest.timestamp}}}"}},
            *(
                {
                    "append": {
                        "if": f"ctx.{name.replace('.', '?.')} != null",
                        "field": "related.ip",
                        "value": f"{{{{{{{name}}}}}}}",
                        "allow_duplicates": False,
                    }
                }
                for name in ("source.ip", "destination.ip")
            ),
        ],
        "on_failure": [{"set": {"field": "error.message", "value": "{{{_ingest.on_failure_message}}}"}}],
    }


def _add(schema: Mapping, path: str, properties: Mapping, by_name: dict[str, str]) -> None:
    for name, below in schema["properties"].items():
        full = f"{path}.{name}" if path else name
        if "additionalProperties" in below:
            by_name[full] = _type(below["additionalProperties"], full)["type"]
            _put(properties, full, {"type": "object", "dynamic": True})
        elif "properties" in below:
            _add(below, full, properties, by_name)
        else:
            _put(properties, full, _type(below, full))


def _put(properties: Mapping, path: str, found: Mapping) -> None:
    """Place a field under its objects."""
    *parents, name = path.split(".")
    for parent in parents:
        properties = properties.setdefault(parent, {}).setdefault("properties", {})
    if properties.setdefault(name, found) != found:
        raise ValueError(f"{path}: found {found} and {properties[name]}, expected one type")


def _type(schema: Mapping, path: str) -> Mapping:
    """The type of a field by its schema, items of a list as the list."""
    if schema.get("type") == "array":
        items = schema["items"]
        if "properties" not in items:
            return _type(items, path)
        inner: Mapping = {}
        _add(items, "", inner, {})
        return {"type": "nested", "properties": inner}
    if path in ECS_TYPES:
        return {"type": ECS_TYPES[path]}
    if path in ADDRESSES:
        return {"type": "ip"}
    if schema.get("format") == "date-time":
        return {"type": "date"}
    found = schema.get("type", "string")
    kinds = {found} if isinstance(found, str) else set(found) - {"null"}
    (kind,) = kinds
    plain = {"integer": "long", "number": "double", "boolean": "boolean"}.get(kind)
    return {"type": plain} if plain else {"type": "keyword", "ignore_above": KEYWORD_CHARACTERS}


# Wazuh

FIRST_RULE: Final = 117_170  # of Wazuh's range for rules of users
FIRST_TECHNIQUE: Final = 10  # rules after that
WAZUH_LEVELS: Final = ((80, 12), (60, 10), (40, 7), (0, 4))  # by event.severity


def wazuh_rules() -> str:
    """Rules for alerts: one for each technique, with its ATT&CK id, and for what the sensor says of itself."""
    numbers = {technique.id: place for place, technique in enumerate(sorted(TECHNIQUES, key=_by_id), FIRST_TECHNIQUE)}
    rules = [
        _rule(0, 0, "a record", "<decoded_as>json</decoded_as>", _field("event.dataset", r"^flowvigil\.")),
        _rule(1, 3, "the sensor says $(flowvigil.message)", *_when(0, "event.dataset", r"^flowvigil\.(sensor|drift)$")),
        _rule(
            2, 4, "$(message)", *_when(0, "event.dataset", r"^flowvigil\.alert$"), _field("event.action", "^opened$")
        ),
        _rule(3, 0, "muted by a note of the site", *_when(2, "flowvigil.muted.by", ".")),
        *(_of_technique(numbers, technique) for technique in sorted(TECHNIQUES, key=_by_id)),
    ]
    return (
        "<!-- flowvigil for Wazuh: /var/ossec/etc/rules/flowvigil_rules.xml, with flowvigil_decoders.xml beside it.\n"
        "     Not run: well-formed, its expressions tried on our own records with another engine. -->\n"
        '<group name="flowvigil,ids,">\n' + "\n".join(rules) + "\n</group>\n"
    )


def _by_id(technique: Technique) -> str:
    return technique.id


def _of_technique(numbers: dict[str, int], technique: Technique) -> str:
    """A rule below that of all alerts; of a sub-technique below its parent's, which matches too."""
    level = next(level for least, level in WAZUH_LEVELS if severity_of(technique) >= least)
    sub = technique.id != technique.parent
    field = "threat.technique.subtechnique.id" if sub else "threat.technique.id"
    expression = rf"(?:^|\W){re.escape(technique.id)}(?:\W|$)"
    conditions = _when(numbers[technique.parent] if sub else 2, field, expression)
    return _rule(numbers[technique.id], level, f"{technique.name}: $(message)", *conditions, technique=technique.id)


def _when(place: int, field: str, expression: str) -> tuple[str, str]:
    return f"<if_sid>{FIRST_RULE + place}</if_sid>", _field(field, expression)


def _field(name: str, expression: str) -> str:
    return f'<field name="{name}" type="pcre2">{escape(expression)}</field>'


def _rule(place: int, level: int, description: str, *conditions: str, technique: str = "") -> str:
    parts = [*conditions, f"<description>flowvigil: {escape(description)}</description>"]
    if technique:
        parts.append(f"<mitre><id>{technique}</id></mitre>")
    body = "\n    ".join(parts)
    return f'  <rule id="{FIRST_RULE + place}" level="{level}">\n    {body}\n  </rule>'


# Grafana

# Queries in short: `@` stands for the sensors that are chosen, `[]` for a range as long as the graph asks for.
PANELS: Final = (  # kind, title, unit, (query, legend)…; a row of tiles, then graphs two by two
    ("stat", "Attacks, last 24 h", "short", ('sum(increase(flowvigil_alerts_total{verdict="attack",@}[24h]))', "")),
    ("stat", "Uncertain, last 24 h", "short",
     ('sum(increase(flowvigil_alerts_total{verdict="uncertain",@}[24h]))', "")),
    ("stat", "Packets lost, last hour", "percentunit",
     ("sum(increase(flowvigil_packets_dropped_total{@}[1h])) / sum(increase(flowvigil_packets_received_total{@}[1h]))",
      "")),
    ("stat", "Interfaces up", "short", ("sum(flowvigil_interface_up{@})", "")),
    ("stat", "Outputs down", "short", ("count(flowvigil_output_up{@} == 0) or vector(0)", "")),
    ("stat", "Drift conditions", "short", ("sum(flowvigil_drift_conditions{@})", "")),
    ("timeseries", "Alerts opened", "short",
     ("sum by (verdict) (increase(flowvigil_alerts_total{@}[]))", "{{verdict}}")),
    ("timeseries", "Traffic", "bps", ("8 * rate(flowvigil_bytes_total{@}[])", "{{instance}}")),
    ("timeseries", "Packets", "pps",
     ("rate(flowvigil_packets_metered_total{@}[])", "metered {{instance}}"),
     ("rate(flowvigil_packets_dropped_total{@}[])", "dropped {{instance}}"),
     ("rate(flowvigil_packets_shed_total{@}[])", "shed {{instance}}")),
    ("timeseries", "Packets without a flow, by reason", "pps",
     ("sum by (reason) (rate(flowvigil_packets_undecoded_total{@}[]))", "{{reason}}")),
    ("timeseries", "Flows", "short",
     ("rate(flowvigil_flows_total{@}[])", "new a second {{instance}}"),
     ("flowvigil_table_flows{@}", "in the table {{instance}}")),
    ("timeseries", "Lines of outputs", "short",
     ("sum by (output, outcome) (increase(flowvigil_output_lines_total{@}[]))", "{{outcome}} {{output}}"),
     ("flowvigil_output_waiting{@}", "waiting {{place}} {{output}}")),
    ("timeseries", "Alerts a day, asked and come", "short",
     ("flowvigil_drift_alerts_per_day{@}", "come {{instance}}"),
     ("flowvigil_drift_alerts_per_day_asked{@}", "asked {{instance}}")),
    ("timeseries", "Longest pause of the capture", "s",
     ("flowvigil_capture_longest_pause_seconds{@}", "{{instance}}")),
)  # fmt: skip
COLUMNS: Final = 24
TILE, TILE_HEIGHT, GRAPH, GRAPH_HEIGHT = 4, 4, 12, 8


def dashboard() -> Mapping:
    """The dashboard of the metrics, for import into Grafana: it asks which Prometheus they are in."""
    panels, at, row = [], 0, 0
    for number, (kind, title, unit, *targets) in enumerate(PANELS, 1):
        width, height = (TILE, TILE_HEIGHT) if kind == "stat" else (GRAPH, GRAPH_HEIGHT)
        panels.append(_panel(number, kind, title, unit, targets, {"x": at, "y": row, "w": width, "h": height}))
        at += width
        if at >= COLUMNS:
            at, row = 0, row + height
    return {
        "__inputs": [{"name": "DS_PROMETHEUS", "label": "Prometheus", "type": "datasource", "pluginId": "prometheus"}],
        "title": "flowvigil",
        "uid": "flowvigil",
        "description": "flowvigil sensors, by their metrics (stats.metrics_port). Not run in Grafana: its queries are "
        "checked by promtool, and every metric in them against the sensor.",
        "tags": ["flowvigil", "network", "security"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "",
        "templating": {"list": [_variable()]},
        "panels": panels,
    }


def _variable() -> Mapping:
    return {
        "name": "instance",
        "label": "Sensor",
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${DS_PROMETHEUS}"},
        "query": {"query": "label_values(flowvigil_build_info, instance)", "refId": "instance"},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _panel(number: int, kind: str, title: str, unit: str, targets: list[tuple[str, str]], place: Mapping) -> Mapping:
    source = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
    shown = {"reduceOptions": {"calcs": ["lastNotNull"]}} if kind == "stat" else {"legend": {"showLegend": True}}
    return {
        "id": number,
        "type": kind,
        "title": title,
        "datasource": source,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "options": shown,
        "targets": [
            {"refId": letter, "datasource": source, "expr": _in_full(query), "legendFormat": legend}
            for letter, (query, legend) in zip("ABCDEF", targets, strict=False)
        ],
    }


def _in_full(query: str) -> str:
    return query.replace("@", 'instance=~"$instance"').replace("[]", "[$__rate_interval]")


def files() -> dict[Path, str]:
    """What each file holds."""
    documents = {TEMPLATE: template(), PIPELINE: pipeline(), DASHBOARD: dashboard()}
    written = {path: json.dumps(document, indent=2) + "\n" for path, document in documents.items()}
    return written | {RULES: wazuh_rules()}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)

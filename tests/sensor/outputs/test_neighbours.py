"""The files for other tools: run by the real programs where they are, else held to our own records and declarations.

What a file says of itself, run or not run, is true here: see NOT_RUN.
"""

import configparser
import json
import re
import shutil
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from docs.neighbours import DASHBOARD, ECS_TYPES, EXAMPLES, PIPELINE, TEMPLATE, files
from sensor.alerts.alert_record import alert_document, alert_line
from sensor.alerts.formats.native import native_line
from sensor.alerts.techniques import TECHNIQUES, severity_of
from sensor.outputs.outputs import Outputs, prepared_outputs
from sensor.outputs.syslog import counted, syslog_message
from sensor.progress.latest import Latest
from sensor.progress.progress import DriftState, InterfaceState, KeptPackets, LoggedFlows, OutputState, Progress
from sensor.progress.prometheus import PrometheusCollector
from sensor.settings.outputs import SyslogEntry, WebhookEntry
from tests.support import syslog_ng
from tests.support.alerts import an_alert
from tests.support.posts import hooks
from tests.support.receivers import free_port, listening, skip_without

pytestmark = pytest.mark.ux

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
NOT_RUN = {"evebox.yaml", "filebeat.yml", "fluent-bit.yaml", "vector.yaml",
           "elasticsearch/pipeline.json", "elasticsearch/template.json", "grafana/flowvigil.json",
           "splunk/props.conf", "splunk/transforms.conf", "wazuh/flowvigil_decoders.xml",
           "wazuh/flowvigil_rules.xml"}  # fmt: skip
RUN = {"ansible-fleet.yaml",
       "prometheus/flowvigil.rules.yml", "prometheus/flowvigil.test.yml", "prometheus/prometheus.yml", "rsyslog.conf",
       "rsyslog-fleet.conf", "syslog-ng.conf", "flowvigil-outputs.conf"}  # fmt: skip
OURS = {"outputs.yaml", "chat.json"}
# Fields of ECS by their type, as its published lists have them (1.2 and 8.12, of threat the reference of 1.8). What
# ECS 9 changed in them could not be looked up.
ECS = {
    "date": "@timestamp event.start event.end event.ingested",
    "match_only_text": "message",
    "float": "event.risk_score",
    "ip": "source.ip destination.ip related.ip",
    "long": "event.sequence event.severity event.duration source.port source.bytes source.packets destination.port"
    " destination.bytes destination.packets network.bytes network.packets source.as.number destination.as.number",
    "keyword": "ecs.version event.kind event.category event.type event.dataset event.action event.id event.reason"
    " source.domain destination.domain network.type network.transport network.iana_number network.community_id"
    " network.application network.direction network.vlan.id network.inner.vlan.id observer.name observer.type"
    " observer.version observer.ingress.interface.name threat.framework threat.technique.id threat.technique.name"
    " threat.technique.subtechnique.id threat.technique.subtechnique.name threat.tactic.name"
    " source.geo.country_iso_code source.geo.city_name source.as.organization.name destination.geo.country_iso_code"
    " destination.geo.city_name destination.as.organization.name tls.client.server_name"
    " log.file.path agent.ephemeral_id",
}
METRIC = re.compile(r"flowvigil_\w+")


def test_the_files_are_what_our_declarations_say() -> None:
    for path, text in files().items():
        assert path.read_text() == text, f"python -m docs.neighbours writes {path.name} anew"


def test_each_file_says_whether_it_was_run() -> None:
    found = {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*") if path.is_file()}
    assert found == NOT_RUN | RUN | OURS
    for name in NOT_RUN | RUN:
        says = "not run" if name in NOT_RUN else "run:"
        assert says in (EXAMPLES / name).read_text().lower(), name


# Elasticsearch and OpenSearch


def leaves(properties: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in properties.items():
        full = f"{path}.{name}" if path else name
        if "properties" in field and field.get("type") != "nested":
            yield from leaves(field["properties"], full)
        else:
            yield full, field


def mapped() -> dict[str, dict[str, Any]]:
    return dict(leaves(json.loads(TEMPLATE.read_text())["template"]["mappings"]["properties"]))


def test_every_field_outside_of_ours_is_one_of_ecs_with_its_type() -> None:
    types = {name: kind for kind, names in ECS.items() for name in names.split()}
    theirs = {path: field["type"] for path, field in mapped().items() if not path.startswith("flowvigil.")}
    assert theirs == types
    assert ECS_TYPES.items() <= types.items()


def fits(value: Any, field: dict[str, Any]) -> bool:
    kind = field["type"]
    if value is None:
        return True
    if isinstance(value, list):
        return all(fits(item, field) for item in value)
    if kind == "nested":
        return all(fits(inner, field["properties"][name]) for name, inner in value.items())
    if kind == "object":
        return bool(field["dynamic"]) and isinstance(value, dict)
    if kind == "ip":
        return bool(ip_address(value))
    if kind == "keyword":
        return isinstance(value, str) and len(value) <= field["ignore_above"]
    if kind in ("date", "match_only_text"):
        return isinstance(value, str)
    wanted = {"long": int, "boolean": bool, "double": int | float, "float": int | float}[kind]
    return isinstance(value, wanted) and (kind == "boolean") == isinstance(value, bool)


def placed(document: dict[str, Any], fields: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        full = f"{path}.{name}" if path else name
        if isinstance(value, dict) and full not in fields:
            yield from placed(value, fields, full)
        else:
            yield full, value


@pytest.mark.parametrize("name", ["alert", "flow", "logged-flow", "stats", "event", "drift"])
def test_every_value_of_our_records_has_its_type(name: str) -> None:
    fields = mapped()
    for path, value in placed(json.loads((GOLDEN / f"{name}.json").read_text()), fields):
        assert path in fields, path
        assert fits(value, fields[path]), path


def test_objects_whose_names_vary_have_one_type_for_all_of_them() -> None:
    mappings = json.loads(TEMPLATE.read_text())["template"]["mappings"]
    open_ones = {path for path, field in leaves(mappings["properties"]) if field["type"] == "object"}
    typed = {one["path_match"].removesuffix(".*") for named in mappings["dynamic_templates"] for one in named.values()}
    assert open_ones == typed
    assert mappings["dynamic"] is False


def test_each_line_has_an_id_of_its_own_in_the_index() -> None:
    steps = [processor["set"] for processor in json.loads(PIPELINE.read_text())["processors"] if "set" in processor]
    (identity,) = [step["value"] for step in steps if step["field"] == "_id"]
    names = re.findall(r"\{\{\{([\w.]+)\}\}\}", identity)
    lines = [
        alert_document(an_alert(sequence=number, action=action))
        for number, action in enumerate(("opened", "closed"), 1)
    ]

    def value(document: Any, name: str) -> str:
        for part in name.split("."):
            document = document[part]
        return str(document)

    assert len({tuple(value(line, name) for name in names) for line in lines}) == 2


# Prometheus and Grafana


def exported() -> set[str]:
    """Names of all metrics that a sensor can have."""
    full = Progress(
        muted=1, context_evicted=1, longest_pause_ns=1, stores_evicted={"a": 1}, undecoded={"b": 1}, unjudged={"c": 1},
        outputs=(OutputState("o", True, 1, 1, 1, 1),), kept=KeptPackets(1, 1, 1, 1, 1, 1, 1, 1),
        logged=LoggedFlows(1, 1, 1, 1, 1, 1), drift=DriftState(("d",), 1.0, 1.0, 1.0),
        interfaces=(InterfaceState("eth0", True),),
    )  # fmt: skip
    families = PrometheusCollector(Latest(full)).collect()
    return {sample.name for family in families for sample in family.samples}


def promtool(*arguments: str | Path, cwd: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(["promtool", *arguments], check=False, capture_output=True, text=True, cwd=cwd, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_rules_and_each_fires_when_it_should() -> None:
    room = EXAMPLES / "prometheus"
    promtool("check", "config", "prometheus.yml", cwd=room)
    promtool("test", "rules", "flowvigil.test.yml", cwd=room)


def test_every_rule_is_tried_both_ways() -> None:
    rules = re.findall(r"- alert: (\w+)", (EXAMPLES / "prometheus" / "flowvigil.rules.yml").read_text())
    tests = (EXAMPLES / "prometheus" / "flowvigil.test.yml").read_text()
    for rule in rules:
        assert f"alertname: {rule}}}" in tests, rule
        assert f'alertname="{rule}"' in tests, rule


def test_rules_and_dashboard_ask_for_metrics_that_there_are() -> None:
    rules = (EXAMPLES / "prometheus" / "flowvigil.rules.yml").read_text()
    asked = {name for line in rules.splitlines() if "expr:" in line for name in METRIC.findall(line)}
    asked |= {name for query in queries() for name in METRIC.findall(query)}
    assert asked - exported() == set()
    assert len(asked) > 15


def queries() -> list[str]:
    return [target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]]


def test_prometheus_takes_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"q{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(queries())
    ]
    (tmp_path / "q.yml").write_text(json.dumps({"groups": [{"name": "q", "rules": rules}]}))
    promtool("check", "rules", "q.yml", cwd=tmp_path)


def test_the_panels_of_the_dashboard_leave_no_gap_and_lie_on_no_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        taken |= cells
    assert {x for x, _ in taken} == set(range(24))
    assert len(taken) == 24 * (max(y for _, y in taken) + 1)


# Wazuh and Splunk


def wazuh_rules() -> list[ET.Element]:
    return ET.fromstring((EXAMPLES / "wazuh" / "flowvigil_rules.xml").read_text()).findall("rule")  # noqa: S314


def told(document: dict[str, Any], name: str) -> str:
    """What Wazuh's decoder of JSON makes of a field: a list as its text."""
    for part in name.split("."):
        document = document.get(part, {}) if isinstance(document, dict) else {}
    return json.dumps(document) if isinstance(document, list) else str(document or "")


def matching(document: dict[str, Any]) -> ET.Element:
    """The rule that Wazuh ends with: from the top down, of the rules below one those of level 0 first."""
    rules = wazuh_rules()
    (here,) = [rule for rule in rules if rule.find("decoded_as") is not None]
    assert holds(here, document)
    while True:
        below = [rule for rule in rules if rule.findtext("if_sid") == here.get("id")]
        below.sort(key=lambda rule: rule.get("level") != "0")
        chosen = next((rule for rule in below if holds(rule, document)), None)
        if chosen is None:
            return here
        here = chosen


def holds(rule: ET.Element, document: dict[str, Any]) -> bool:
    return all(
        re.search(str(field.text), told(document, str(field.get("name")))) is not None
        for field in rule.findall("field")
    )


@pytest.mark.parametrize("technique", TECHNIQUES, ids=lambda technique: technique.id)
def test_wazuh_gets_the_attack_id_of_each_technique(technique: Any) -> None:
    rule = matching(alert_document(an_alert(technique=technique)))
    assert rule.findtext("mitre/id") == technique.id
    level = int(str(rule.get("level")))
    assert level >= 10 if severity_of(technique) >= 60 else level < 10


def test_wazuh_tells_unusual_traffic_and_what_the_sensor_says_and_no_more() -> None:
    levels = {
        "unusual": matching(alert_document(an_alert(technique=None))).get("level"),
        "closed": matching(alert_document(an_alert(action="closed"))).get("level"),
        "sensor": matching(json.loads((GOLDEN / "event.json").read_text())).get("level"),
        "stats": matching(json.loads((GOLDEN / "stats.json").read_text())).get("level"),
    }
    assert levels == {"unusual": "4", "closed": "0", "sensor": "3", "stats": "0"}
    muted = alert_document(an_alert())
    muted["flowvigil"]["muted"] = {"by": "scanner scan-1", "why": "weekly"}
    assert matching(muted).get("level") == "0"


def test_wazuh_numbers_are_its_users_own_and_stand_once() -> None:
    numbers = [int(str(rule.get("id"))) for rule in wazuh_rules()]
    assert len(set(numbers)) == len(numbers)
    assert all(100_000 <= number < 120_000 for number in numbers)


def test_wazuh_knows_our_lines_by_their_beginning() -> None:
    text = (EXAMPLES / "wazuh" / "flowvigil_decoders.xml").read_text()
    decoder = ET.fromstring(text[text.index("<decoder") :])  # noqa: S314
    assert re.search(str(decoder.findtext("prematch")), alert_line(an_alert()).decode())
    assert not re.search(str(decoder.findtext("prematch")), '{"@timestamp":"x","event":{"dataset":"other"}}')


def test_wazuh_asks_for_the_decoder_that_takes_our_lines_there() -> None:
    text = (EXAMPLES / "wazuh" / "flowvigil_decoders.xml").read_text()
    (asked,) = [rule for rule in wazuh_rules() if rule.find("decoded_as") is not None]
    # Its own, which comes before those of users and takes every line that begins as an object of JSON does.
    assert asked.findtext("decoded_as") == "json"
    assert ET.fromstring(text[text.index("<decoder") :]).get("name") == "json"  # noqa: S314
    assert not holds(asked, {"event": {"dataset": "other.alert"}})


def splunk(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(EXAMPLES / "splunk" / name)
    return parser


def test_splunk_finds_time_kind_and_json_in_our_lines() -> None:
    props, transforms = splunk("props.conf"), splunk("transforms.conf")
    line = alert_line(an_alert()).decode().rstrip()
    settings = props["flowvigil"]
    at = line.index(settings["TIME_PREFIX"]) + len(settings["TIME_PREFIX"])
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line[at : at + int(settings["MAX_TIMESTAMP_LOOKAHEAD"])])
    found = re.search(transforms["flowvigil_kind"]["REGEX"], line)
    assert found is not None
    assert f"flowvigil:{found[1]}" in props
    _, expression, _, _ = settings["SEDCMD-syslog"].split("/")
    for header in (
        "<131>1 2026-01-01T00:00:00.000000Z gw1 flowvigil 1 alert - ",
        "1234 <131>1 - gw1 flowvigil 1 alert - ",
    ):
        assert re.sub(expression, "", header + line) == line
    assert int(settings["TRUNCATE"]) >= 8192 + 255


def test_splunk_tells_events_of_a_stream_of_syslog_apart() -> None:
    settings = splunk("props.conf")["flowvigil"]
    line = alert_line(an_alert()).decode().rstrip()
    document = json.loads(line)
    stream = b"".join(counted(syslog_message(document, native_line, 16)) for _ in range(3)).decode()
    for events in (stream, f"{line}\n{line}\n{line}\n"):
        told, at = [], 0
        for found in re.finditer(settings["LINE_BREAKER"], events):
            group = next(number for number in range(1, found.re.groups + 1) if found[number] is not None)
            told.append(events[at : found.start(group)])
            at = found.end(group)
        _, expression, _, _ = settings["SEDCMD-syslog"].split("/")
        told = [re.sub(expression, "", event) for event in (*told, events[at:]) if event]
        assert told == [line] * 3


def test_splunk_finds_every_field_that_it_is_told_of() -> None:
    document = alert_document(an_alert())
    settings = splunk("props.conf")["flowvigil:alert"]
    named = [settings[name].split(" AS ")[0] for name in settings if name.startswith("FIELDALIAS-")]
    named += [name.removesuffix("{}") for value in settings.values() for name in re.findall(r"'([\w.{}]+)'", value)]
    optional = {"threat.technique.name"}  # stands where there is no sub-technique
    assert not [name for name in named if name not in optional and not told(document, name)]


# Run for real


def example(name: str, directory: Path, port: int, out: Path) -> Path:
    """The example as it is, with its port and its places on this machine."""
    text = (EXAMPLES / name).read_text()
    changed = text.replace("10514", str(port)).replace("/var/log/flowvigil-received.jsonl", str(out))
    config = directory / name
    config.write_text(changed.replace("/var/spool/rsyslog", str(directory)))
    assert changed != text
    return config


@pytest.mark.parametrize("program", ["rsyslogd", "syslog-ng"])
def test_a_receiver_of_syslog_keeps_our_alerts_by_the_example(program: str, tmp_path: Path) -> None:
    skip_without(program)
    port, out = free_port(), tmp_path / "received.jsonl"
    name = "rsyslog.conf" if program == "rsyslogd" else "syslog-ng.conf"
    config = example(name, tmp_path, port, out)
    places = {"-R": "persist", "-p": "pid", "-c": "control"}
    command = (
        ["rsyslogd", "-n", "-f", config, "-i", tmp_path / "pid"]
        if program == "rsyslogd"
        else [
            *(syslog_ng.program() or ()),
            "-F",
            "--no-caps",
            "-f",
            config,
            *(w for o, n in places.items() for w in (o, tmp_path / n)),
        ]
    )
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as daemon:
        try:
            deadline = time.monotonic() + 20
            while not listening(port):
                assert daemon.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            outputs = Outputs(prepared_outputs([SyslogEntry(type="syslog", host="127.0.0.1", port=port)], "gw1"))
            lines = [alert_line(an_alert(sequence=number)) for number in range(1, 51)]
            outputs.write([*lines, json.dumps(json.loads((GOLDEN / "stats.json").read_text())).encode() + b"\n"])
            outputs.close(20)
            deadline = time.monotonic() + 20
            while not out.exists() or len(out.read_bytes().splitlines()) < len(lines):
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(0.05)
        finally:
            daemon.terminate()
            daemon.wait(30)
    assert [json.loads(line) for line in out.read_text().splitlines()] == [json.loads(line) for line in lines]


def test_a_chat_gets_text_by_the_example() -> None:
    with hooks() as server:
        entry = WebhookEntry(type="webhook", url=server.url, template=EXAMPLES / "chat.json", batch_s=0)
        outputs = Outputs(prepared_outputs([entry], "gw1"))
        outputs.write([alert_line(replace(an_alert(), sequence=1))])
        outputs.close(10)
    assert json.loads(server.taken[0][2])["text"].startswith("HIGH Password Guessing 192.0.2.10 -&gt; 198.51.100.7:22")

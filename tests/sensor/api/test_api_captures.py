"""POST /v1/captures: the alerts of `flowvigil read` on the same capture, with the flows under them, within bounds."""

import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sensor.alerts.alert import Muted
from sensor.api import capture, found, schemas
from sensor.api.alerts_view import TOLD, _muted
from sensor.report.digest import ReportedEpisode
from sensor.synth.generate import generate
from sensor.synth.pcap import pcap_bytes
from sensor.synth.scenarios.portscan import PORTSCAN
from tests.support.alerts import an_alert
from tests.support.command import DEMO, flowvigil
from tests.support.served import Served, served

pytestmark = [pytest.mark.takes(20)]

PCAP = {"Content-Type": "application/vnd.tcpdump.pcap"}


def read(*arguments: str | Path) -> list[dict[str, Any]]:
    """Records that `read` writes."""
    return [json.loads(line) for line in flowvigil("read", *arguments, "-q").stdout.splitlines()]


def last_lines(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The last line about each alert, by its id."""
    return {record["event"]["id"]: record for record in records if record["event"]["kind"] == "alert"}


def flows_under(records: Sequence[dict[str, Any]], alert: str) -> list[dict[str, Any]]:
    return [record for record in records if record["flowvigil"].get("alert", {}).get("id") == alert]


def test_a_capture_has_the_alerts_and_flows_of_read(server: Served) -> None:
    records = read(DEMO, "--set", f"episodes.flows_per_alert={capture.FLOWS_SHOWN}")
    answer = server.ask("POST", "/v1/captures", DEMO.read_bytes(), PCAP)
    assert answer.status == 200, answer.body
    document = answer.document
    schemas.CaptureResult.model_validate(document)
    expected = last_lines(records)
    assert {one["alert"]["event"]["id"]: one["alert"] for one in document["alerts"]} == expected
    for one in document["alerts"]:
        assert one["flows"] == flows_under(records, one["alert"]["event"]["id"])
        assert one["flows"]
        assert one["lines"] == sum(record["event"]["id"] == one["alert"]["event"]["id"] for record in records)
    risks = [one["alert"]["event"]["risk_score"] for one in document["alerts"]]
    assert risks == sorted(risks, reverse=True)
    counts = document["packets"]
    assert counts["received"] == counts["metered"] + counts["filtered"] + sum(counts["undecoded"].values())
    assert (document["more"], document["muted"], document["problems"]) == (0, 0, [])


def test_the_settings_of_the_server_hold_for_captures_too(tmp_path: Path) -> None:
    notes = tmp_path / "site.yaml"
    notes.write_text(
        "home: [10.20.0.0/16]\nrules:\n  - {source: 203.0.113.45, technique: scan, why: the weekly scan}\n"
    )
    options = ("-m", "nsl-kdd-flow", "--set", f"site.file={notes}", "--set", "capture.filter=tcp")
    records = last_lines(read(DEMO, *options))
    with served(*options) as running:
        document = running.ask("POST", "/v1/captures", DEMO.read_bytes(), PCAP).document
    muted = [record for record in records.values() if "muted" in record["flowvigil"]]
    assert {one["alert"]["event"]["id"] for one in document["alerts"]} == set(records) - {
        record["event"]["id"] for record in muted
    }
    assert document["muted"] == len(muted) == 1
    assert document["packets"]["filtered"] > 0


@pytest.mark.parametrize(
    ("body", "content_type", "status", "said"),
    [
        (b"", "application/octet-stream", 422, "expected a pcap or pcapng capture"),
        (b"a,b\n1,2\n", "application/octet-stream", 422, "expected a pcap or pcapng capture"),
        (pcap_bytes([]), "application/octet-stream", 422, "no packet in this capture"),
        (b"", "application/x-www-form-urlencoded", 415, "application/vnd.tcpdump.pcap"),
    ],
)
def test_what_is_no_capture_is_refused(client: Any, body: bytes, content_type: str, status: int, said: str) -> None:
    answer = client.post("/v1/captures", data=body, content_type=content_type)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert said in answer.json["detail"]


def test_a_model_of_payloads_takes_none(client_of: Any) -> None:
    answer = client_of("nsl-kdd").post("/v1/captures", data=b"", content_type="application/octet-stream")
    assert answer.status_code == 422
    assert "a capture does not give" in answer.json["detail"]


def test_a_damaged_capture_is_read_as_far_as_it_goes(client: Any) -> None:
    whole = gzip.decompress(DEMO.read_bytes())
    answer = client.post("/v1/captures", data=whole[:-7], content_type="application/vnd.tcpdump.pcap")
    assert answer.status_code == 200
    assert answer.json["alerts"]
    assert any("truncated" in problem for problem in answer.json["problems"])


def test_no_more_than_so_many_packets_are_read_and_alerts_listed(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "MAX_PACKETS", 100)
    monkeypatch.setattr(capture, "FLOWS_KEPT", 3)
    monkeypatch.setattr(found, "ALERTS_LISTED", 1)
    content = gzip.decompress(DEMO.read_bytes())
    document = client.post("/v1/captures", data=content, content_type="application/octet-stream").json
    assert len(document["alerts"]) == 1
    assert sum(len(one["flows"]) for one in document["alerts"]) <= 3
    told = "; ".join(document["problems"])
    assert "packets were read" in told
    assert "more flows of alerts are not shown" in told


def test_a_capture_that_takes_too_long_ends(client_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from sensor.api.budget import TimeBudget

    checked = iter([*range(6), *[1e9] * 1000])
    monkeypatch.setattr("sensor.api.scoring.TimeBudget", lambda limit_s: TimeBudget(limit_s, lambda: next(checked)))
    scan = pcap_bytes(generate([PORTSCAN], seed=1, minutes=0.5).packets)
    answer = client_of().post("/v1/captures", data=scan, content_type="application/octet-stream")
    assert answer.status_code == 413
    assert "CPU time" in answer.json["detail"]


def test_flows_that_end_with_the_capture_are_held_to_the_budget_too(
    client_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sensor.api.budget import TimeBudget

    def checks(records: int) -> int:
        asked: list[None] = []
        monkeypatch.setattr("sensor.run.detection._RECORDS", records)
        monkeypatch.setattr("sensor.api.scoring.TimeBudget", lambda limit_s: TimeBudget(limit_s, lambda: _asked(asked)))
        assert client_of().post("/v1/captures", data=scan, content_type="application/octet-stream").status_code == 200
        return len(asked)

    def _asked(asked: list[None]) -> float:
        asked.append(None)
        return 0.0

    scan = pcap_bytes(generate([PORTSCAN], seed=1, minutes=0.5).packets)  # most of its flows are open at its end
    assert checks(20) > checks(1 << 30) + 5


def test_one_capture_leaves_nothing_behind_for_the_next(client: Any) -> None:
    content = DEMO.read_bytes()
    answers = [client.post("/v1/captures", data=content, content_type="application/octet-stream") for _ in range(2)]
    assert answers[0].data == answers[1].data


def test_flows_that_are_not_shown_are_not_taken_for_a_capture_cut_short(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "FLOWS_KEPT", 3)
    page = client.post("/", data={"file": (io.BytesIO(DEMO.read_bytes()), "demo.pcap.gz")}).text
    assert "more flows of alerts are not shown" in page
    assert "not read to its end" not in page


def test_of_many_muted_alerts_it_is_said_how_many_are_not_listed() -> None:
    muted = ReportedEpisode(an_alert(muted=Muted("rule 1", "the weekly scan")), 1, 0, attack=False)
    assert "And 3 more." in str(_muted([muted] * (TOLD + 3)))
    assert "more" not in str(_muted([muted]))

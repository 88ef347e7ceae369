"""Scores of CIC flows: those of the sensor itself, under any public header's names, without a memory."""

import json
from typing import Any

import numpy as np
import pytest

from flows.context.columns import context_contract, without_context
from flows.dialects import DIALECTS, NATIVE, TOT
from models.bundle import load_bundle
from models.detector import FlowSteps
from sensor.cli.build import bundle_path
from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.scenarios.portscan import PORTSCAN
from tests.support.served import flows_of, rows_of

BATCH = flows_of([NORMAL, PORTSCAN], 2.0)


def scored(client: Any, rows: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    answer = client.post("/v1/score", json={"rows": rows, **options})
    assert answer.status_code == 200, answer.data
    document: dict[str, Any] = json.loads(answer.data)
    return document


def alone(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: cell for name, cell in row.items() if name not in ("src_address", "start")} for row in rows]


def test_rows_are_judged_as_the_sensor_judges_flows(client: Any) -> None:
    hybrid = load_bundle(bundle_path(None), context_contract())
    n = min(400, len(BATCH))
    steps = FlowSteps(
        without_context(BATCH.values[:n]),
        np.ascontiguousarray(BATCH.identity[:n, :2]),
        np.ascontiguousarray(BATCH.identity[:n, 9]) // 1000 * 1000,
        np.ones(n, dtype=np.bool_),
        masked=True,
    )
    judgement = hybrid.judge(steps, 0.01)
    document = scored(client, rows_of(BATCH)[:n], reasons="none")
    rows = document["rows"]
    assert document["assumed"] == list(hybrid.maskable)
    assert document["model"] == {"id": hybrid.model_id, "sha256": hybrid.sha256}
    assert [row["p"]["known"] for row in rows] == judgement.p_known.tolist()
    assert [row["p"]["novel"] for row in rows] == judgement.p_novel.tolist()
    assert [row["scores"]["lstm"] for row in rows] == judgement.scores["lstm"].tolist()
    assert {row["verdict"] for row in rows} >= {"attack", "benign"}
    assert all((row["label"] is not None) == (row["verdict"] == "attack") for row in rows)


def test_a_row_of_a_kind_that_normal_traffic_never_held_is_said_not_to_be_judged(
    client: Any, scan_rows: list[dict[str, Any]]
) -> None:
    other = {**scan_rows[0], "protocol": 132}
    row, judged = scored(client, alone([other, scan_rows[0]]))["rows"]
    assert (row["verdict"], row["p"], row["judged"]) == ("benign", {"known": 1.0, "novel": 1.0}, False)
    assert "reasons" not in row
    assert "judged" not in judged


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_public_header_is_understood(client: Any, dialect: Any) -> None:
    native = scored(client, alone(rows_of(BATCH)[:100]), reasons="none")["rows"]
    rows = [
        {name: cell for name, cell in row.items() if name not in ("Src IP", " Source IP", "src_ip", "src_address")}
        for row in rows_of(BATCH, dialect)[:100]
    ]
    document = scored(client, rows, reasons="none")
    lacking = {"fwd_rst_flags", "bwd_rst_flags"} if dialect is not NATIVE else set()
    assert set(document["assumed"]) == lacking | set(client.get("/v1/model").json["optional"])
    same = [a["verdict"] == b["verdict"] for a, b in zip(native, document["rows"], strict=True)]
    assert np.mean(same) > 0.9


def test_resets_that_a_header_counts_together_are_the_asked_sides_where_it_sent_anything(
    client: Any, scan_rows: list[dict[str, Any]]
) -> None:
    row = next(row for row in alone(scan_rows) if row["bwd_rst_flags"])
    assert (row["fwd_rst_flags"], row["bwd_rst_flags"], row["rst_flag_count"]) == (0, 1, 1)
    sides = ("fwd_rst_flags", "bwd_rst_flags")
    names = {field: name for name, field in zip(TOT.header, TOT.fields, strict=True)}
    for backward in (row["bwd_packets"], 0):
        told = row | {"bwd_packets": backward, sides[0]: int(not backward), sides[1]: int(bool(backward))}
        together = {names[field]: cell for field, cell in told.items() if field in names}
        (native,), (public,) = scored(client, [told])["rows"], scored(client, [together])["rows"]
        assert public["scores"] == native["scores"]


def test_the_host_state_ends_with_the_request(client: Any, scan_rows: list[dict[str, Any]]) -> None:
    first = scored(client, scan_rows)
    assert scored(client, scan_rows) == first
    lone = scored(client, scan_rows[-1:])["rows"][0]
    assert lone["scores"]["lstm"] != first["rows"][-1]["scores"]["lstm"]  # there it came after others of its host


def test_rows_without_a_source_do_not_depend_on_each_other(client: Any, normal_rows: list[dict[str, Any]]) -> None:
    rows = alone(normal_rows)[:40]
    forward = scored(client, rows)["rows"]
    assert scored(client, rows[::-1])["rows"] == forward[::-1]
    assert [scored(client, [row])["rows"][0] for row in rows[:5]] == forward[:5]


def test_source_and_time_make_a_sequence_as_the_header_s_own_do(client: Any, scan_rows: list[dict[str, Any]]) -> None:
    renamed = [
        bare | {"source": row["src_address"], "time": row["start"]}
        for bare, row in zip(alone(scan_rows), scan_rows, strict=True)
    ]
    assert scored(client, renamed) == scored(client, scan_rows)


def test_flagged_rows_have_reasons_and_others_none(client: Any, scan_rows: list[dict[str, Any]]) -> None:
    rows = scored(client, scan_rows[:20])["rows"]
    flagged = [row for row in rows if row["verdict"] != "benign"]
    assert flagged
    for row in flagged:
        assert 1 <= len(row["reasons"]) <= 5
        assert {"name", "value", "normal_median", "normal_p99", "unit", "text"} == set(row["reasons"][0])
    assert all("reasons" not in row for row in rows if row["verdict"] == "benign")
    assert all("reasons" not in row for row in scored(client, scan_rows[:20], reasons="none")["rows"])
    quick = scored(client, scan_rows[:20], reasons="quick")["rows"]
    assert [row["p"] for row in quick] == [row["p"] for row in rows]


def test_a_stricter_rate_flags_no_more(client: Any, scan_rows: list[dict[str, Any]]) -> None:
    counts = [
        sum(row["verdict"] != "benign" for row in scored(client, scan_rows, rate=rate, reasons="none")["rows"])
        for rate in (0.001, 0.01, 0.05)
    ]
    assert counts == sorted(counts)


def test_a_rate_without_a_duration_and_a_window_without_tcp_are_what_they_mean(
    client: Any, normal_rows: list[dict[str, Any]]
) -> None:
    udp = next(row for row in alone(normal_rows) if row["protocol"] == 17)
    other = udp | {"fwd_init_win_bytes": 0, "bwd_last_win_bytes": 0}
    assert scored(client, [udp])["rows"] == scored(client, [other])["rows"]


def test_the_model_says_what_it_is(client: Any) -> None:
    model = client.get("/v1/model").json
    assert model["id"] == "default"
    assert len(model["sha256"]) == 64
    assert {member["lane"] for member in model["detectors"]} == {"known", "novel"}

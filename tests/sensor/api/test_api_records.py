"""Scores of NSL-KDD records: named as published, symbols as text, ranges kept."""

import json
from typing import Any

import numpy as np
import pytest

from flows.kdd.columns import KDD_COLUMNS, SYMBOLS, kdd_contract
from models.bundle import load_bundle
from models.detector import FlowSteps
from sensor.cli.build import bundle_path
from tests.support.kdd_rows import FLOOD, NAMES, WEB


def refused(client: Any, row: dict[str, Any], status: int = 422) -> list[dict[str, Any]]:
    answer = client.post("/v1/score", json={"rows": [row]})
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json"), answer.data
    errors: list[dict[str, Any]] = json.loads(answer.data)["errors"]
    return errors


@pytest.mark.parametrize("bundle", ["nsl-kdd", "nsl-kdd-flow"])
def test_a_flood_is_an_attack_and_a_web_page_is_not(client_of: Any, bundle: str) -> None:
    rows = client_of(bundle).post("/v1/score", json={"rows": [WEB, FLOOD]}).json["rows"]
    assert [row["verdict"] for row in rows] == ["benign", "attack"]
    assert rows[1]["label"] == "DoS"
    assert {reason["name"] for reason in rows[1]["reasons"]} <= set(NAMES)


def test_records_are_judged_as_the_model_judges_them(client_of: Any) -> None:
    hybrid = load_bundle(bundle_path(None).parent / "nsl-kdd", kdd_contract(content=True))
    values = np.array(
        [[SYMBOLS[name].index(row[name]) if name in SYMBOLS else row[name] for name in NAMES] for row in (WEB, FLOOD)],
        dtype=np.float64,
    )
    zeros = np.zeros(2, dtype=np.int64)
    judgement = hybrid.judge(FlowSteps(values, np.zeros((2, 2), dtype=np.int64), zeros, zeros.astype(np.bool_)), 0.01)
    rows = client_of("nsl-kdd").post("/v1/score", json={"rows": [WEB, FLOOD]}).json["rows"]
    assert [row["p"]["known"] for row in rows] == judgement.p_known.tolist()
    assert [row["p"]["novel"] for row in rows] == judgement.p_novel.tolist()


def test_a_service_may_be_unheard_of_but_a_protocol_or_flag_may_not(client_of: Any) -> None:
    client = client_of("nsl-kdd")
    assert client.post("/v1/score", json={"rows": [WEB | {"service": "quic"}]}).status_code == 200
    for name in ("protocol_type", "flag"):
        [error] = refused(client, WEB | {name: "quic"})
        assert error["column"] == name
        assert "expected one of" in error["detail"]
    [error] = refused(client, WEB | {"service": 3})
    assert error["column"] == "service"


@pytest.mark.parametrize(
    ("name", "value"), [("serror_rate", 1.5), ("count", -1), ("land", 2), ("logged_in", 0.5), ("duration", True)]
)
def test_a_value_out_of_range_is_named(client_of: Any, name: str, value: object) -> None:
    [error] = refused(client_of("nsl-kdd"), WEB | {name: value})
    assert error["column"] == name


def test_missing_and_unknown_names_are_named(client_of: Any) -> None:
    row = {("srv_cnt" if name == "srv_count" else name): cell for name, cell in WEB.items()}
    errors = refused(client_of("nsl-kdd"), row)
    assert {(error["column"], error["detail"][:7]) for error in errors} == {
        ("srv_count", "missing"),
        ("srv_cnt", "unknown"),
    }


def test_a_model_without_content_columns_takes_records_with_and_without_them(client_of: Any) -> None:
    client = client_of("nsl-kdd-flow")
    bare = {column.name: FLOOD[column.name] for column in KDD_COLUMNS if column.group != "content"}
    answers = [client.post("/v1/score", json={"rows": [row]}).json["rows"] for row in (FLOOD, bare)]
    assert answers[0] == answers[1]
    assert len(refused(client_of("nsl-kdd"), bare)) == 13


def test_the_document_s_example_is_scored(client_of: Any) -> None:
    for bundle in ("default", "cic2017", "nsl-kdd", "nsl-kdd-flow"):
        client = client_of(bundle)
        document = client.get("/openapi.json").json
        body = document["paths"]["/v1/score"]["post"]["requestBody"]["content"]["application/json"]
        assert client.post("/v1/score", json=body["example"]).status_code == 200

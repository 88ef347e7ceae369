"""Scores by a model that uses columns of context: rows may be without them, or bring them along."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.context.columns import CONTEXT_NAMES, without_context
from flows.context.context import Context
from models.bundle import save_bundle
from models.detector import FlowSteps
from models.fusion import Hybrid
from sensor.synth.generate import generate
from sensor.synth.pcap import pcap_bytes
from sensor.synth.scenarios.portscan import PORTSCAN
from tests.support.context_bundles import context_hybrid, with_a_scan
from tests.support.served import rows_of

BATCH = with_a_scan()
USED = ("src_flows_10s", "src_failed_share_10m", "src_ports_10m", "pair_gaps", "svc_surge")


@pytest.fixture(scope="module")
def hybrid() -> Hybrid:
    return context_hybrid()


@pytest.fixture(scope="module")
def client(client_of: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, hybrid: Hybrid) -> Any:
    """Of the application with a model whose context may be masked."""
    path = tmp_path_factory.mktemp("bundles")
    save_bundle(path, hybrid, {})
    return client_of(str(path))


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """The flows, each by itself."""
    return [{k: v for k, v in row.items() if k not in ("src_address", "start")} for row in rows_of(BATCH)]


@pytest.fixture(scope="module")
def whole(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The flows with all of their context, by name."""
    context = Context(4096, 1).observe(BATCH)
    return [
        row | dict(zip(CONTEXT_NAMES, cells, strict=True)) for row, cells in zip(rows, context.tolist(), strict=True)
    ]


def scored(client: Any, rows: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    answer = client.post("/v1/score", json={"rows": rows, **options})
    assert answer.status_code == 200, answer.data
    document: dict[str, Any] = json.loads(answer.data)
    return document


def judged(hybrid: Hybrid, values: np.ndarray, *, masked: bool) -> list[float]:
    n = len(values)
    nobody = np.full((n, 2), -1, dtype=np.int64)
    steps = FlowSteps(values, nobody, np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.bool_), masked=masked)
    p_known: list[float] = hybrid.judge(steps).p_known.tolist()
    return p_known


def test_rows_of_flow_columns_alone_are_scored_with_their_context_masked(
    client: Any, hybrid: Hybrid, rows: list[dict[str, Any]]
) -> None:
    document = scored(client, rows, reasons="none")
    assert set(document["assumed"]) == set(USED)
    expected = judged(hybrid, without_context(BATCH.values), masked=True)
    assert [row["p"]["known"] for row in document["rows"]] == expected


def test_rows_that_bring_their_context_are_scored_by_it(
    client: Any, hybrid: Hybrid, whole: list[dict[str, Any]]
) -> None:
    document = scored(client, whole, reasons="none")
    assert document["assumed"] == []
    expected = judged(hybrid, Context(4096, 1).columns(BATCH), masked=False)
    assert [row["p"]["known"] for row in document["rows"]] == expected
    assert "attack" in {row["verdict"] for row in document["rows"]}


def test_a_column_of_context_may_come_alone(client: Any, whole: list[dict[str, Any]]) -> None:
    some = [{k: v for k, v in row.items() if k not in CONTEXT_NAMES or k == "src_ports_10m"} for row in whole]
    assert set(scored(client, some, reasons="none")["assumed"]) == set(USED) - {"src_ports_10m"}


def test_reasons_name_columns_of_context_that_are_known_and_no_others(client: Any, whole: list[dict[str, Any]]) -> None:
    for reasons in ("full", "quick"):
        told = [
            {reason["name"] for reason in row.get("reasons", ())}
            for row in scored(client, whole, rate=0.01, reasons=reasons)["rows"]
        ]
        assert any(names & set(USED) for names in told)
        some = [{k: v for k, v in row.items() if k not in USED or k == "src_ports_10m"} for row in whole]
        told = [
            {reason["name"] for reason in row.get("reasons", ())}
            for row in scored(client, some, rate=0.01, reasons=reasons)["rows"]
        ]
        assert any(told)
        assert not any(names & (set(USED) - {"src_ports_10m"}) for names in told)


def test_a_reason_from_context_is_said_in_words(client: Any, whole: list[dict[str, Any]]) -> None:
    said = [reason for row in scored(client, whole)["rows"] for reason in row.get("reasons", ())]
    assert any(reason["text"].startswith("different ports that the source asked") for reason in said)
    assert all(isinstance(reason["value"], float | int) for reason in said)


def test_the_model_says_which_columns_are_optional(client: Any, client_of: Callable[..., Any]) -> None:
    assert set(client.get("/v1/model").json["optional"]) == set(USED)
    assert client_of("cic2017").get("/v1/model").json["optional"] == []
    assert set(client_of().get("/v1/model").json["optional"]) <= set(CONTEXT_NAMES)
    row = client.get("/openapi.json").json["paths"]["/v1/score"]["post"]["requestBody"]["content"]["application/json"]
    schema = row["schema"]["properties"]["rows"]["items"]
    assert not set(schema["required"]) & set(CONTEXT_NAMES)
    assert set(CONTEXT_NAMES) <= set(schema["properties"])
    assert set(row["example"]["rows"][0]) == set(schema["required"])
    assert "may be left out by all rows together" in schema["description"]


def test_answers_are_as_documented(client: Any, rows: list[dict[str, Any]]) -> None:
    from sensor.api import schemas

    schemas.Scores.model_validate(client.post("/v1/score", json={"rows": rows[:50]}).json)
    schemas.Model.model_validate(client.get("/v1/model").json)


@pytest.mark.parametrize(
    ("cell", "words"),
    [("NaN", "number"), ("Infinity", "number"), ("1e999", "number"), ("null", "null, expected a number"),
     ('"12"', "text, expected a number"), ("[1]", "list, expected a number"), ("true", "truth value")],
)  # fmt: skip
def test_context_that_is_no_number_is_refused(client: Any, rows: list[dict[str, Any]], cell: str, words: str) -> None:
    body = json.dumps({"rows": [rows[0] | {"src_ports_10m": "CELL"}]}).replace('"CELL"', cell)
    answer = client.post("/v1/score", data=body, content_type="application/json")
    assert answer.status_code in (400, 422)
    assert answer.mimetype == "application/problem+json"
    assert words in answer.data.decode() or answer.status_code == 400


@pytest.mark.parametrize("cell", ["nan", "inf", "-inf", "1e999"])
def test_a_table_whose_context_is_no_number_is_refused(client: Any, rows: list[dict[str, Any]], cell: str) -> None:
    row = {**rows[0], "src_ports_10m": cell}
    text = ",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n"
    answer = client.post("/", data={"text": text})
    assert answer.status_code == 422
    assert "not finite" in answer.text
    assert "src_ports_10m" in answer.text


def test_rows_of_which_some_bring_context_are_refused(client: Any, rows: list[dict[str, Any]]) -> None:
    answer = client.post("/v1/score", json={"rows": [rows[0], rows[1] | {"src_ports_10m": 1.0}]})
    assert answer.status_code == 422
    assert "the first row does not have it" in answer.data.decode()


def test_an_unknown_column_is_told_with_the_one_that_may_be_meant(client: Any, rows: list[dict[str, Any]]) -> None:
    answer = client.post("/v1/score", json={"rows": [rows[0] | {"src_port_10m": 1.0}]})
    assert answer.status_code == 422
    assert "src_ports_10m" in answer.data.decode()


def test_a_pasted_table_without_context_says_what_it_was_scored_without(
    client: Any, rows: list[dict[str, Any]]
) -> None:
    text = ",".join(rows[0]) + "\n" + "\n".join(",".join(map(str, row.values())) for row in rows[:5]) + "\n"
    answer = client.post("/", data={"text": text})
    assert answer.status_code == 200
    assert "scored without what hosts did before: src_flows_10s" in answer.text


def test_a_capture_has_its_context(client: Any) -> None:
    capture = pcap_bytes(generate([PORTSCAN], seed=5, minutes=2.0).packets)
    answer = client.post("/", data={"file": (BytesIO(capture), "scan.pcap")})
    assert answer.status_code == 200
    assert "scored without" not in answer.text
    assert "src_failed_share_10m" in answer.text


def test_a_model_that_cannot_mask_needs_the_context_that_it_uses(
    client_of: Callable[..., Any], tmp_path: Path, rows: list[dict[str, Any]], whole: list[dict[str, Any]]
) -> None:
    save_bundle(tmp_path, context_hybrid(masked=False), {})
    strict = client_of(str(tmp_path))
    assert strict.get("/v1/model").json["optional"] == []
    answer = strict.post("/v1/score", json={"rows": rows[:1]})
    assert answer.status_code == 422
    assert {error["column"] for error in answer.json["errors"]} == set(USED)
    assert strict.post("/v1/score", json={"rows": whole[:1]}).status_code == 200

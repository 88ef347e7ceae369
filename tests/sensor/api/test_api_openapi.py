"""The OpenAPI document, and requests that schemathesis makes up from it."""

import sys
from typing import Any

import pytest

from tests.support.served import Served


def test_the_document_names_every_route_and_what_it_answers(client: Any) -> None:
    document = client.get("/openapi.json").json
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {"/v1/score", "/v1/captures", "/v1/model", "/healthz", "/readyz", "/metrics"}
    score = document["paths"]["/v1/score"]["post"]
    assert {"200", "400", "401", "413", "415", "422"} <= set(score["responses"])
    assert "application/problem+json" in score["responses"]["422"]["content"]
    row = score["requestBody"]["content"]["application/json"]["schema"]["properties"]["rows"]["items"]
    assert "flow_duration" in row["required"]
    captures = document["paths"]["/v1/captures"]["post"]
    assert "application/vnd.tcpdump.pcap" in captures["requestBody"]["content"]
    assert {"200", "401", "413", "415", "422", "503"} <= set(captures["responses"])
    alert = document["components"]["schemas"]["CaptureAlert"]["properties"]["alert"]
    assert "event" in alert["required"]


def test_answers_are_as_documented(client: Any, scan_rows: list[dict[str, Any]]) -> None:
    from sensor.api import schemas

    schemas.Scores.model_validate(client.post("/v1/score", json={"rows": scan_rows}).json)
    schemas.Model.model_validate(client.get("/v1/model").json)
    schemas.ProblemDetails.model_validate(client.post("/v1/score", json={"rows": [{"a": 1}]}).json)


def test_schemathesis_finds_no_error_of_the_server(server: Served) -> None:
    pytest.importorskip("schemathesis")
    import subprocess

    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    run = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "--checks", checks,
         "--max-examples", "40", "--seed", "1", "--no-color", "--suppress-health-check", "all"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-1000:]

"""What the API refuses: always 4xx, always problem details, always naming what is wrong."""

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.api.problems import Problem

JSON = {"content_type": "application/json"}


def refused(client: Any, body: bytes | str, status: int, **extra: Any) -> dict[str, Any]:
    answer = client.post("/v1/score", data=body, **(JSON | extra))
    assert answer.status_code == status, answer.data
    assert answer.mimetype == "application/problem+json"
    problem: dict[str, Any] = json.loads(answer.data)
    assert problem["status"] == status
    assert problem["type"] == "about:blank"
    assert problem["title"]
    return problem


@pytest.mark.parametrize(
    "body",
    [
        "", "{", "[NaN]", '{"rows": [{"a": Infinity}]}', '{"rows": [{"a": 1e400}]}', '{"rows": [{"a": 01}]}',
        "[" * 5000 + "]" * 5000, b'{"rows": [{"a": "\xff"}]}', '{"rows": [{"a": "\\ud800"}]}', "\x00",
        '{"rows": [{"a": ' + "9" * 400 + "}]}", '{"rows": []} x', b'\xef\xbb\xbf{"rows": []}',
    ],
)  # fmt: skip
def test_what_is_no_json_is_a_bad_request(client: Any, body: bytes | str) -> None:
    assert "no JSON" in refused(client, body, 400)["detail"]


@pytest.mark.parametrize("body", ["[]", "null", "1", '"rows"', "{}", '{"rows": 1}', '{"rows": null}', '{"rows": []}'])
def test_a_body_of_another_form_says_what_is_expected(client: Any, body: str) -> None:
    assert "expected" in refused(client, body, 422)["detail"]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ('{"rows": [{"flow_duration": 1, "flow_duration": 2}]}', "flow_duration"),
        ('{"rows": [{"a": 1}], "rows": [{"b": 1}]}', "rows"),
        ('{"rows": [{"a" : 1, "a"\\n: 1}]}'.replace("\\n", "\n"), "a"),
        ('{"rows": [{"a": {"b": 1, "b": 2}}]}', "b"),
    ],
)
def test_a_repeated_key_is_named(client: Any, body: str, name: str) -> None:
    assert refused(client, body, 400)["errors"] == [{"detail": "twice in one object", "column": name}]


@pytest.mark.parametrize("wrong", [True, False, None, "1", [], [1], {}, {"a": 1}, [[[]]]])
def test_a_cell_that_is_no_number_is_named_with_its_row(
    client: Any, normal_rows: list[dict[str, Any]], wrong: object
) -> None:
    rows = [normal_rows[0], normal_rows[1] | {"fwd_bytes": wrong}]
    [error] = refused(client, json.dumps({"rows": rows}), 422)["errors"]
    assert (error["row"], error["column"]) == (1, "fwd_bytes")


def test_missing_and_unknown_columns_are_named(client: Any, normal_rows: list[dict[str, Any]]) -> None:
    row = dict(normal_rows[0])
    del row["fwd_bytes"]
    assert refused(client, json.dumps({"rows": [row]}), 422)["errors"] == [
        {"detail": "missing", "row": 0, "column": "fwd_bytes"}
    ]
    [error] = refused(client, json.dumps({"rows": [normal_rows[0] | {"fwd_bites": 1}]}), 422)["errors"]
    assert error["column"] == "fwd_bites"
    assert "fwd_bytes" in error["detail"]


def test_rows_of_different_columns_are_refused(client: Any, normal_rows: list[dict[str, Any]]) -> None:
    row = dict(normal_rows[1])
    del row["fwd_bytes"]
    [error] = refused(client, json.dumps({"rows": [normal_rows[0], row]}), 422)["errors"]
    assert (error["row"], error["column"]) == (1, "fwd_bytes")


def test_too_many_rows_are_too_large(client: Any) -> None:
    assert "10,000" in refused(client, json.dumps({"rows": [{}] * 10_001}), 413)["detail"]


def test_another_content_type_is_unsupported(client: Any) -> None:
    refused(client, "{}", 415, content_type="text/plain")
    refused(client, "{}", 415, content_type="multipart/form-data; boundary=x")


def test_a_rate_without_threshold_names_those_there_are(client: Any, normal_rows: list[dict[str, Any]]) -> None:
    body = {"rows": normal_rows[:1], "rate": 0.02}
    assert "0.001, 0.01, 0.05" in refused(client, json.dumps(body), 422)["detail"]
    for rate in ("0.01", True, [], {}):
        refused(client, json.dumps(body | {"rate": rate}), 422)


@pytest.mark.parametrize(("source", "time"), [("nobody", 1), (1, 1), ("::1", "yesterday"), ("::1", -1), ("::1", 1e30)])
def test_a_source_or_time_that_is_none_is_named(
    client: Any, normal_rows: list[dict[str, Any]], source: object, time: object
) -> None:
    [error] = refused(client, json.dumps({"rows": [normal_rows[0] | {"source": source, "time": time}]}), 422)["errors"]
    assert error["column"] in ("source", "time")
    refused(client, json.dumps({"rows": [normal_rows[0] | {"source": "::1"}]}), 422)


def test_other_paths_and_methods_are_problems_too(client: Any) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("GET", "/v1/score", 405), ("DELETE", "/", 405)):
        answer = client.open(path, method=method)
        assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert "POST" in client.get("/v1/score").headers["Allow"]


@given(st.binary(max_size=200) | st.from_regex(rb'\{"rows": ?\[\{("[a-z_"]{1,9}":[0-9tn\[{"]{1,5},?){0,3}\}\]\}'))
def test_no_body_is_an_error_of_the_server(client_of: Any, body: bytes) -> None:
    assert 400 <= client_of().post("/v1/score", data=body, content_type="application/json").status_code < 500


def test_a_server_without_a_sensor_says_how_to_show_one(client: Any) -> None:
    assert client.get("/live").json["detail"].endswith("serve shows a sensor with --attach SOCKET")


@pytest.mark.parametrize("item", [b"[" * 12 + b"]" * 12, b'{"a":' * 12 + b"1" + b"}" * 12])
def test_a_body_of_many_small_things_is_refused_before_they_are_made(client: Any, item: bytes) -> None:
    body = b'{"rows": [[' + b",".join([item] * 10_000) + b"]]}"
    assert "objects and lists" in refused(client, body, 413)["detail"]


def peak_bytes(work: Callable[[], object]) -> int:
    """What Python takes for some work at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_long_name_or_address_is_not_taken_apart() -> None:
    from sensor.api.json_rows import meant
    from sensor.api.samples import parse_addresses

    def parse() -> None:
        with pytest.raises(Problem, match="no IPv4 or IPv6 address"):
            parse_addresses(["10." * 300_000], "source")

    name = "ab" * 100_000
    assert peak_bytes(lambda: meant(name, ["flow_duration"], [])) < 10_000
    assert peak_bytes(parse) < 4_000_000

"""Who may ask: tokens, names and origins, and where the server may listen at all."""

import json
from pathlib import Path
from typing import Any

import pytest

from sensor.api.listening import parse_listen_address, read_token
from sensor.errors import ConfigError
from tests.support.command import flowvigil

TOKEN = "0123456789abcdef" * 4


@pytest.mark.parametrize("path", ["/v1/model", "/metrics"])
def test_a_token_opens_what_is_behind_it(client_of: Any, path: str) -> None:
    client = client_of(token=TOKEN)
    for shown in (None, "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer \xe9"):
        answer = client.get(path, headers={"Authorization": shown} if shown else {})
        assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
        assert "Bearer" in answer.headers["WWW-Authenticate"]
        assert TOKEN not in answer.text
    assert client.get(path, headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200


def test_without_the_token_nothing_is_scored(client_of: Any) -> None:
    client = client_of(token=TOKEN)
    assert client.post("/v1/score", json={"rows": []}).status_code == 401
    for sent in ({"text": "a,b"}, {"text": "a,b", "token": "x"}):
        assert client.post("/", data=sent).status_code == 401
    assert client.post("/", data={"text": "a,b", "token": TOKEN}).status_code == 422


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/healthz", "/readyz", "/page/style.css"])
def test_what_holds_no_data_needs_no_token(client_of: Any, path: str) -> None:
    assert client_of(token=TOKEN).get(path).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1", "[::2]:1"])
def test_another_name_is_misdirected(client: Any, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:9", "[::1]:8080"])
def test_this_machine_s_names_are_answered(client: Any, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
     {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://localhost:9"}],
)  # fmt: skip
def test_another_site_s_page_may_not_post(client: Any, headers: dict[str, str]) -> None:
    for path in ("/", "/v1/score"):
        assert client.post(path, data={"text": "a"}, headers=headers).status_code == 403


def test_its_own_page_may(client: Any) -> None:
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/", data={"text": "a"}, headers=headers).status_code == 422


def test_another_site_s_page_may_not_have_data_made(client: Any) -> None:
    elsewhere = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"}
    for path, status in (("/v1/model", 403), ("/metrics", 403), ("/", 200), ("/page/page.js", 200)):
        assert client.get(path, headers=elsewhere).status_code == status
    assert client.get("/v1/model", headers=elsewhere | {"Sec-Fetch-Dest": "iframe"}).status_code == 403
    assert client.get("/v1/model", headers=elsewhere | {"Sec-Fetch-Dest": "document"}).status_code == 200  # a link
    assert client.get("/v1/model", headers=elsewhere | {"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_every_answer_forbids_scripts_from_elsewhere(client: Any) -> None:
    for path in ("/", "/docs", "/nowhere", "/healthz"):
        policy = client.get(path).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-eval" not in policy


@pytest.mark.parametrize(
    "text", ["8080", ":8080", "localhost", "localhost:", "a:b", "1:70000", "::1:80", "unix:", "[::1]"]
)
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--listen .*expected|is none"):
        parse_listen_address(text)


@pytest.mark.parametrize(
    ("text", "own"),
    [("127.0.0.1:0", True), ("[::1]:80", True), ("localhost:80", True), ("127.9.9.9:1", True), ("unix:/x", True),
     ("0.0.0.0:80", False), ("[::]:80", False), ("10.0.0.1:80", False), ("localhost.example:80", False)],
)  # fmt: skip
def test_only_this_machine_s_addresses_are_its_own(text: str, own: bool) -> None:
    assert parse_listen_address(text).is_local is own
    assert str(parse_listen_address(text)) == text


def test_another_address_without_a_token_is_refused_before_anything_is_loaded() -> None:
    run = flowvigil("serve", "--listen", "0.0.0.0:0", "-m", "/nowhere")
    assert run.code == 3
    assert len(run.stderr) == 1
    assert "--token-file" in run.stderr[0]
    assert "FLOWVIGIL_TOKEN" in run.stderr[0]


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 31, b"x" * 600, b"a b" * 20, b"\xff" * 40])
def test_a_bad_token_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        read_token(path, {})
    with pytest.raises(ConfigError):
        read_token(tmp_path / "nowhere", {})


def test_the_file_s_token_comes_before_the_environment_s(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    assert read_token(path, {"FLOWVIGIL_TOKEN": "y" * 40}) == TOKEN
    assert read_token(None, {"FLOWVIGIL_TOKEN": "y" * 40}) == "y" * 40
    assert read_token(None, {}) is None


def test_problems_are_not_taken_for_pages(client: Any) -> None:
    answer = client.get("/<script>alert(1)</script>")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert json.loads(answer.data)["status"] == 404

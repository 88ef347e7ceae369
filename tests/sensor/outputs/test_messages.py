"""Webhook and mail: real receivers, every alert told once or counted, hostile text harmless, secrets kept."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from itertools import chain
from pathlib import Path

import orjson
import pytest

from sensor.alerts.alert_record import alert_line
from sensor.errors import ConfigError
from sensor.outputs.batch_text import BatchTemplate, batch_of
from sensor.outputs.batches import AskedToWaitError, BatchTransport, BodyRefusedError, Pace
from sensor.outputs.mail import MailCourier, MailServer
from sensor.outputs.messages import mail_body
from sensor.outputs.outputs import Outputs, prepared_outputs
from sensor.outputs.transport import MessageRefusedError
from sensor.outputs.webhook import WebhookCourier, cut_off_after
from sensor.settings.outputs import MailEntry, OutputEntry, WebhookEntry
from tests.support.alerts import an_alert
from tests.support.certificates import Authority
from tests.support.posts import hooks, postbox
from tests.support.receivers import free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.ux

LONG_S = 20.0
MARKUP = '<script>alert(1)</script><!channel> "quoted" ${secret} $text'
HOSTILE = f"x\r\nBcc: all@example.net\r\n\r\n{MARKUP} \x1b[31m \u202egnp.exe"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages may follow each other by a tenth of a second."""
    monkeypatch.setattr("sensor.outputs.batches.HOUR_S", 360.0)


def lines(count: int, **fields: object) -> list[bytes]:
    return [alert_line(an_alert(sequence=number, id=f"{number:026}", **fields)) for number in range(1, count + 1)]


def started(*entries: OutputEntry) -> Outputs:
    return Outputs(prepared_outputs(entries, "gw1"))


def webhook(url: str, **fields: object) -> WebhookEntry:
    return WebhookEntry.model_validate({"type": "webhook", "url": url, "batch_s": 0.1, "per_hour": 3600, **fields})


def mail(port: int, **fields: object) -> MailEntry:
    known = {"type": "mail", "host": "127.0.0.1", "port": port, "security": "none", "sender": "ids@example.net",
             "recipients": "soc@example.net, boss@example.net", "batch_s": 0.1, "per_hour": 3600}  # fmt: skip
    return MailEntry.model_validate(known | fields)


def sequences(body: bytes) -> list[int]:
    return [alert["event"]["sequence"] for alert in json.loads(body)["alerts"]]


def test_alerts_that_come_together_are_one_body_and_only_those_asked_for() -> None:
    with hooks() as server:
        outputs = started(webhook(server.url + "/in?a=b", min_severity=40))
        outputs.write(lines(5))
        outputs.write([alert_line(an_alert(severity=39)), alert_line(an_alert(action="closed", id="C" * 26))])
        outputs.write([orjson.dumps({"flowvigil": {"schema": "stats/1"}}) + b"\n"])
        outputs.close(LONG_S)
    path, headers, body = server.taken[0]
    assert (path, headers["Content-Type"]) == ("/in?a=b", "application/json")
    assert sequences(body) == [1, 2, 3, 4, 5]
    assert len(server.taken) == 1
    assert outputs.lost == 0
    assert outputs.states()[0].written == 8


@pytest.mark.usefixtures("hurried")
def test_an_alert_that_becomes_as_severe_as_asked_is_told_then_and_once() -> None:
    names = ("U" * 26, "M" * 26, "Q" * 26)
    opened = [alert_line(an_alert(id=name, sequence=number, severity=1)) for number, name in enumerate(names, 1)]
    later = [
        alert_line(an_alert(id=name, sequence=10 + number, severity=severity, action=action))
        for number, (name, severity, action) in enumerate(
            [(names[0], 80, "updated"), (names[0], 80, "updated"), (names[1], 80, "closed"), (names[2], 39, "updated")]
        )
    ]
    with hooks((500, {}), (204, {})) as server:
        outputs = started(webhook(server.url, min_severity=40))
        outputs.write([*opened, *later])
        wait_until(lambda: bool(server.taken))
        outputs.close(LONG_S)
    assert [sequences(body) for body in server.refused] == [[10, 12]]
    assert [sequences(body) for _, _, body in server.taken] == [[10, 12]]
    assert (outputs.lost, outputs.states()[0].written) == (0, 7)


def test_a_body_has_no_more_records_than_agreed_and_the_others_follow() -> None:
    with hooks() as server:
        outputs = started(webhook(server.url, batch_alerts=2))
        outputs.write(lines(5))
        outputs.close(LONG_S)
    assert [sequences(body) for _, _, body in server.taken] == [[1, 2], [3, 4], [5]]


def bodies_a_minute(url: str, batch_s: float, clock: Callable[[], float]) -> BatchTransport:
    """To a webhook, at most one body a minute of what has come in batch_s."""
    return BatchTransport(
        WebhookCourier(url, {}, None),
        lambda messages: (b",".join(messages), len(messages)),
        Pace(batch_s, 60),
        clock,
    )


def test_bodies_keep_their_distance() -> None:
    with hooks() as server:
        now = [0.0]
        transport = bodies_a_minute(server.url, 10.0, lambda: now[0])
        sent_at = []
        for second in range(200):
            now[0] = float(second)
            transport.offer([b"%d" % second])
            before = len(server.taken)
            transport.flush(0.0)
            sent_at += [second] * (len(server.taken) - before)
    assert sent_at == [10, 70, 130, 190]


def test_a_receiver_that_fails_gets_a_body_again_no_oftener_than_agreed() -> None:
    with hooks((500, {})) as server:
        now = [0.0]
        transport = bodies_a_minute(server.url, 0.0, lambda: now[0])
        tried_at = []
        for second in range(300):
            now[0] = float(second)
            if transport.idle():
                transport.offer([b"1"])
            before = len(server.refused)
            with suppress(ConnectionError):
                transport.flush(0.0)
            if len(server.refused) > before:
                tried_at.append(second)
                transport.break_off()
    assert tried_at == [0, 5, 15, 35, 75, 135, 195, 255]


def test_alerts_that_a_receiver_refuses_one_by_one_are_lost_no_faster_than_they_would_be_told() -> None:
    with hooks((400, {})) as server:
        now = [0.0]
        transport = bodies_a_minute(server.url, 0.0, lambda: now[0])
        transport.offer([b"1"] * 8)
        lost_at = []
        for second in range(200):
            now[0] = float(second)
            try:
                transport.flush(0.0)
            except MessageRefusedError:
                lost_at.append(second)
    assert lost_at == [3, 63, 123, 183]
    assert len(server.refused) == 7  # the first three looked for the one that is refused


def test_what_waits_for_a_receiver_that_fails_stays_in_the_queue_that_has_a_bound() -> None:
    unwanted = alert_line(an_alert(action="updated", reason="x" * 4000))
    with hooks((403, {})) as server:
        outputs = started(webhook(server.url, batch_s=1, queue_bytes=1 << 20))
        outputs.write(lines(1))
        wait_until(lambda: len(server.refused) > 1)
        for _ in range(40):
            outputs.write([unwanted] * 30)
            time.sleep(0.02)  # in which it would take them on
        assert outputs.lost > 0
        assert outputs.states()[0].queued < 400
        outputs.close(0.0)


def test_lines_that_a_receiver_is_not_to_have_take_no_room_from_those_that_it_is() -> None:
    account = orjson.dumps({"flowvigil": {"schema": "stats/1"}, "filling": "x" * 4000}) + b"\n"
    outputs = started(webhook(f"http://127.0.0.1:{free_port()}", queue_bytes=1 << 16))
    outputs.write([account] * 100)
    outputs.write(lines(3))
    assert (outputs.states()[0].written, outputs.states()[0].queued, outputs.lost) == (100, 3, 0)
    outputs.close(0.1)
    assert outputs.lost == 3


def test_waiting_for_the_next_message_takes_no_time_of_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.outputs.batches.MOST_COLLECTED", 4)
    with hooks() as server:
        outputs = started(webhook(server.url, batch_s=0, batch_alerts=1, per_hour=1))
        outputs.write(lines(20))
        wait_until(lambda: bool(server.taken))
        began_s = time.process_time()
        time.sleep(0.6)
        assert time.process_time() - began_s < 0.3
        outputs.close(0.0)


def test_a_receiver_that_refuses_for_a_while_misses_nothing_and_is_left_alone_as_it_asks(tmp_path: Path) -> None:
    with hooks((500, {}), (429, {"Retry-After": "1"}), (204, {})) as server:
        outputs = started(webhook(server.url, spool=tmp_path / "spool"))
        outputs.write(lines(3))
        wait_until(lambda: len(server.refused) == 2)
        asked_s = time.monotonic()
        wait_until(lambda: bool(server.taken))
        waited_s = time.monotonic() - asked_s
        outputs.close(LONG_S)
    assert [sequences(body) for _, _, body in server.taken] == [[1, 2, 3]]
    assert waited_s > 0.9
    assert outputs.lost == 0


@pytest.mark.usefixtures("hurried")
def test_a_receiver_that_answers_and_takes_nothing_is_told_at_once_and_once() -> None:
    told: list[tuple[str, str]] = []
    with hooks((404, {}), (404, {}), (404, {}), (204, {})) as server:
        outputs = started(webhook(server.url, batch_s=0))
        outputs.write(lines(1))
        wait_until(lambda: told.extend(outputs.news()) or bool(told))
        assert told == [("output-failed", f"webhook {server.url}: answers 404 not found: because\\x1b[31m")]
        outputs.write(lines(1))
        wait_until(lambda: told.extend(outputs.news()) or len(told) > 1)
        outputs.close(LONG_S)
    assert told[1:] == [("output-goes-on", f"webhook {server.url}: goes on, no lines lost")]
    assert len(server.refused) == 3
    assert outputs.lost == 0


@pytest.mark.usefixtures("hurried")
def test_an_output_whose_receiver_answers_and_takes_nothing_is_down_until_it_takes_what_waits() -> None:
    with hooks((403, {}), (403, {}), (204, {})) as server:
        outputs = started(webhook(server.url, batch_s=0.3))
        wait_until(lambda: outputs.states()[0].up)
        outputs.write(lines(1))
        wait_until(lambda: bool(server.refused) and not outputs.states()[0].up)
        told = set()

        def is_taken() -> bool:
            state = outputs.states()[0]
            if not server.taken:
                told.add(state.up)
            return bool(server.taken)

        wait_until(is_taken)
        assert told == {False}
        wait_until(lambda: outputs.states()[0].up)
        outputs.close(LONG_S)


@pytest.mark.usefixtures("hurried")
def test_an_alert_that_a_receiver_never_takes_costs_no_other() -> None:
    with hooks() as server:
        outputs = started(webhook(server.url, per_hour=3600, batch_s=0))
        outputs.write([*lines(3), alert_line(an_alert(sequence=4, reason="poison")), *lines(2)])
        wait_until(lambda: sum(len(sequences(body)) for _, _, body in server.taken) == 5)
        outputs.close(LONG_S)
    assert outputs.lost == 1
    assert outputs.states()[0].written == 5
    assert "answers 422" in outputs.problems[0]
    assert "\x1b" not in outputs.problems[0]


def test_an_alert_that_a_receiver_never_takes_costs_no_other_at_the_end_either() -> None:
    with hooks() as server:
        outputs = started(webhook(server.url, batch_s=3600))
        outputs.write([*lines(3), alert_line(an_alert(sequence=4, reason="poison")), *lines(2)])
        wait_until(lambda: outputs.states()[0].up)
        outputs.close(LONG_S)
    assert (outputs.lost, outputs.states()[0].written) == (1, 5)
    assert sorted(chain(*(sequences(body) for _, _, body in server.taken))) == [1, 1, 2, 2, 3]
    assert "answers 422" in outputs.problems[0]


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("said", [True, False])  # by the server's greeting, or only when it has the message
def test_mail_that_is_too_large_for_a_server_is_lost_alone(*, said: bool) -> None:
    short, long = lines(1)[0], alert_line(an_alert(sequence=2, reason="x" * 6000))
    most = sum(len(mail_body(mail(25))([line])[0]) for line in (short, long)) // 2
    with postbox(None, b"", most_bytes=most if said else 1 << 20) as box:
        box.refuse = lambda content: "552 too much" if len(content) > most else ""
        outputs = started(mail(box.port, batch_s=0))
        outputs.write([short, long, short])
        wait_until(lambda: outputs.lost == 1 and len(box.taken) == 2)
        outputs.close(LONG_S)
    assert (outputs.lost, outputs.states()[0].written) == (1, 2)
    assert "answers 552" in outputs.problems[0]


def test_what_no_receiver_took_by_the_end_counts_as_lost_without_a_spool() -> None:
    with hooks((500, {})) as server:
        outputs = started(webhook(server.url, batch_s=60))
        outputs.write(lines(3))
        wait_until(lambda: outputs.states()[0].up)
        outputs.close(1.0)
    assert outputs.lost == 3
    assert "3 lines lost" in outputs.problems[0]


def test_a_receiver_that_drips_its_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _ = server.accept()
        with connection:
            try:
                while True:
                    connection.sendall(b"H")
                    time.sleep(0.05)
            except OSError:
                return

    threading.Thread(target=drip, daemon=True).start()
    monkeypatch.setattr("sensor.outputs.webhook.ANSWER_S", 0.5)
    began_s = time.monotonic()
    with pytest.raises(OSError, match=r".+"):
        WebhookCourier(f"http://127.0.0.1:{server.getsockname()[1]}", {}, None).send(b"{}")
    assert time.monotonic() - began_s < 15
    server.close()


def test_a_receiver_that_answers_slowly_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.outputs.webhook.CONNECT_S", 0.2)
    monkeypatch.setattr("sensor.outputs.mail.CONNECT_S", 0.2)
    with hooks() as server, postbox() as box:
        server.think_s = box.think_s = 0.6
        outputs = started(webhook(server.url), mail(box.port))
        outputs.write(lines(1))
        wait_until(lambda: [state.written for state in outputs.states()] == [1, 1])
        outputs.close(LONG_S)
    assert (len(server.taken), len(box.taken), outputs.lost) == (1, 1, 0)


@contextmanager
def speaking(said: bytes, drops: bytes = b"") -> Iterator[int]:
    """Port of a server that says this to whoever connects, then drop by drop, and never closes for some seconds."""
    server = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def speak() -> None:
        with suppress(OSError), server.accept()[0] as connection:
            connection.sendall(said)
            for _ in range(400):
                if over.wait(0.05):
                    return
                connection.sendall(drops)

    thread = threading.Thread(target=speak, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        over.set()
        server.close()
        thread.join(LONG_S)


def test_what_was_answered_with_200_is_taken_whatever_comes_of_the_rest() -> None:
    with speaking(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of") as port:
        WebhookCourier(f"http://127.0.0.1:{port}", {}, None).send(b"{}")
    with speaking(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno chunk") as port:
        WebhookCourier(f"http://127.0.0.1:{port}", {}, None).send(b"{}")


def test_what_is_refused_is_refused_though_the_reason_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.outputs.webhook.ANSWER_S", 0.2)
    with speaking(b"HTTP/1.1 422 No\r\nContent-Length: 100\r\n\r\n") as port, pytest.raises(BodyRefusedError):
        WebhookCourier(f"http://127.0.0.1:{port}", {}, None).send(b"{}")


@pytest.mark.parametrize(
    ("asked", "least_s", "most_s"),
    [("7", 7, 7), (formatdate(time.time() + 1800, usegmt=True), 900, 1800), (formatdate(0, usegmt=True), 0, 0)],
    ids=["seconds", "date", "past"],
)
def test_a_receiver_says_in_seconds_or_by_a_date_when_it_is_to_be_asked_again(
    asked: str, least_s: float, most_s: float
) -> None:
    answer = f"HTTP/1.1 429 No\r\nContent-Length: 0\r\nRetry-After: {asked}\r\n\r\n".encode()
    with speaking(answer) as port, pytest.raises(AskedToWaitError) as told:
        WebhookCourier(f"http://127.0.0.1:{port}", {}, None).send(b"{}")
    assert least_s <= told.value.seconds <= most_s


@pytest.mark.parametrize("asked", ["", "soon", "-7", "Tue, 99 Foo 9999 99:99:99 GMT"])
def test_an_answer_that_says_neither_is_tried_again_as_any(asked: str) -> None:
    answer = f"HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: {asked}\r\n\r\n".encode()
    with speaking(answer) as port, pytest.raises(ConnectionError) as told:
        WebhookCourier(f"http://127.0.0.1:{port}", {}, None).send(b"{}")
    assert not isinstance(told.value, AskedToWaitError)


def test_an_answer_that_repeats_the_secret_does_not_carry_it_on() -> None:
    secret = "T0K/3N" * 30
    body = f"Cannot POST /hooks/{secret}".encode()
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with speaking(answer) as port, pytest.raises(OSError, match=r"answers 404 .*: Cannot POST /hooks/\$\{secret\}$"):
        WebhookCourier(f"http://127.0.0.1:{port}/hooks/{secret}", {}, None, secret).send(b"{}")


def test_a_mail_server_that_drips_its_greeting_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.outputs.mail.SMTP_S", 0.3)
    began_s = time.monotonic()
    with speaking(b"220-", b"x") as port, pytest.raises(OSError, match=r".+"):
        MailCourier(
            MailServer("127.0.0.1", port, "none", None, None, None), "a@example.net", ("b@example.net",)
        ).reach()
    assert time.monotonic() - began_s < 10


def test_who_is_cut_off_is_who_speaks_by_then() -> None:
    first, second = socket.socketpair(), socket.socketpair()
    speaks = [first[0]]
    with cut_off_after(0.1, lambda: speaks[0]):
        speaks[0] = second[0]  # such as one with TLS on top of the first
        second[1].settimeout(LONG_S)
        assert second[1].recv(1) == b""
    for one in (*first, *second):
        one.close()


def test_a_secret_goes_where_the_settings_say_and_stands_in_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("s3cret/x\n")
    monkeypatch.setenv("HOOK", "v4riable")
    with hooks() as server:
        outputs = started(
            webhook(server.url, secret_file=tmp_path / "token"),
            webhook(server.url + "/hook/${secret}", **{"secret_environment": "HOOK"}),
        )
        outputs.write(lines(1))
        outputs.close(LONG_S)
    told = {path: headers.get("Authorization") for path, headers, _ in server.taken}
    assert told == {"/": "Bearer s3cret/x", "/hook/v4riable": None}
    assert not any("s3cret" in state.name or "v4riable" in state.name for state in outputs.states())


@pytest.mark.parametrize("content", ["", "two\nlines", "umlaut \u00e4", "x" * 5000])
def test_a_secret_is_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(content)
    with pytest.raises(ConfigError, match="expected one line of printable ASCII"):
        started(webhook("http://127.0.0.1:9", secret_file=tmp_path / "token"))


def test_hostile_text_stays_text_in_a_webhook_by_a_template(tmp_path: Path) -> None:
    template = tmp_path / "chat.json"
    template.write_text('{"text": "${summary}\\n${text}", "count": ${count}, "records": ${alerts}}')
    with hooks() as server:
        outputs = started(webhook(server.url, template=template, batch_alerts=2))
        outputs.write(lines(3, reason=HOSTILE))
        outputs.close(LONG_S)
    told = json.loads(server.taken[0][2])
    assert told["count"] == 3
    assert "1 alert more" in told["text"]
    assert [record["event"]["sequence"] for record in told["records"]] == [1, 2]
    assert "&lt;!channel&gt;" in told["text"]
    assert not {"<", ">", "\x1b", "\u202e", "\r"} & set(told["text"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"text": "${nosuch}"}', "nosuch"),
        ('{"text": ${text}}', "no JSON"),
        ('{"first": ${first}}', "no JSON"),
        ('{"records": "${alerts}"}', "no JSON"),
        ('{"text": "costs $ 5"}', "without a name"),
        ("plain", "no JSON"),
    ],
)
def test_a_template_that_cannot_work_stops_the_start(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(ConfigError, match=words):
        started(webhook("http://127.0.0.1:9", template=tmp_path / "t.json"))


def test_mail_reaches_everybody_as_text_and_html_over_tls_with_a_password(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    (tmp_path / "password").write_text("correct horse\n")
    with postbox(authority.identity("localhost"), b"correct horse") as box:
        entry = mail(box.port, host="localhost", security="starttls", ca=authority.ca, user="ids",
                     secret_file=tmp_path / "password")  # fmt: skip
        outputs = started(entry)
        outputs.write(lines(3))
        wait_until(lambda: bool(box.taken))
        outputs.close(LONG_S)
    sender, recipients, message = box.taken[0]
    assert (sender, recipients) == ("ids@example.net", ["soc@example.net", "boss@example.net"])
    assert box.tls == [True]
    assert set(box.logins) == {(b"ids", b"correct horse")}
    assert (
        message["Subject"]
        == "[flowvigil] 3 alerts (gw1), the worst: HIGH Password Guessing 192.0.2.10 -> 198.51.100.7:22"
    )
    assert message["Auto-Submitted"] == "auto-generated"
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().count("event.id 000") == 3
    assert html.get_content().count("<tr><td>HIGH") == 3
    assert outputs.lost == 0


def test_mail_is_given_to_no_server_that_cannot_be_trusted(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "authority"), Authority(tmp_path / "other")
    (tmp_path / "password").write_text("correct horse")
    with postbox(authority.identity("localhost"), b"correct horse") as box:
        outputs = started(mail(box.port, host="localhost", security="starttls", ca=other.ca, user="ids",
                               secret_file=tmp_path / "password"))  # fmt: skip
        outputs.write(lines(1))
        outputs.close(0.5)
    assert (box.taken, box.logins) == ([], [])
    assert "certificate" in outputs.problems[0]
    assert outputs.lost == 1


def test_hostile_text_stays_text_in_mail() -> None:
    with postbox() as box:
        outputs = started(mail(box.port))
        outputs.write(lines(1, reason=HOSTILE))
        outputs.close(LONG_S)
    message = box.taken[0][2]
    assert message["Bcc"] is None
    html = message.get_body(("html",))
    text = message.get_body(("plain",))
    assert html is not None
    assert text is not None
    assert "<script>" not in html.get_content()
    assert "&lt;script&gt;" in html.get_content()
    assert not {"\x1b", "\u202e"} & set(text.get_content() + html.get_content())


def test_no_header_can_be_added_by_what_an_alert_says() -> None:
    entry = mail(25)
    body, count = mail_body(entry)(lines(1, observer=an_alert().observer.__class__("gw\r\nBcc: x@example.net", "1")))
    head = body.partition(b"\r\n\r\n")[0]
    assert count == 1
    assert b"\r\nBcc:" not in head


@pytest.mark.usefixtures("hurried")
def test_mail_that_is_refused_for_now_comes_later_and_once() -> None:
    with postbox(None, b"", "451 later", "250 taken") as box:
        outputs = started(mail(box.port))
        outputs.write(lines(2))
        wait_until(lambda: bool(box.taken))
        outputs.close(LONG_S)
    assert len(box.taken) == 1
    assert outputs.lost == 0


@pytest.mark.usefixtures("hurried")
def test_a_recipient_who_is_refused_is_told_of_once_and_costs_the_others_nothing() -> None:
    told: list[tuple[str, str]] = []
    with postbox() as box:
        box.unknown = {"boss@example.net"}
        outputs = started(mail(box.port, batch_s=0))
        outputs.write(lines(1))
        wait_until(lambda: told.extend(outputs.news()) or len(told) == 2)
        outputs.write(lines(1))
        outputs.close(LONG_S)
        told += outputs.news()
    assert [recipients for _, recipients, _ in box.taken] == [["soc@example.net"]] * 2
    assert [action for action, _ in told] == ["output-failed", "output-goes-on"]
    assert told[0][1].endswith("takes no mail for boss@example.net: 550 no such user; the others have it")
    assert outputs.lost == 0


def test_a_recipient_who_is_refused_at_the_end_costs_no_line() -> None:
    with postbox() as box:
        box.unknown = {"boss@example.net"}
        outputs = started(mail(box.port, batch_s=3600))
        outputs.write(lines(1))
        outputs.close(LONG_S)
    assert (len(box.taken), outputs.lost) == (1, 0)


def test_the_worst_alerts_are_told_and_the_others_counted() -> None:
    quiet = lines(4, severity=40, risk=10.0)
    loud = [alert_line(an_alert(severity=80, id="L" * 26))]
    batch = batch_of([*quiet, *loud], 2)
    assert [alert.severity for alert in batch.alerts] == [80, 40]
    assert batch.summary.startswith("5 alerts (gw1), the worst: HIGH")
    assert "3 alerts more" in batch.text
    assert BatchTemplate("$$ ${count} ${more}", "text", "t").fill(batch) == "$ 5 3"

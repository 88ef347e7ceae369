"""GET /live: a running sensor on a page, by server-sent events, for a few who look and without a word to the sensor."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import alert_line
from sensor.api.admission import UNSENT
from sensor.api.live import MOST_UNSENT_BYTES, STREAMS, add_live
from sensor.api.live_feed import ALERTS_KEPT, WAITING, LiveFeed
from sensor.attach.server import AttachServer
from sensor.progress.latest import Latest
from sensor.progress.progress import InterfaceState, OpenAlert, Progress, Share, Traffic
from tests.support.alerts import an_alert
from tests.support.attached import eventually, serving
from tests.support.browser import Browser, browser, chromium
from tests.support.native import an_event_line
from tests.support.served import Served, served

pytestmark = [pytest.mark.ux, pytest.mark.takes(15)]

TOKEN = "t" * 40
PROGRESS = Progress(
    received=1000, packets=990, bytes=64_000, metered=980, dropped=10, undecoded={"arp": 10}, flows=40, alerts=2,
    attacks=1, uncertain=1, bundle="default", elapsed_s=2.0, traffic_time_ns=1_700_000_000_000_000_000,
    interfaces=(InterfaceState("eth0", up=False),),
    traffic=Traffic(
        2.0, (Share("10.0.0.1", 1_000_000, 7), Share("2001:db8::1", 250_000, 1)), (Share("tcp/443", 900_000, 5),),
        (Share("tcp", 1_000_000, 8),),
    ),
)  # fmt: skip


def numbered(number: int) -> Alert:
    alert = an_alert(id=f"{number:026}", time_ns=1_700_000_000_000_000_000 + number * 1_000_000_000)
    return replace(alert, source=replace(alert.source, ip=f"192.0.2.{number % 250}"))


@dataclass
class Stream:
    """Events of one stream, as they come."""

    response: http.client.HTTPResponse

    def event(self) -> tuple[str, Any]:
        """The next one: its name and what it says."""
        name, data = "", ""
        while line := self.response.readline().decode().rstrip("\n"):
            field, _, value = line.partition(": ")
            name, data = (value, data) if field == "event" else (name, value)
        return name, json.loads(data) if data else None

    def until(self, wanted: Callable[[str, Any], bool]) -> list[tuple[str, Any]]:
        """Events up to the first that is wanted, with it."""
        deadline = time.monotonic() + 20
        events = [self.event()]
        while not wanted(*events[-1]):
            assert time.monotonic() < deadline, events[-3:]
            events.append(self.event())
        return events


@contextmanager
def stream(server: Served, **headers: str) -> Iterator[Stream]:
    """A stream of a server."""
    connection = server.connection()
    try:
        connection.request("GET", "/live/events", headers=headers)
        with connection.getresponse() as response:
            assert response.status == 200, response.read()
            assert response.headers["Content-Type"].startswith("text/event-stream")
            yield Stream(response)
    finally:
        connection.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("attach")


@pytest.fixture(scope="module")
def showing(place: Path) -> Iterator[Served]:
    """A server that shows whoever listens at `place`."""
    with served("-v", "--attach", place / "sock") as running:  # a stream is no answer whose size a log could tell
        yield running


@pytest.fixture
def sensor(place: Path) -> Iterator[AttachServer]:
    with serving(place, Latest(PROGRESS)) as running:
        yield running


def is_state(name: str, _: Any) -> bool:
    return name == "state"


def test_a_stream_tells_the_latest_alerts_then_the_state_then_what_comes(showing: Served, sensor: AttachServer) -> None:
    sensor.write([alert_line(numbered(1))])
    with stream(showing) as events:
        told = events.until(lambda name, said: name == "state" and said["sensor"] and said["accounts"][0][1] != "0")
        state = told[-1][1]
        assert state["sensor"] == "eth0 on gw1, flowvigil 0.1.0"
        accounts = dict(state["accounts"])
        assert (accounts["Received"], accounts["Metered"], accounts["Dropped"]) == ("1,000", "980", "10")
        assert dict(state["alerts"]) == {"Alerts": "2", "Attack": "1", "Uncertain": "1"}
        assert "down: eth0" in state["warnings"]
        assert [table["title"] for table in state["tops"]] == ["Top talkers", "Services", "Protocols"]
        assert state["tops"][0]["rows"][0] == ["10.0.0.1", "4.0 M", "100.0 %", "7"]
        shown = [said for name, said in told if name == "alert"]
        assert [alert["who"] for alert in shown] == ["192.0.2.1 → 198.51.100.7:22"]
        assert shown[0]["what"] == "Password Guessing"
        assert shown[0]["reasons"]
        sensor.write([alert_line(numbered(2)), an_event_line()])
        _, alert = events.until(lambda name, _: name == "alert")[-1]
        assert alert["who"].startswith("192.0.2.2 ")
        assert events.until(lambda name, said: name == "state" and bool(said["notes"]))


def test_a_sensor_that_comes_later_or_ends_is_told(showing: Served, place: Path) -> None:
    with stream(showing) as events:
        assert events.until(lambda name, said: name == "state" and "there is no such file" in said["problem"])
        with serving(place, Latest(PROGRESS, problem="eth0 has gone")):
            assert events.until(lambda name, said: name == "state" and not said["problem"])
        ended = events.until(lambda name, said: name == "state" and "ended" in said["problem"])[-1][1]
        assert ended["problem"] == "the sensor has ended: eth0 has gone"
        with serving(place, Latest(PROGRESS)):
            assert events.until(lambda name, _: name == "begin")


def test_the_sensor_has_one_client_while_anybody_looks(showing: Served, sensor: AttachServer) -> None:
    with stream(showing) as first, stream(showing) as second:
        first.until(is_state)
        second.until(lambda name, said: name == "state" and not said["problem"])
        assert len(sensor._clients) == 1
    eventually(lambda: not sensor._clients)


@pytest.mark.usefixtures("sensor")
def test_no_more_than_some_look_at_once(showing: Served) -> None:
    def looks() -> bool:
        """Whether one more is let in, who stays."""
        connection = stack.enter_context(closing(showing.connection()))
        connection.request("GET", "/live/events")
        return stack.enter_context(connection.getresponse()).status == 200

    with ExitStack() as stack:
        for _ in range(STREAMS):
            eventually(looks)  # those who left are missed within a second
        refused = showing.ask("GET", "/live/events")
        assert refused.status == 503
        assert "look at the sensor already" in refused.document["detail"]
        assert showing.ask("GET", "/healthz").status == 200
    with ExitStack() as stack:
        eventually(looks)


def test_a_stream_that_nobody_takes_ends(tmp_path: Path) -> None:
    app = Flask("live", static_folder=None)
    feed = LiveFeed(tmp_path / "nowhere")
    add_live(app, feed, lambda: False)  # type: ignore[arg-type]
    for unsent, events in ((MOST_UNSENT_BYTES + 1, 0), (0, 1)):
        answer = app.test_client().get("/live/events", environ_overrides={UNSENT: lambda unsent=unsent: unsent})
        found = next(iter(answer.response), b"")
        assert found.count(b"event: ") == events
        answer.close()
    eventually(lambda: not feed._running)


def test_the_server_ends_while_somebody_looks(tmp_path: Path) -> None:
    with (
        serving(tmp_path, Latest(PROGRESS)),
        served("--attach", tmp_path / "sock") as running,
        stream(running) as events,
    ):
        events.until(is_state)
        began = time.monotonic()
        assert running.end() == 0
        assert time.monotonic() - began < 5


def test_the_events_need_the_token_and_the_page_does_not(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    with serving(tmp_path, Latest(PROGRESS)), served("--attach", tmp_path / "sock", "--token-file", token) as running:
        page = running.ask("GET", "/live")
        assert page.status == 200
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert running.ask("GET", "/live/events").status == 401
        with stream(running, Authorization=f"Bearer {TOKEN}") as events:
            events.until(is_state)


def test_without_a_sensor_to_show_there_is_no_such_page(client: Any) -> None:
    assert client.get("/live").status_code == 404
    assert client.get("/live/events").status_code == 404
    assert "/live" not in client.get("/").text


def test_an_alert_that_goes_on_has_the_counts_of_now(tmp_path: Path) -> None:
    alert = numbered(1)
    now = OpenAlert(alert.id, alert.start_ns, alert.end_ns + 1_000_000_000, 400, 900, 0, 1, 1, 1)
    latest = Latest(PROGRESS)
    feed = LiveFeed(tmp_path / "sock")
    with serving(tmp_path, latest) as running:
        running.write([alert_line(alert)])
        feed.join()
        eventually(lambda: [one.spread.flows for one in feed.look(0, 0).alerts] == [alert.spread.flows])
        look = feed.look(0, 0)
        latest.progress = replace(PROGRESS, open_alerts=(now,))
        eventually(lambda: [one.spread.flows for one in feed.look(look.connection, look.until).alerts] == [400])
        feed.leave()
        eventually(lambda: not running._clients)


def test_of_many_alerts_the_latest_are_held(tmp_path: Path) -> None:
    feed = LiveFeed(tmp_path / "sock")
    with serving(tmp_path, Latest(PROGRESS)) as running:
        running.write(alert_line(numbered(number)) for number in range(ALERTS_KEPT + 50))
        feed.join()
        last = numbered(ALERTS_KEPT + 49).id
        eventually(lambda: any(alert.id == last for alert in feed.look(0, 0).alerts))
        look = feed.look(0, 0)
        assert len(look.alerts) == ALERTS_KEPT
        assert look.alerts[0].id == numbered(50).id
        assert feed.look(look.connection, look.until).alerts == ()
        feed.leave()
        eventually(lambda: not running._clients)


def test_whoever_comes_as_the_last_one_leaves_is_not_told_that_the_sensor_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensor.api.live_feed.RETRY_S", 0.2)
    feed = LiveFeed(tmp_path / "sock")
    with serving(tmp_path, Latest(PROGRESS)):
        for _ in range(2):
            feed.join()
            eventually(lambda: feed.look(0, 0).hello is not None)
            with feed._changed:  # the feed's own thread does not see the moment between the two
                feed.leave()
                feed.join()
            eventually(lambda: feed._attachment is None)
            assert feed.look(0, 0).problem in ("", WAITING)
            eventually(lambda: not feed.look(0, 0).problem)
            feed.leave()
        eventually(lambda: not feed._running)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if chromium() is None:
        pytest.skip("no Chromium is installed")
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def test_the_page_shows_a_sensor_and_goes_on_after_it_came_back(tab: Browser, showing: Served, place: Path) -> None:
    rows = "[...document.querySelectorAll('#alerts > li .who')].map(who => who.textContent)"
    hostile = replace(numbered(3), reason="<img src=x onerror=\"document.title='caught'\">", label="<b>")
    with serving(place, Latest(PROGRESS)) as sensor:
        sensor.write([alert_line(numbered(1)), alert_line(hostile)])
        tab.open(showing.url + "/live")
        tab.wait_for("document.querySelectorAll('#alerts > li').length === 2")
        assert tab.run(rows) == ["192.0.2.3 → 198.51.100.7:22", "192.0.2.1 → 198.51.100.7:22"]
        assert "eth0 on gw1" in tab.run("document.querySelector('#sensor').textContent")
        assert "1,000" in tab.run("document.querySelector('#accounts').innerText")
        assert "2001:db8::1" in tab.run("document.querySelector('#tops').innerText")
        assert tab.run("document.title") == "flowvigil live"
        tab.run("document.querySelector('#alerts > li:last-child summary').click()")
        sensor.write([alert_line(numbered(4))])
        tab.wait_for("document.querySelectorAll('#alerts > li').length === 3")
        assert tab.run("document.querySelector('#alerts > li:last-child details').open")  # what was opened stays open
        assert "What to do next" in tab.run("document.querySelector('#alerts > li:last-child').innerText")
    tab.wait_for("document.querySelector('#problem').textContent.includes('the sensor has ended')")
    with serving(place, Latest(PROGRESS)) as sensor:
        sensor.write([alert_line(numbered(1)), alert_line(numbered(9))])
        tab.wait_for("document.querySelectorAll('#alerts > li').length === 2")
        assert tab.run("document.querySelector('#alerts > li:last-child details').open")  # though all were told anew
        assert tab.run("document.querySelector('#problem').hidden")
    assert tab.errors == []
    assert all(url.startswith((showing.url, "data:")) for url in tab.requests), tab.requests
    tab.open("about:blank")


def test_the_page_asks_for_the_token(tab: Browser, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    with serving(tmp_path, Latest(PROGRESS)), served("--attach", tmp_path / "sock", "--token-file", token) as running:
        tab.open(running.url + "/live")
        tab.wait_for("!document.querySelector('#token').hidden")
        for key, shown in (("wrong", "not the token"), (TOKEN, "")):
            tab.run(f"document.querySelector('#key').value = '{key}'; document.querySelector('#token button').click()")
            tab.wait_for(f"document.querySelector('#problem').textContent.includes('{shown}')")
        tab.wait_for("document.querySelector('#accounts').innerText.includes('1,000')")
        assert tab.run("document.querySelector('#token').hidden")
        tab.open("about:blank")
    tab.errors.clear()  # the browser's own lines on status 401


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 800)])
def test_the_page_fits_a_phone_and_a_desk(
    tab: Browser, showing: Served, sensor: AttachServer, tmp_path: Path, width: int, height: int
) -> None:
    sensor.write([alert_line(numbered(number)) for number in range(5)])
    tab.open(showing.url + "/live")
    tab.wait_for("document.querySelectorAll('#alerts > li').length === 5")
    tab.run("document.querySelector('#alerts summary').click()")
    tab.picture(tmp_path / "live.png", width, height)
    assert tab.run("document.documentElement.scrollWidth") <= width
    tab.tell("Emulation.clearDeviceMetricsOverride")
    tab.open("about:blank")

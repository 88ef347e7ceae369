"""The page at /live, and the server-sent events that fill it (WHATWG HTML, 9.2): a running sensor, read-only.

A stream of events takes a thread of the server for as long as it lasts, so streams are few, end by themselves, and end
early where nobody takes what they say; the page asks for the next one.
"""

import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, Final

import orjson
from flask import Response, request, send_from_directory
from flask_openapi3.openapi import OpenAPI

from sensor.api.admission import UNSENT
from sensor.api.live_feed import LiveFeed
from sensor.api.live_view import alert_document, state_document
from sensor.api.page_files import FILES, POLICY
from sensor.api.problems import Problem

LIVE: Final = "/live"
EVENTS: Final = "/live/events"
STREAMS: Final = 8  # at once
STREAM_S: Final = 600.0  # of one
STEP_S: Final = 0.5  # between two events
MOST_UNSENT_BYTES: Final = 4 << 20  # of a stream that nobody takes


def add_live(app: OpenAPI, feed: LiveFeed, is_ending: Callable[[], bool]) -> None:
    """Add the routes /live and /live/events. is_ending: whether the server is about to end, and streams with it."""
    places = threading.BoundedSemaphore(STREAMS)

    @app.route(LIVE)
    def live_page() -> Response:
        response = send_from_directory(FILES, "live.html")
        response.headers["Content-Security-Policy"] = POLICY
        return response

    @app.route(EVENTS)
    def live_events() -> Response:
        if not places.acquire(blocking=False):
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{STREAMS} pages look at the sensor already")
        feed.join()

        def release() -> None:
            feed.leave()
            places.release()

        unsent: Callable[[], int] = request.environ.get(UNSENT, lambda: 0)
        until = time.monotonic() + STREAM_S
        events = _events(feed, lambda: is_ending() or time.monotonic() > until or unsent() > MOST_UNSENT_BYTES)
        response = Response(events, mimetype="text/event-stream", headers={"X-Accel-Buffering": "no"})
        response.call_on_close(release)
        return response


def _events(feed: LiveFeed, is_over: Callable[[], bool]) -> Iterator[bytes]:
    """The state twice a second, and before it the alerts that came since."""
    connection = after = 0
    while not is_over():
        look = feed.look(connection, after)
        if look.connection != connection:
            yield _event("begin", None)
        connection, after = look.connection, look.until
        for alert in look.alerts:
            yield _event("alert", alert_document(alert))
        yield _event("state", state_document(look))
        time.sleep(STEP_S)


def _event(name: str, document: Any) -> bytes:
    """One event. JSON has no newline in it."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(document))

"""One connection of the server: waitress's channel and request parser, with the bounds that they lack.

A body is refused at the headers, or at the byte at which it is too much, and dropped; what else a client sends on such
a connection is read and forgotten for a moment, so that the answer reaches it (RFC 9112, 9.6). Bodies and answers are
in memory and count against one budget: nothing goes into temporary files.
"""

import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from waitress.buffers import OverflowableBuffer, ReadOnlyFileBasedBuffer
from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import BadRequest

from sensor.api.admission import REFUSAL, TOKEN_WITHIN_BYTES, UNSENT, Admission, body_limit, no_room, too_large
from sensor.api.bodies import BodyBudget, HeldBytes
from sensor.api.problems import PROBLEM_TYPE, Problem, problem_document

HEADER_RECEIVE_BYTES: Final = 16 << 10  # in one call, while no body is under way
BODY_RECEIVE_BYTES: Final = 256 << 10  # in one call: a request of a thousand rows has 3 MB
PIECE_BYTES: Final = 4 << 10  # parsed at a time: the parser copies what is left of a piece for each chunk in it
PIPELINED: Final = 16  # requests of one connection that wait for their answers
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
SENT_KEPT_BYTES: Final = 256 << 10  # of an answer, beside what is not sent yet
CHUNK_LINE_BYTES: Final = 1 << 10  # of a chunk's size with its extensions
TRAILER_BYTES: Final = 8 << 10  # fields after the last chunk
HEADERS_WITHIN_S: Final = 10.0  # from the first byte of a request to the end of its headers
REQUEST_WITHIN_S: Final = 60.0  # from the first byte of a request to its last
ANSWER_WITHIN_S: Final = 60.0  # from the moment an answer is ready until it is taken
LINGER_S: Final = 2.0  # reading of what comes after a refusal
SLOW_AFTER_S: Final = 10.0  # of a body, from which on it is held to a pace
SLOWEST_BYTES_S: Final = 1 << 10  # on average


@dataclass(frozen=True, slots=True)
class Rules:
    """What all connections of a server share."""

    admission: Admission
    budget: BodyBudget


class ReceivedRequest(HTTPRequestParser):  # type: ignore[misc] # waitress is untyped
    """A request while it comes."""

    body_rcv: Any
    chunked: bool
    path = ""  # for logs; of what is no request there is none
    refusal: Problem | None = None  # why it goes on without its body
    unchecked_form = False  # its token has not come yet
    _is_parsed = False  # whether its request line and header fields are

    def __init__(self, rules: Rules, waiting: int, adj: Any) -> None:
        """waiting: requests of this connection that are not answered yet."""
        super().__init__(adj)
        self._rules = rules
        self._held = HeldBytes(rules.budget)
        self._crowded = waiting >= PIPELINED

    def received(self, data: bytes) -> int:
        """Take in bytes; how many of them were this request's: all, where it is refused."""
        in_headers = not self.headers_finished
        consumed: int = super().received(data)
        if in_headers and self._is_parsed:
            self._check_headers()
        elif self.body_rcv is not None and not in_headers:
            self._check_body()
        if self.completed:
            self.expect_continue = False  # waitress would wait, and take the next request for what it waits for
        if self.error is not None or self.refusal is not None:
            return len(data)
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the request line and the header fields. Raises ParsingError where they are none."""
        try:
            super().parse_header(header_plus)
        except ValueError:  # of urlsplit, and of int where there are thousands of digits
            raise ParsingError("a target or a Content-Length that cannot be read") from None
        if "," in self.headers.get("HOST", ""):
            raise ParsingError("more than one Host")
        self._is_parsed = True

    def close(self) -> None:
        """Drop the body."""
        super().close()
        self.release()

    def release(self) -> None:
        """Give back to the budget what the body holds of it."""
        self._held.release()

    def _check_headers(self) -> None:
        if self._crowded:
            self._refuse(Problem(HTTPStatus.TOO_MANY_REQUESTS, f"more than {PIPELINED} requests before an answer"))
            return
        if self.body_rcv is None:  # the application checks it: there is nothing to keep out
            return
        method, path = self.command.upper(), self.path
        headers = {name.replace("_", "-").title(): value for name, value in self.headers.items()}
        try:
            self._rules.admission.check(method, path, headers)
        except Problem as problem:
            self._refuse(problem)
            return
        if self.content_length > body_limit(method, path):
            self._refuse(too_large(method, path, self.content_length))
            return
        self.unchecked_form = self._rules.admission.needs_token_within(method, path)

    def _check_body(self) -> None:
        size = len(self.body_rcv)
        remainder = getattr(self.body_rcv, "chunk_remainder", 0)
        if max(size, self.body_bytes_received // 2) + remainder > body_limit(self.command, self.path):
            self._refuse(too_large(self.command, self.path, None if self.chunked else size))
        elif len(getattr(self.body_rcv, "control_line", b"")) > CHUNK_LINE_BYTES:
            self.error, self.completed = BadRequest("a chunk's size is too long"), True
        elif len(getattr(self.body_rcv, "trailer", b"")) > TRAILER_BYTES:
            self.error, self.completed = BadRequest("fields after the last chunk are too long"), True
        elif not self._held.hold(size):
            self._refuse(no_room())
        elif self.unchecked_form and (self.completed or size >= TOKEN_WITHIN_BYTES):
            self._check_form()
        if self.error is not None:
            self.close()

    def _check_form(self) -> None:
        stream = self.get_body_stream()
        stream.seek(0)
        beginning = stream.read(TOKEN_WITHIN_BYTES)
        stream.seek(0)
        try:
            self._rules.admission.check_form(beginning)
        except Problem as problem:
            self._refuse(problem)
        self.unchecked_form = False

    def _refuse(self, problem: Problem) -> None:
        """Let the request go on without its body, and have the connection closed after the answer."""
        self.close()
        self.refusal, self.error, self.completed = problem, None, True
        self.body_rcv, self.chunked, self.expect_continue = None, False, False
        self.headers |= {"CONNECTION": "close", "CONTENT_LENGTH": "0"}
        self.connection_close = True


class AnsweringTask(WSGITask):  # type: ignore[misc] # waitress is untyped
    """Calls the application; tells it why a request came without its body, and how much of the answer waits."""

    def get_environment(self) -> dict[str, Any]:
        """The WSGI environment."""
        environment: dict[str, Any] = super().get_environment()
        environment[REFUSAL] = self.request.refusal
        environment[UNSENT] = lambda: self.channel.total_outbufs_len
        return environment


class ProblemTask(ErrorTask):  # type: ignore[misc] # waitress is untyped
    """Responds with problem details to what is no request that the application could be asked."""

    def execute(self) -> None:
        """Write the answer; the connection is closed after it."""
        error = self.request.error
        # Its only other 5xx is for transfer codings: the client's error, as the 4xx are.
        code = error.code if error.code < 500 or error.code == 500 else HTTPStatus.BAD_REQUEST
        body = problem_document(code, " ".join(str(error.body).split()))
        self.status = f"{int(code)} {HTTPStatus(code).phrase}"
        self.response_headers.extend([("Content-Type", PROBLEM_TYPE), ("Cache-Control", "no-store")])
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Connection(HTTPChannel):  # type: ignore[misc] # waitress is untyped
    """A connection, and since when it does what it does; times in seconds since 1970."""

    request: ReceivedRequest | None
    task_class = AnsweringTask
    error_task_class = ProblemTask
    receiving_since: float | None = None  # None between requests
    sending_since: float | None = None  # None while no answer waits to be taken
    lingering_since: float | None = None  # None before the end
    fruitless_since: float  # its beginning, or when a request of it was whole or an answer moved last
    _last_answer = False  # whether one was made after which the connection ends
    _is_waiting = False  # for an answer to be taken, before the next request is answered

    def __init__(self, rules: Rules, server: Any, sock: socket.socket, addr: Any, adj: Any, **options: Any) -> None:
        self._answers = HeldBytes(rules.budget)
        super().__init__(server, sock, addr, adj, **options)
        self.fruitless_since = self.last_activity
        self.parser_class = partial(self._new_request, rules)

    def _new_request(self, rules: Rules, adj: Any) -> ReceivedRequest:
        return ReceivedRequest(rules, len(self.requests), adj)

    @property
    def in_body(self) -> bool:
        """Whether a body that may come is coming."""
        return self.request is not None and self.request.headers_finished

    @property
    def is_answering(self) -> bool:
        """Whether a request of it is being answered, or is about to be."""
        return bool(self.requests) and not self._is_waiting

    @property
    def is_busy(self) -> bool:
        """Whether an answer is being made or sent."""
        return bool(self.requests or self.total_outbufs_len)

    def readable(self) -> bool:
        """Whether to read from it; what comes after a refusal is read and forgotten."""
        return self.lingering_since is not None or bool(super().readable())

    def handle_read(self) -> None:
        """Read once, as much as is of use now."""
        size = BODY_RECEIVE_BYTES if self.in_body or self.lingering_since is not None else HEADER_RECEIVE_BYTES
        try:
            data = self.recv(size)  # at the end of input it closes the connection itself
        except BlockingIOError:
            return
        except OSError:
            self.handle_close()
            return
        if data and self.lingering_since is None:
            self.last_activity = time.time()
            self.received(data)

    def received(self, data: bytes) -> bool:
        """Parse what came, chunks a piece at a time."""
        if self.request is None:
            self.receiving_since = time.time()
        size = PIECE_BYTES if self.request is not None and self.request.chunked else len(data)
        consumed = False
        for at in range(0, len(data), size):
            consumed = bool(super().received(data[at : at + size]))
            if not consumed or any(request.refusal or request.error for request in self.requests):
                break
        if self.request is None:
            self.receiving_since, self.fruitless_since = None, time.time()
        return consumed

    def service(self) -> None:
        """Answer a request, once the answer before it is taken: what waits is one of them at most."""
        with self.outbuf_lock:
            self._is_waiting = self.connected and bool(self.total_outbufs_len)
        if not self._is_waiting:
            super().service()

    def send_continue(self) -> None:
        """Ask for the body that a request waits with; whoever has gone meanwhile is found out by the loop."""
        request = self.request
        if request is not None:
            request.expect_continue, self.sent_continue = False, True
            with suppress(ClientDisconnected):
                self.write_soon(CONTINUE)

    def handle_expt(self) -> None:
        """End the connection of who sends urgent data: HTTP has none, and unread it would wake the loop for ever."""
        self.end()

    def write_soon(self, data: Any) -> int:
        """Take in a part of an answer."""
        written: int = super().write_soon(data)
        self._settle()
        return written

    def _flush_some(self, do_close: bool = True) -> bool:
        with self.outbuf_lock:  # the loop would not wait for a thread that asks for the next body
            sent = bool(super()._flush_some(do_close))
            if sent:
                self.fruitless_since = time.time()
            self._settle()
        return sent

    def _settle(self) -> None:
        """Hold of the budget what waits to be sent, files on disk aside, and go on once nothing does."""
        with self.outbuf_lock:  # it ends under the same lock
            in_memory = 0
            for place, part in enumerate(self.outbufs if self.connected else []):
                if not isinstance(part, ReadOnlyFileBasedBuffer):
                    in_memory += len(part)
                    self.outbufs[place] = _without_sent(part)
            self._answers.hold(in_memory, forced=True)
            if self._is_waiting and self.connected and not self.total_outbufs_len:
                self._is_waiting = False
                self.server.add_task(self)

    @property
    def close_when_flushed(self) -> bool:
        """Whether the connection ends with the answer that is being sent."""
        return self._last_answer and not self.will_close and self.lingering_since is None

    @close_when_flushed.setter
    def close_when_flushed(self, ending: bool) -> None:
        self._last_answer = self._last_answer or ending

    def handle_close(self) -> None:
        """End the connection; a last answer that was sent is given time to arrive."""
        if self._last_answer and self.connected and self.lingering_since is None and not self.total_outbufs_len:
            self._linger()
        else:
            self.end()

    def give_way(self) -> None:
        """Have the loop end the connection, whatever it waits for."""
        self._last_answer, self.will_close = False, True

    def end(self) -> None:
        """End the connection now and drop what it holds."""
        self._drop_request()
        super().handle_close()
        self._answers.release()
        for request in list(self.requests):
            request.release()

    def _linger(self) -> None:
        self.will_close = False
        self.lingering_since = time.time()
        self._drop_request()
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.end()

    def _drop_request(self) -> None:
        if self.request is not None:
            self.request.close()
            self.request = None

    def overdue(self, now: float) -> bool:
        """Whether it takes longer than it may. now: seconds since 1970."""
        if self.lingering_since is not None:
            return now - self.lingering_since > LINGER_S
        if self.is_answering:
            return False
        if not self.total_outbufs_len:
            self.sending_since = None
        elif self.sending_since is None:
            self.sending_since = now
        if self.sending_since is not None and now - self.sending_since > ANSWER_WITHIN_S:
            return True
        request, since = self.request, self.receiving_since
        if request is None or since is None:
            return False
        age_s = now - since
        if not request.headers_finished:
            return age_s > HEADERS_WITHIN_S
        slow = age_s > SLOW_AFTER_S and request.body_bytes_received < SLOWEST_BYTES_S * age_s
        return slow or age_s > REQUEST_WITHIN_S


def _without_sent(part: Any) -> Any:
    """An answer's buffer without what was sent of it, where that is much: waitress keeps a stream to its end."""
    if part.buf is None or part.buf.file.tell() <= max(SENT_KEPT_BYTES, len(part)):
        return part
    rest = OverflowableBuffer(part.overflow)
    rest.append(part.get(len(part)))
    part.close()
    return rest

"""The sensor's side: a thread that shows its lines and its progress to a few clients, and never waits for any of them.

Whoever writes lines leaves them with a list and goes on; without a client it is the list of the latest alerts alone.
What a client does not take is kept up to a bound and counted beyond it. Clients have nothing to say: who sends
anything is hung up on.
"""

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from sensor.attach.place import Place
from sensor.attach.protocol import End, Hello, Refused, line_of
from sensor.attach.send_buffer import SendBuffer
from sensor.progress.latest import Latest

CLIENTS: Final = 8
HISTORY_LINES, HISTORY_BYTES = 1000, 3 << 20
HANDED_OVER_BYTES: Final = 8 << 20  # that wait for the thread
TURN_S: Final = 0.25
PROGRESS_S: Final = 0.5
ACCEPTED_A_TURN: Final = 8  # and the others wait, so that thousands who knock cost next to nothing
TAKES_NOTHING_S: Final = 30.0  # after which a client gives way to another
FAREWELL_S: Final = 1.0
ALERT_MARK: Final = b'"kind":"alert"'  # a quote within a text of a line is an escaped one


@dataclass(slots=True)
class Client:
    """A terminal that is attached."""

    connection: socket.socket  # non-blocking
    took_s: float  # when it last took something, or had taken everything; of the server's clock
    buffer: SendBuffer = field(default_factory=SendBuffer)  # what it has not taken yet
    # It has closed its way of saying anything, as `socat -u` does, or has gone, which sending will find out.
    deaf: bool = False

    def send(self, now_s: float) -> None:
        """Send what it takes now. Raises OSError when it has gone."""
        while self.buffer:
            try:
                sent = self.connection.send(self.buffer.piece())
            except BlockingIOError:
                return
            self.buffer.sent(sent)
            self.took_s = now_s


class AttachServer:
    """Who takes lines (sensor.run.outlet.LineTaker) and shows them to clients. Use as a context manager from the moment
    on that it serves.

    dropped: clients hung up on, because they sent something or gave way to others.
    """

    def __init__(self, place: Place, hello: Hello, latest: Latest, clock: Callable[[], float] = time.monotonic) -> None:
        """place: listens already; it is left at the end. latest: what the run has come to."""
        self._latest = latest
        self._place = place
        self._hello = line_of(hello)
        self._clock = clock
        self._lock = threading.Lock()
        self._history: deque[bytes] = deque()
        self._history_bytes = 0
        self._handed_over: list[bytes] = []
        self._handed_over_bytes = 0
        self._not_handed_over = 0
        self._watched = False
        self._clients: dict[socket.socket, Client] = {}
        self._selector = selectors.DefaultSelector()
        self._woken, self._waking = socket.socketpair()
        self._ending = False
        self._end_line = b""
        self._progress_at_s = 0.0
        self._accepting = self._arriving = False
        self._accepted, self._counted_at_s = 0, -TURN_S
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="attach", daemon=True)

    def write(self, lines: Iterable[bytes]) -> None:
        """Take lines, each with its newline. Never waits for a client and never raises."""
        with self._lock:
            for line in lines:
                if ALERT_MARK in line:
                    self._remember(line)
                if not self._watched:
                    continue
                if self._handed_over_bytes + len(line) > HANDED_OVER_BYTES:
                    self._not_handed_over += 1
                    continue
                self._handed_over.append(line)
                self._handed_over_bytes += len(line)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._end_line = line_of(End(self._latest.problem))
        self._ending = True
        self._waking.send(b".")
        self._thread.join(2 * FAREWELL_S)
        self._woken.close()
        self._waking.close()
        self._place.leave()

    def _remember(self, line: bytes) -> None:
        self._history.append(line)
        self._history_bytes += len(line)
        while len(self._history) > HISTORY_LINES or self._history_bytes > HISTORY_BYTES:
            self._history_bytes -= len(self._history.popleft())

    def _run(self) -> None:
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._open_the_door()
        while not self._ending:
            self._turn()
        self._say_farewell()
        for client in list(self._clients.values()):
            self._hang_up(client)
        self._selector.close()

    def _turn(self) -> None:
        ready = self._selector.select(TURN_S if self._clients or not self._accepting else None)
        self._open_the_door()
        self._pass_on()
        for key, _events in ready:
            if key.fileobj is self._place.listener:
                self._accept()
            elif isinstance(key.data, Client):
                self._observe(key.data)
        self._report_progress()
        self._send()

    def _pass_on(self) -> list[bytes]:
        """Offer what was handed over to those who are there. The latest alerts, of that moment."""
        with self._lock:
            lines, missed = self._handed_over, self._not_handed_over
            self._handed_over, self._handed_over_bytes, self._not_handed_over = [], 0, 0
            # Within the same moment: whoever comes gets each line once, as history or later.
            history = list(self._history) if self._arriving else []
            self._watched |= self._arriving
        for client in self._clients.values():
            client.buffer.add(lines)
            client.buffer.missed += missed
        return history

    def _accept(self) -> None:
        while self._accepted < ACCEPTED_A_TURN:
            try:
                connection, _ = self._place.listener.accept()
            except BlockingIOError:
                return
            except OSError:  # gone again, or no descriptor left
                self._accepted += 1
                continue
            self._accepted += 1
            connection.setblocking(False)
            self._make_room()
            if len(self._clients) < CLIENTS:
                self._welcome(connection)
            else:
                _refuse(connection)
        self._selector.unregister(self._place.listener)
        self._accepting = False

    def _open_the_door(self) -> None:
        """Let in again as many as a turn may."""
        now = self._clock()
        if now - self._counted_at_s < TURN_S:
            return
        self._accepted, self._counted_at_s = 0, now
        if not self._accepting:
            self._selector.register(self._place.listener, selectors.EVENT_READ)
            self._accepting = True

    def _welcome(self, connection: socket.socket) -> None:
        client = Client(connection, self._clock())
        self._arriving = True
        history = self._pass_on()
        self._arriving = False
        client.buffer.add([self._hello, *history, self._progress_line()])
        self._clients[connection] = client
        self._listen_to(client)

    def _make_room(self) -> None:
        """Hang up on those who have not taken anything for long, where others want their place."""
        if len(self._clients) >= CLIENTS:
            overdue = self._clock() - TAKES_NOTHING_S
            for client in [one for one in self._clients.values() if one.buffer and one.took_s < overdue]:
                self.dropped += 1
                self._hang_up(client)

    def _observe(self, client: Client) -> None:
        """It can take more, or it has gone, or it said something that nobody asked for."""
        if client.connection not in self._clients:
            return
        if client.deaf:
            return
        try:
            said = client.connection.recv(1)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if said:
            self.dropped += 1
            self._hang_up(client)
        else:
            client.deaf = True
            self._listen_to(client)

    def _report_progress(self) -> None:
        now = self._clock()
        if not self._clients or now - self._progress_at_s < PROGRESS_S:
            return
        self._progress_at_s = now
        line = self._progress_line()
        for client in self._clients.values():
            if not client.buffer:  # the next one says more
                client.buffer.add([line])

    def _progress_line(self) -> bytes:
        return line_of(self._latest.progress)

    def _send(self) -> None:
        now = self._clock()
        for client in list(self._clients.values()):
            if not client.buffer:
                client.took_s = now
                client.buffer.report_missed()
                continue
            try:
                client.send(now)
            except OSError:
                self._hang_up(client)
                continue
            self._listen_to(client)

    def _listen_to(self, client: Client) -> None:
        """Wait for what matters: that it says something, and that it takes more where more waits."""
        wanted = (0 if client.deaf else selectors.EVENT_READ) | (selectors.EVENT_WRITE if client.buffer else 0)
        if client.connection in self._selector.get_map():
            self._selector.unregister(client.connection)
        if wanted:
            self._selector.register(client.connection, wanted, client)

    def _hang_up(self, client: Client) -> None:
        if client.connection in self._selector.get_map():
            self._selector.unregister(client.connection)
        del self._clients[client.connection]
        client.connection.close()
        with self._lock:
            self._watched = bool(self._clients)

    def _say_farewell(self) -> None:
        """The last lines, for who takes them within a moment."""
        self._pass_on()
        for client in self._clients.values():
            client.buffer.add([self._progress_line()])
            if self._end_line:
                client.buffer.append(self._end_line)
        until = self._clock() + FAREWELL_S
        self._send()
        while any(client.buffer for client in self._clients.values()) and self._clock() < until:
            for key, _events in self._selector.select(0.05):
                if isinstance(key.data, Client):
                    self._observe(key.data)
            self._send()


def _refuse(connection: socket.socket) -> None:
    with connection:
        try:
            connection.send(line_of(Refused(f"{CLIENTS} clients are looking already")))
        except OSError:  # gone again
            return

"""The process that has a pool: lines of JSON by one descriptor say what to begin, lines by another what became of it.

Lines to it: `{"number": 3, "task": {…}}`, and `{"number": 3, "withdrawn": true}` for what nobody waits for any more.
Lines of it: `{"ready": {…}}` once, `{"number": 3, "done": 4096}`, `{"number": 3, "result": {…}}` and
`{"number": 3, "failure": "…"}`. It ends when nobody is there to tell it anything.
"""

import json
import os
import select
from contextlib import suppress
from typing import Any, Final

from sensor.jobs.pool import News, Pool

LOOK_MS: Final = 100  # between two looks at every piece
MOST_BYTES: Final = 1 << 24  # of a line


class Lines:
    """Whole lines of what comes by a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.closed = False  # whether the other end is gone
        self._rest = b""

    def read(self) -> list[Any]:
        """What the lines that have come say; waits for the first bytes. Raises ValueError for what is no JSON."""
        part = os.read(self.descriptor, 1 << 20)
        self.closed = not part
        *lines, self._rest = (self._rest + part).split(b"\n")
        if len(self._rest) > MOST_BYTES:
            raise ValueError(f"a line of more than {MOST_BYTES:,} bytes")
        return [json.loads(line) for line in lines]


def serve(pool: Pool, told: int, telling: int, ready: dict[str, Any]) -> None:
    """Begin what is told by one descriptor, and tell by the other; until the first is closed. ready: said at first."""
    lines = Lines(told)
    with suppress(BrokenPipeError):  # nobody listens any more
        say(telling, {"ready": ready})
        while not lines.closed:
            poll = select.poll()
            for descriptor in (told, *pool.pipes):
                poll.register(descriptor, select.POLLIN)
            found = {descriptor for descriptor, _ in poll.poll(LOOK_MS)}
            if told in found:
                for line in lines.read():
                    _begin(pool, line, told, telling)
            for news in pool.news():
                say(telling, as_json(news))
    pool.close()


def _begin(pool: Pool, line: dict[str, Any], told: int, telling: int) -> None:
    if "withdrawn" in line:
        pool.end(line["number"])
        return
    try:
        pool.begin(line["number"], line["task"], (told, telling))
    except OSError as error:  # a limit of processes, of descriptors or of memory
        say(telling, as_json(News(line["number"], failure=f"no process for it: {error.strerror}")))


def as_json(news: News) -> dict[str, Any]:
    """News as a line says it."""
    if news.result is not None:
        return {"number": news.number, "done": news.done, "result": news.result}
    if news.failure:
        return {"number": news.number, "failure": news.failure}
    return {"number": news.number, "done": news.done}


def of_json(line: dict[str, Any]) -> News:
    """The same, read."""
    return News(line["number"], line.get("done", 0), line.get("result"), line.get("failure", ""))


def say(descriptor: int, what: dict[str, Any]) -> None:
    """Write a line."""
    data = memoryview(json.dumps(what).encode() + b"\n")
    while data:
        data = data[os.write(descriptor, data) :]

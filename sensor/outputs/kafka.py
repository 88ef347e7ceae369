"""Records of a Kafka topic by librdkafka's idempotent producer: each record once per producer, in order.

The key is the sensor's name, so that all records of one sensor lie in one partition, in their order. What a broker has
not acknowledged stays with us and is produced again after a restart of the sensor, which Kafka cannot tell from a
second record. A record that the brokers will never take, as it is larger than the topic's limit, is found by halves
and passed over. Needs the extra [kafka].

Source: librdkafka, CONFIGURATION.md and INTRODUCTION.md (idempotent producer).
"""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from sensor.outputs.transport import CONNECT_S, LONGEST_PAUSE_S, MessageRefusedError
from sensor.settings.extras import KAFKA, require_for

QUEUED: Final = 10_000  # records on their way
RECORD_BYTES: Final = 999_000  # of a record: librdkafka's message.max.bytes, by default, without what is around it
DELIVERY_MS: Final = 30_000  # for the brokers to acknowledge, after which the output counts as down


class KafkaTransport:
    """A producer that is made anew when a record could not be delivered."""

    forever = False
    tells_by_writing = False
    acknowledges = True
    missing = 0
    poll_s: float | None = 0.2
    longest: float = RECORD_BYTES
    longest_pause_s = LONGEST_PAUSE_S

    def __init__(self, servers: str, topic: str, key: bytes, more: Mapping[str, Any] | None = None) -> None:
        """more: of librdkafka's configuration. Raises ConfigError where the extra is missing."""
        require_for(KAFKA)
        import confluent_kafka

        self._kafka = confluent_kafka
        self._topic, self._key = topic, key
        self._settings: dict[str, Any] = {
            "bootstrap.servers": servers,
            "client.id": "flowvigil",
            "enable.idempotence": True,
            "delivery.timeout.ms": DELIVERY_MS,
            "queue.buffering.max.messages": QUEUED,
            "linger.ms": 50,
            "compression.type": "lz4",
            "logger": _SILENT,
            **(more or {}),
        }
        self._producer: Any = None
        codes = confluent_kafka.KafkaError
        self._refusals = {codes.MSG_SIZE_TOO_LARGE, codes.RECORD_LIST_TOO_LARGE, codes.INVALID_RECORD}
        self._waiting: deque[tuple[int, bytes]] = deque()  # records with their numbers since connect()
        self._on_way: dict[int, bytes] = {}  # with librdkafka, or refused
        self._acknowledged: set[int] = set()
        self._offered = self._told = 0
        self._passed_over = 0  # 1 for a record that was refused and not passed over yet
        self._group = QUEUED  # records that are tried together, fewer after a refusal
        self._failure = self._refusal = ""

    def connect(self) -> None:
        """Make a producer and ask for the topic. Raises OSError."""
        self.break_off()
        try:
            producer = self._kafka.Producer(self._settings)
            topic = producer.list_topics(self._topic, timeout=CONNECT_S).topics[self._topic]
        except (self._kafka.KafkaException, KeyError) as error:
            raise ConnectionError(_reason(error)) from error
        if topic.error is not None:
            raise ConnectionError(f"topic {self._topic}: {topic.error.str()}")
        self._producer = producer

    def offer(self, messages: Sequence[bytes]) -> None:
        """Take records on, without their newline."""
        self._waiting.extend(enumerate(messages, self._offered))
        self._offered += len(messages)

    def flush(self, wait_s: float) -> None:
        """Hand over to librdkafka and hear what was acknowledged. Raises OSError, MessageRefusedError."""
        if self._producer is None:
            raise ConnectionError("not connected")
        deadline = time.monotonic() + wait_s
        self._told += self._passed_over
        self._passed_over = 0
        most = self._most_at_once
        while self._waiting and len(self._on_way) < most:
            try:
                self._produce(*self._waiting[0])
            except BufferError:
                self._producer.poll(min(wait_s, 0.1))
                if time.monotonic() >= deadline:
                    break
                continue
            except self._kafka.KafkaException as error:
                raise ConnectionError(_reason(error)) from error
            self._waiting.popleft()
        if most == QUEUED:
            self._producer.poll(0)
        else:
            self._producer.flush(max(0.0, deadline - time.monotonic()))
        if self._failure:
            raise ConnectionError(self._failure)
        if self._refusal:
            self._narrow_down()

    def idle(self) -> bool:
        """Whether librdkafka has everything."""
        return not self._waiting

    def confirmed(self, now_s: float) -> int:  # noqa: ARG002  the contract's
        """Records that the brokers acknowledged, without a gap."""
        if self._producer is not None:
            self._producer.poll(0)
        before = self._told
        while self._told in self._acknowledged:
            self._acknowledged.discard(self._told)
            self._told += 1
        return self._told - before

    def finish(self, wait_s: float) -> int:
        """Wait for the acknowledgements. Raises MessageRefusedError."""
        if self._producer is None:
            return 0
        deadline = time.monotonic() + wait_s
        with suppress(OSError):
            self.flush(wait_s)
            while (self._waiting or self._on_way) and (left := deadline - time.monotonic()) > 0:
                self._producer.flush(left)
                self.flush(left)
        count = self.confirmed(0.0)
        self.break_off()
        return count

    def break_off(self) -> None:
        """Drop what is not acknowledged: it is produced again."""
        if self._producer is not None:
            self._producer.purge(in_flight=True)
            self._producer.flush(0.1)
            self._producer = None
        self._waiting.clear()
        self._on_way.clear()
        self._acknowledged.clear()
        self._offered = self._told = self._passed_over = 0
        self._failure = self._refusal = ""

    def _produce(self, number: int, record: bytes) -> None:
        told = partial(self._delivered, number)
        self._producer.produce(self._topic, record.rstrip(b"\n"), self._key, on_delivery=told)
        self._on_way[number] = record

    def _delivered(self, number: int, error: Any, _message: Any) -> None:
        if error is None:
            self._acknowledged.add(number)
            del self._on_way[number]
            if not self._on_way:
                self._group = min(QUEUED, self._group * 2)
        elif error.code() in self._refusals:
            self._refusal = error.str().lower()
        else:
            self._failure = error.str()

    @property
    def _most_at_once(self) -> int:
        """Records that may be on their way now: after a refusal those of a group, all told of before the next."""
        if self._group == QUEUED and not self._refusal:
            return QUEUED
        return 0 if self._on_way or self._refusal else self._group

    def _narrow_down(self) -> None:
        """Once all on their way are told of, try those that were refused again in halves, until one is alone.

        A broker refuses all that came to it together for one among them, or for their size in common.
        """
        if len(self._producer):
            return
        refusal, self._refusal = self._refusal, ""
        refused = list(self._on_way.items())
        self._on_way.clear()
        self._group = max(1, len(refused) // 2)
        if len(refused) == 1:
            self._passed_over = 1
            raise MessageRefusedError(f"takes no record of {len(refused[0][1]):,} bytes: {refusal}")
        self._waiting.extendleft(reversed(refused))


def _reason(error: Exception) -> str:
    """librdkafka's own words, one line."""
    cause = error.args[0] if error.args else error
    return str(getattr(cause, "str", lambda: cause)()).lower()


class _Silent:
    """librdkafka's log lines would stand between the sensor's on stderr; an output's problem is told by its account."""

    def log(self, *_arguments: object) -> None:
        """Drop a line."""


_SILENT: Final = _Silent()

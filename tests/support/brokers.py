"""Kafka brokers without Kafka: librdkafka's own cluster of mocks, which answers requests as it is told.

Its library is the one that the client has brought along, called by ctypes, as the client does not reach so far.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PRODUCE = 0  # number of the request in Kafka's protocol


class Brokers:
    """One broker."""

    def __init__(self, library: ctypes.CDLL, cluster: int) -> None:
        self._library, self._cluster = library, ctypes.c_void_p(cluster)
        self.servers: str = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def answer(self, *codes: int) -> None:
        """Answer the next requests to produce with these errors, 0 for none."""
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(PRODUCE), ctypes.c_size_t(len(codes)), (ctypes.c_int * len(codes))(*codes)
        )


@contextmanager
def brokers() -> Iterator[Brokers]:
    kafka = pytest.importorskip("confluent_kafka")
    found = list(Path(kafka.__file__).parent.parent.glob("confluent_kafka.libs/librdkafka*"))
    if not found:
        pytest.skip("this confluent_kafka brings no librdkafka of its own")
    library = ctypes.CDLL(str(found[0]))
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(library, name).restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    configuration = ctypes.c_void_p(library.rd_kafka_conf_new())
    library.rd_kafka_conf_set(configuration, b"log_level", b"0", None, ctypes.c_size_t(0))
    client = ctypes.c_void_p(library.rd_kafka_new(0, configuration, None, ctypes.c_size_t(0)))
    cluster = library.rd_kafka_mock_cluster_new(client, 1)
    try:
        yield Brokers(library, cluster)
    finally:
        library.rd_kafka_mock_cluster_destroy(ctypes.c_void_p(cluster))
        library.rd_kafka_destroy(client)

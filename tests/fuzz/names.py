"""Changed DNS messages and TLS hellos through what reads them for names, each in its own buffer, against the twin."""

import struct
from collections.abc import Iterator

import numpy as np

from flows.batch import address
from flows.block import Bytes
from flows.names.hello import client_hello
from flows.names.layout import (
    DNS_ANSWER,
    HELLO,
    HELLO_OF_FLOW,
    HELLO_PART,
    K_AT,
    K_END,
    K_KIND,
    K_SEQUENCE,
    REVERSE,
    S_A_HIGH,
    S_A_LOW,
    S_FROM,
    S_KIND,
    S_LENGTH,
    S_PORTS,
)
from flows.names.reading import MarkReader
from tests.fuzz.mutation import Corpus
from tests.fuzz.promises import require
from tests.support import names_twin

WIDTH, ROOM, BATCH = 512, 4096, 256
KINDS = (DNS_ANSWER, HELLO)
POINTER = b"\xc0\x0c"

Said = list[tuple[object, ...]]


def seeds() -> Iterator[tuple[int, bytes]]:
    """Answers and hellos that are right."""
    v4, v6 = (1, bytes((10, 0, 0, 7))), (28, bytes(15) + b"\x07")
    alias = (5, b"\x03cdn\xc0\x0c")
    for question, kind, records in (
        (b"\x03www\x07example\0", 1, [(POINTER, *alias), (b"\x03cdn\xc0\x0c", *v4)]),
        (b"\x03www\x07example\0", 28, [(POINTER, *v6)] * 20),
        (b"\x017\x010\x010\x0210\x07in-addr\x04arpa\0", 12, [(POINTER, 12, b"\x04host\x03lan\0")]),
        (b"\x017" + b"\x010" * 31 + b"\x03ip6\x04arpa\0", 12, [(POINTER, 12, b"\x04host\xc0\x0c")]),
        (b"\x3f" + b"x" * 63 + b"\x01\x1b\0", 1, [(POINTER, *v4)]),
    ):
        body = question + struct.pack("!HH", kind, 1)
        for owner, of, data in records:
            body += owner + struct.pack("!HHIH", of, 1, 60, len(data)) + data
        yield DNS_ANSWER, struct.pack("!HHHHHH", 1, 0x8180, 1, len(records), 0, 0) + body
    extensions = [
        (0x0A0A, b""), (0, b"\0\x0e\0\0\x0bexample.org"), (16, b"\0\x03\x02h2"), (13, b"\0\x04\x04\x03\x08\x04"),
        (43, b"\x04\x03\x04\x03\x03"), (51, bytes(20)),
    ]  # fmt: skip
    listed = b"".join(struct.pack("!HH", kind, len(body)) + body for kind, body in extensions)
    for rest in (struct.pack("!H", len(listed)) + listed, b"", struct.pack("!H", 9) + listed[:9]):
        body = b"\x03\x03" + bytes(32) + b"\x02ab" + b"\0\x06\x1a\x1a\x13\x01\xc0\x2b" + b"\x01\0" + rest
        yield HELLO, b"\x16\x03\x01" + struct.pack("!H", len(body) + 4) + b"\x01" + len(body).to_bytes(3) + body


def read(reader: MarkReader, content: Bytes, kind: int, sequence: int = 0) -> Said:
    """What a payload says."""
    reader.marks[[K_KIND, K_AT, K_END, K_SEQUENCE]] = kind, 0, len(content), sequence
    reader.read(content, 1)
    seen = reader.take()
    said: Said = []
    for words in seen.words.tolist():
        text = seen.text[words[S_FROM] : words[S_FROM] + words[S_LENGTH]].tobytes()
        if words[S_KIND] == HELLO_OF_FLOW:
            hello = client_hello(text)
            said.append((hello.server_name, hello.ja4))
        else:
            of = address(words[S_A_HIGH], words[S_A_LOW], words[S_PORTS] >> 40)
            said.append((of, text.decode("ascii"), words[S_KIND] == REVERSE))
    return said


def expected(content: Bytes, kind: int) -> Said:
    """What the twin reads there."""
    if kind == DNS_ANSWER:
        return list(names_twin.answers(content.tobytes()))
    return list(names_twin.hello_in_segments([(0, content.tobytes())]))


def segments_of(rng: np.random.Generator, content: bytes) -> list[names_twin.Segment]:
    """A payload in segments that may come in any order, twice, over one another, or not at all; the first one first."""
    first = int(rng.integers(0, 1 << 32))
    ends = sorted(map(int, rng.integers(1, len(content) + 1, int(rng.integers(1, 5)))))
    cuts = [(0, ends[0]), *zip(ends, [*ends[1:], len(content)], strict=True)]
    later = [cuts[int(rng.integers(0, len(cuts)))] for _ in range(int(rng.integers(0, 4)))] + cuts[1:]
    if rng.random() < 0.5:
        later = [later[at] for at in rng.permutation(len(later))]
    moved = [(max(0, begin - int(rng.integers(0, 3))), end) for begin, end in later]
    return [((first + begin) % (1 << 32), content[begin:end]) for begin, end in (cuts[0], *moved)]


def read_segments(reader: MarkReader, segments: list[names_twin.Segment]) -> Said:
    """What segments of one sender say."""
    said: Said = []
    for n, (sequence, content) in enumerate(segments):
        said += read(reader, np.frombuffer(bytearray(content), np.uint8), HELLO_PART if n else HELLO, sequence)
    return said


def fuzz_names(rng: np.random.Generator, corpus: Corpus, inputs: int) -> int:
    """Read that many changed payloads; returns what they said. Raises BrokenPromiseError, or what a kernel raises."""
    reader, found, done = MarkReader(marks=1), 0, 0
    while done < inputs:
        rows, lengths, kinds = corpus.draw(rng, min(BATCH, inputs - done))
        for row, length, kind in zip(rows, lengths.tolist(), kinds.tolist(), strict=True):
            content = row[:length].copy()
            said = read(reader, content, kind, int(rng.integers(0, 1 << 32)))  # at one place it would be said again
            require(said == expected(content, kind), f"{bytes(content)!r} is read as {said}")
            found += len(said)
            if kind == HELLO and length:
                segments = segments_of(rng, content.tobytes())
                said = read_segments(MarkReader(marks=1), segments)
                require(said == names_twin.hello_in_segments(segments), f"{segments!r} are read as {said}")
        done += len(rows)
    return found

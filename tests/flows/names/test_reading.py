"""DNS answers and TLS hellos against their plain twin, published fingerprints, OpenSSL and tshark."""

import shutil
import ssl
import struct
import subprocess
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.batch import address
from flows.meter import Meter
from flows.names.hello import client_hello
from flows.names.layout import (
    DNS_ANSWER,
    HELLO,
    HELLO_OF_FLOW,
    HELLO_PART,
    K_AT,
    K_B_LOW,
    K_END,
    K_KIND,
    K_PORTS,
    K_SENDER,
    K_SEQUENCE,
    REVERSE,
    S_A_HIGH,
    S_A_LOW,
    S_B_HIGH,
    S_B_LOW,
    S_FROM,
    S_KIND,
    S_LENGTH,
    S_PORTS,
)
from flows.names.reading import MarkReader
from flows.names.segments import BEGUN
from sensor.synth.pcap import pcap_bytes
from tests.support import names_twin
from tests.support.examples import examples
from tests.support.packets import block, ip

PUBLISHED = "t13d1516h2_8daaf6152771_e5627efa2ab1"  # the example of JA4's own document


def said(content: bytes, kind: int) -> list[tuple[object, ...]]:
    """What a payload says. Nothing stands behind it in its buffer."""
    reader = MarkReader(marks=1)
    reader.marks[[K_KIND, K_AT, K_END, K_PORTS, K_B_LOW]] = kind, 3, 3 + len(content), 4 << 40, 7
    reader.read(np.frombuffer(bytearray(b"xyz" + content), dtype=np.uint8), 1)
    seen = reader.take()
    found: list[tuple[object, ...]] = []
    for words in seen.words.tolist():
        text = seen.text[words[S_FROM] : words[S_FROM] + words[S_LENGTH]].tobytes()
        if words[S_KIND] == HELLO_OF_FLOW:
            hello = client_hello(text)
            found.append((hello.server_name, hello.ja4))
        else:
            assert (words[S_B_HIGH], words[S_B_LOW], words[S_PORTS] & 0xFF) == (0, 7, 4)
            ip_text = address(words[S_A_HIGH], words[S_A_LOW], words[S_PORTS] >> 40)
            found.append((ip_text, text.decode("ascii"), words[S_KIND] == REVERSE))
    return found


def answers(message: bytes) -> list[tuple[object, ...]]:
    return said(message, DNS_ANSWER)


def hello(segment: bytes) -> tuple[object, ...]:
    return said(segment, HELLO)[0] if said(segment, HELLO) else (None, None)


def labels(name: bytes) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in name.split(b".") if label) + b"\0"


def message(
    question: bytes, kind: int, *records: tuple[bytes, int, bytes], flags: int = 0x8180, count: int = -1
) -> bytes:
    head = struct.pack("!HHHHHH", 1, flags, 1, len(records) if count < 0 else count, 0, 0)
    body = labels(question) + struct.pack("!HH", kind, 1)
    return (
        head
        + body
        + b"".join(owner + struct.pack("!HHIH", of, 1, 300, len(data)) + data for owner, of, data in records)
    )


QUESTION = b"\xc0\x0c"
V4 = ip_address("198.51.100.7").packed
V6 = ip_address("2001:db8::7").packed


def test_an_address_has_the_name_that_was_asked_for_though_it_is_an_alias() -> None:
    found = answers(
        message(
            b"WWW.example.org", 1,
            (QUESTION, 5, labels(b"a.cdn.example")),
            (labels(b"A.cdn.example"), 5, labels(b"b.cdn.example")),
            (labels(b"b.cdn.example"), 1, V4),
            (labels(b"b.cdn.example"), 28, V6),
            (labels(b"other.example"), 1, V4),
        )
    )  # fmt: skip
    assert found == [("198.51.100.7", "www.example.org", False), ("2001:db8::7", "www.example.org", False)]


def test_a_reverse_lookup_names_the_address_that_was_asked_for() -> None:
    four = message(b"7.100.51.198.in-addr.arpa", 12, (QUESTION, 12, labels(b"host-7.example.org")))
    name = ip_address("2001:db8::7").reverse_pointer.encode()
    assert answers(four) == [("198.51.100.7", "host-7.example.org", True)]
    assert answers(message(name, 12, (QUESTION, 12, labels(b"six.example")))) == [("2001:db8::7", "six.example", True)]
    assert answers(message(b"256.100.51.198.in-addr.arpa", 12, (QUESTION, 12, labels(b"x.example")))) == []


@pytest.mark.parametrize("flags", [0x0180, 0x8183, 0x8182, 0xA180])
def test_questions_errors_and_other_operations_say_nothing(flags: int) -> None:
    assert answers(message(b"example.org", 1, (QUESTION, 1, V4), flags=flags)) == []


def test_bytes_that_a_terminal_could_obey_are_written_as_numbers() -> None:
    strange = b"a\x1b[31m\\x\xe2\x80\xae"
    content = message(b"q", 1, (QUESTION, 1, V4)).replace(b"\x01q\0", bytes((len(strange),)) + strange + b"\0")
    assert answers(content) == [("198.51.100.7", "a\\027[31m\\092x\\226\\128\\174", False)]


def test_of_a_long_name_the_end_is_kept() -> None:
    name = b".".join([b"x" * 60] * 3 + [b"tunnel.example"])
    ((_, told, _),) = answers(message(name, 1, (QUESTION, 1, V4)))
    assert (told[:4], told[-14:], len(told)) == ("...x", "tunnel.example", 80)  # type: ignore[index, arg-type]


@pytest.mark.parametrize(("pointed", "read"), [(16, True), (17, False)])
def test_few_labels_of_a_name_may_be_pointed_at(pointed: int, read: bool) -> None:
    """Else each record of a message could cost as much as a message of many."""
    question = b".".join([b"a"] * pointed)
    base = 12 + len(labels(question)) + 4 + 12
    chain = b"".join(b"\1a" + struct.pack("!H", 0xC000 | base + 4 * n) for n in range(1, pointed)) + b"\1a\0"
    content = message(question, 1, (QUESTION, 16, chain), (struct.pack("!H", 0xC000 | base), 1, V4))
    assert bool(answers(content)) == read
    assert answers(content) == names_twin.answers(content)


def test_pointers_that_go_round_end() -> None:
    looped = message(b"x", 1, (b"\xc0\x0c", 1, V4)).replace(b"\x01x\0", b"\x01x\xc0\x0c")
    assert answers(looped) == names_twin.answers(looped) == []
    itself = message(b"", 1, (b"\xc0\x0c", 1, V4))[:12] + b"\xc0\x0c" + message(b"", 1, (b"\xc0\x0c", 1, V4))[13:]
    assert answers(itself) == names_twin.answers(itself) == []


NAMES = st.lists(st.binary(min_size=1, max_size=6) | st.binary(max_size=63), max_size=5)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Messages that may be right: few names, owners that point at them or anywhere, counts that may lie, cut."""

    def name() -> bytes:
        if draw(st.booleans()):
            return b"\xc0" + bytes((draw(st.sampled_from([12, 12, 12, 14, 31, 200]) | st.integers(0, 255)),))
        parts = draw(NAMES | st.sampled_from([[b"a", b"bc"], [b"A", b"BC"]]))
        return b"".join(bytes((len(part),)) + part for part in parts) + draw(st.sampled_from([b"\0", b"\xc0\x0c"]))

    asked = draw(st.sampled_from([labels(b"a.bc"), labels(b"7.0.0.10.in-addr.arpa"), name()]))
    kinds = st.sampled_from([1, 5, 12, 28, 16])
    count = draw(st.integers(0, 6))
    content = struct.pack(
        "!HHHHHH", 1, draw(st.sampled_from([0x8180] * 8 + [0x8583, 0x0100])), draw(st.sampled_from([1] * 8 + [0, 2])),
        draw(st.sampled_from([count, count, 65535])), 0, 0,
    )  # fmt: skip
    content += asked + struct.pack("!HH", draw(st.sampled_from([1, 12, 28])), draw(st.sampled_from([1] * 9 + [3])))
    for _ in range(count):
        kind = draw(kinds)
        data = {1: draw(st.binary(min_size=4, max_size=4)), 28: draw(st.binary(min_size=16, max_size=16))}.get(kind)
        data = name() if data is None else data
        size = draw(st.sampled_from([len(data)] * 9 + [len(data) + 1, 0]))
        content += name() + struct.pack("!HHIH", kind, draw(st.sampled_from([1] * 9 + [4])), 1, size) + data
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(content) - 1))
        content = content[:at] + draw(st.binary(min_size=1, max_size=1)) + content[at + 1 :]
    return content[: draw(st.sampled_from([len(content)] * 3 + [draw(st.integers(0, len(content)))]))]


@examples(400)
@given(messages())
def test_answers_are_read_as_the_twin_reads_them(content: bytes) -> None:
    assert answers(content) == names_twin.answers(content)


# TLS


def sized(octets: bytes, size: int = 2) -> bytes:
    return len(octets).to_bytes(size) + octets


def made_hello(ciphers: list[int], extensions: list[tuple[int, bytes]], version: int = 0x0303) -> bytes:
    body = struct.pack("!H", version) + bytes(32) + sized(bytes(32), 1)
    body += sized(b"".join(cipher.to_bytes(2) for cipher in ciphers)) + b"\x01\x00"
    if extensions:
        body += sized(b"".join(kind.to_bytes(2) + sized(content) for kind, content in extensions))
    return b"\x16\x03\x01" + sized(b"\x01" + sized(body, 3))


def sni(name: bytes) -> tuple[int, bytes]:
    return 0, sized(b"\0" + sized(name))


def alpn(*names: bytes) -> tuple[int, bytes]:
    return 16, sized(b"".join(sized(name, 1) for name in names))


def listed(*values: int) -> bytes:
    return sized(b"".join(value.to_bytes(2) for value in values))


CIPHERS = [
    *(0x1A1A, 0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030),
    *(0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x009C, 0x009D, 0x002F, 0x0035),
]
SIGNATURES = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)
EXTENSIONS = [
    *((0x2A2A, b""), (0x001B, b"\x02\0\x02"), sni(b"Example.org"), (0x0033, bytes(38)), alpn(b"h2", b"http/1.1")),
    *((0x4469, b"\0\x03\x02h2"), (0x0017, b""), (0x002D, b"\x01\x01"), (0x000D, listed(0x5A5A, *SIGNATURES))),
    *((0x0005, bytes(5)), (0x0023, b""), (0x0012, b""), (0x002B, sized(b"\x7a\x7a\x03\x04\x03\x03", 1))),
    *((0xFF01, b"\0"), (0x000B, b"\x01\0"), (0x000A, listed(0x3A3A, 29, 23, 24)), (0x0015, bytes(180))),
]


def test_the_published_example_has_its_fingerprint() -> None:
    assert hello(made_hello(CIPHERS, EXTENSIONS)) == ("example.org", PUBLISHED)


@pytest.mark.parametrize(
    ("first", "letters"),
    [
        (b"h2", "h2"), (b"http/1.1", "h1"), (b"x", "xx"), (b"", "00"), (b"\xab", "ab"), (b"\xab\xcd", "ad"),
        (b"\x30\xab", "3b"), (b"\x30\x31\xab\xcd", "3d"), (b"\x30\xab\xcd\x31", "01"),
    ],
)  # fmt: skip
def test_protocols_are_told_by_their_first_and_last_character(first: bytes, letters: str) -> None:
    _, ja4 = hello(made_hello([0x1301], [alpn(first)]))
    assert str(ja4).startswith(f"t12i0101{letters}_")


def test_a_hello_without_lists_has_zeros_for_them() -> None:
    assert hello(made_hello([], [])) == (None, "t12i000000_000000000000_000000000000")
    assert hello(made_hello([], [], version=0x0300)) == (None, "ts3i000000_000000000000_000000000000")


def test_a_hello_that_goes_on_in_the_next_segment_has_a_name_where_it_is_there_and_no_fingerprint() -> None:
    whole = made_hello(CIPHERS, EXTENSIONS)
    named = whole.index(b"Example.org") + len(b"Example.org")
    assert hello(whole[:named]) == ("example.org", None)
    assert hello(whole[: named - 1]) == (None, None)
    assert hello(whole[:-1]) == ("example.org", None)


def test_a_hello_with_more_numbers_than_are_kept_has_no_fingerprint() -> None:
    most = (names_twin.LISTED - 11) // 2
    for ciphers in (most - 1, most, most + 1):
        segment = made_hello(list(range(ciphers)), [sni(b"example.org")])
        assert hello(segment) == names_twin.hello(segment)
        assert (hello(segment)[1] is None) == (ciphers + 1 > most)


@st.composite
def hellos(draw: st.DrawFn) -> bytes:
    values = st.sampled_from([0x0A0A, 0xFAFA, 0x1301, 0xC02B, 0x00FF]) | st.integers(0, 65535)
    bodies = st.binary(max_size=12)
    names = st.binary(max_size=90).map(sni) | st.just(sni(b"example.org"))
    protocols = st.lists(st.binary(max_size=9), max_size=3).map(lambda each: alpn(*each))
    versions = st.binary(max_size=9).map(lambda each: (43, sized(each, 1)))
    signatures = st.lists(values, max_size=9).map(lambda each: (13, listed(*each)))
    any_other = st.tuples(values, bodies)
    extensions = draw(st.lists(names | protocols | versions | signatures | any_other, max_size=12))
    content = made_hello(draw(st.lists(values, max_size=20)), extensions, draw(st.sampled_from([0x0301, 0x0303, 2, 9])))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(6, len(content) - 1))
        content = content[:at] + draw(st.binary(min_size=1, max_size=1)) + content[at + 1 :]
    return content[: draw(st.sampled_from([len(content)] * 3 + [draw(st.integers(0, len(content)))]))]


@examples(400)
@given(hellos())
def test_hellos_are_read_as_the_twin_reads_them(segment: bytes) -> None:
    expected = names_twin.hello(segment) if names_twin.begins_hello(segment) else (None, None)
    assert hello(segment) == expected


def said_in(segments: list[names_twin.Segment], reader: MarkReader | None = None, sender: int = 0) -> list[object]:
    """What segments of one sender say one after the other."""
    reader, found = reader or MarkReader(marks=1), []
    for number, (sequence, content) in enumerate(segments):
        kind = HELLO_PART if number else HELLO
        reader.marks[[K_KIND, K_AT, K_END, K_SENDER, K_SEQUENCE]] = kind, 0, len(content), sender, sequence
        reader.read(np.frombuffer(bytearray(content), dtype=np.uint8), 1)
        seen = reader.take()
        kept = [seen.text[words[S_FROM] : words[S_FROM] + words[S_LENGTH]].tobytes() for words in seen.words.tolist()]
        found += [(each.server_name, each.ja4) for each in map(client_hello, kept)]
    return found


POST_QUANTUM = (0x0033, sized((0x11EC).to_bytes(2) + sized(bytes(1216)) + (29).to_bytes(2) + sized(bytes(32))))
LARGE = made_hello(CIPHERS, [*EXTENSIONS[:3], POST_QUANTUM, *EXTENSIONS[4:]])


def test_a_hello_over_segments_has_its_fingerprint_when_the_last_one_has_come() -> None:
    assert hello(LARGE) == ("example.org", PUBLISHED)
    for cut in (6, 43, 60, 1388, len(LARGE) - 1):
        *before, last = said_in([(2**32 - 9, LARGE[:cut]), ((cut - 9) % 2**32, LARGE[cut:] + b"more")])
        assert last == ("example.org", PUBLISHED)
        assert all(each == ("example.org", None) for each in before)
    late = [(0, LARGE[:500]), (1000, LARGE[1000:]), (0, LARGE[:500]), (500, LARGE[500:1000])]
    assert said_in(late)[-1] == ("example.org", PUBLISHED)


def test_a_segment_that_is_sent_again_takes_no_fingerprint_away() -> None:
    reader, parts = MarkReader(marks=1), [(7, LARGE[:1388]), (1395, LARGE[1388:])]
    assert said_in(parts, reader)[-1] == ("example.org", PUBLISHED)
    assert said_in(parts[:1], reader) == []
    assert said_in([(7, LARGE[:600])], reader) == []
    assert said_in([(7, LARGE)], reader) == [("example.org", PUBLISHED)]  # as of another connection


def test_a_segment_that_is_sent_again_with_more_goes_on() -> None:
    reader = MarkReader(marks=1)
    said_in([(7, LARGE[:500])], reader)
    assert said_in([(7, LARGE[:1388]), (1395, LARGE[1388:])], reader)[-1] == ("example.org", PUBLISHED)


def test_hellos_of_many_go_on_at_once_and_those_begun_longest_ago_give_way() -> None:
    reader = MarkReader(marks=1)
    for sender in range(BEGUN + 1):
        said_in([(0, LARGE[:700])], reader, sender)
    for sender, whole in ((BEGUN, True), (1, True), (0, False)):
        reader.marks[[K_KIND, K_AT, K_END, K_SENDER, K_SEQUENCE]] = HELLO_PART, 700, len(LARGE), sender, 700
        reader.read(np.frombuffer(bytearray(LARGE), dtype=np.uint8), 1)
        assert bool(len(reader.take())) == whole


@examples(200)
@given(hellos(), st.data())
def test_segments_in_any_order_are_put_together_as_the_twin_does(content: bytes, data: st.DataObject) -> None:
    begins = st.integers(0, max(0, len(content) - 1))
    sizes = st.sampled_from([1, 5, 40, 100, 4000])
    parts = [(0, data.draw(sizes)), *data.draw(st.lists(st.tuples(begins, sizes), max_size=6))]
    first = data.draw(st.sampled_from([0, 2**31, 2**32 - 50]))
    segments = [((first + begin) % 2**32, content[begin : begin + size]) for begin, size in parts]
    assert said_in(segments) == names_twin.hello_in_segments(segments)


def openssl_hello(name: str, *protocols: str, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    """What OpenSSL says."""
    context = ssl.create_default_context()
    context.maximum_version = newest
    if protocols:
        context.set_alpn_protocols(list(protocols))
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return to_server.read()


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_names_and_lists_are_those_of_tshark(tmp_path: Path) -> None:
    hellos_of = [
        openssl_hello("example.org", "h2", "http/1.1"),
        openssl_hello("old.example", newest=ssl.TLSVersion.TLSv1_2),
        openssl_hello("xn--bcher-kva.example", "acme-tls/1"),
        made_hello(CIPHERS, EXTENSIONS),
    ]
    replies = [
        message(b"www.example.org", 1, (QUESTION, 5, labels(b"cdn.example")), (labels(b"cdn.example"), 1, V4)),
        message(b"www.example.org", 28, (QUESTION, 28, V6)),
        message(b"7.100.51.198.in-addr.arpa", 12, (QUESTION, 12, labels(b"host-7.example.org"))),
    ]
    frames = [
        ip("10.0.0.1", "198.51.100.7", 6, struct.pack("!HHIIBBHHH", 40000 + n, 443, 1, 1, 0x50, 24, 64240, 0, 0) + each)
        for n, each in enumerate(hellos_of)
    ] + [
        ip("10.0.0.9", "10.0.0.1", 17, struct.pack("!HHHH", 53, 50000 + n, 8 + len(each), 0) + each, vlan=(7,))
        for n, each in enumerate(replies)
    ]
    capture = tmp_path / "names.pcap"
    capture.write_bytes(pcap_bytes((each.ts_ns, each.frame) for each in frames))
    fields = (
        *("tls.handshake.extensions_server_name", "tls.handshake.ciphersuite", "tls.handshake.extension.type"),
        *("tls.handshake.sig_hash_alg", "tls.handshake.extensions_alpn_str"),
        *("tls.handshake.extensions.supported_version", "tls.handshake.version"),
        *("dns.qry.name", "dns.a", "dns.aaaa", "dns.ptr.domain_name"),
    )
    command = ["tshark", "-r", str(capture), "-n", "-T", "fields", *(word for name in fields for word in ("-e", name))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    for row, segment in zip(rows, hellos_of, strict=False):
        assert hello(segment) == (row[0].lower(), ja4_of_tshark(*row[:7]))
    for row, reply in zip(rows[len(hellos_of) :], replies, strict=True):
        ((told_of, name, reverse),) = answers(reply)
        if reverse:
            assert (name, ip_address(str(told_of)).reverse_pointer) == (row[10], row[7])
        else:
            assert (name, told_of) == (row[7], row[8] or row[9])


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_a_hello_over_segments_is_that_of_tshark(tmp_path: Path) -> None:
    ends = struct.pack("!HH", 40000, 443)
    cuts = [(0, 1200), (1200, len(LARGE))]
    segments = [
        ip(
            "10.0.0.1",
            "198.51.100.7",
            6,
            ends + struct.pack("!IIBBHHH", 1 + begin, 1, 0x50, 24, 64240, 0, 0) + LARGE[begin:end],
        )
        for begin, end in cuts
    ]
    capture = tmp_path / "segments.pcap"
    capture.write_bytes(pcap_bytes((each.ts_ns, each.frame) for each in segments))
    fields = (
        *("tls.handshake.extensions_server_name", "tls.handshake.ciphersuite", "tls.handshake.extension.type"),
        *("tls.handshake.sig_hash_alg", "tls.handshake.extensions_alpn_str"),
        *("tls.handshake.extensions.supported_version", "tls.handshake.version"),
    )
    command = ["tshark", "-r", str(capture), "-n", "-T", "fields", *(word for name in fields for word in ("-e", name))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    first, second = (line.split("\t") for line in done.stdout.splitlines())
    assert first[0] == ""
    meter = Meter(8, names=True)
    meter.feed(block(segments))
    kept = meter.sightings()
    words = kept.words[-1]
    found = client_hello(kept.text[words[S_FROM] : words[S_FROM] + words[S_LENGTH]].tobytes())
    assert (found.server_name, found.ja4) == (second[0].lower(), ja4_of_tshark(*second))


def ja4_of_tshark(name: str, ciphers: str, kinds: str, signed: str, alpns: str, versions: str, old: str) -> str:
    """JA4 of the numbers that tshark dissected."""

    def those(text: str) -> list[int]:
        found = [int(number, 0) for number in text.split(",") if number]
        return [number for number in found if not names_twin.is_grease(number)]

    version = max(those(versions), default=int(old, 0))
    first = alpns.split(",", maxsplit=1)[0]
    head = f"t{ {0x0304: '13', 0x0303: '12'}[version] }{'d' if name else 'i'}{len(those(ciphers)):02}"
    head += f"{len(those(kinds)):02}{first[:1] + first[-1:] if first else '00'}"
    hashed = names_twin.listed(sorted(names_twin.set_aside(those(kinds))))
    if signed:
        hashed += f"_{names_twin.listed(those(signed))}"
    return f"{head}_{names_twin.digest(names_twin.listed(sorted(those(ciphers))))}_{names_twin.digest(hashed)}"

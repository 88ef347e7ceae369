"""Small files and bodies that are made to become large, deep or slow while they are parsed. Each is at most 1 MB."""

import bz2
import gzip
import io
import json
import lzma
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from flows.dialects import CIC2017

MOST: Final = 1_000_000  # bytes of each

SECTION: Final = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
INTERFACE: Final = struct.pack("<IIHHII", 1, 20, 1, 0, 65535, 20)
CUSTOM: Final = struct.pack("<III", 0x0BAD, 12, 12)
OPTIONS: Final = struct.pack("<HH", 1, 0) * 16_000
MANY_OPTIONS: Final = (
    struct.pack("<IIHHI", 1, 20 + len(OPTIONS), 1, 0, 65535) + OPTIONS + struct.pack("<I", 20 + len(OPTIONS))
)
PCAP: Final = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
EMPTY_PACKET: Final = struct.pack("<IIII", 1_700_000_000, 0, 0, 0)
LONG_BLOCK: Final = struct.pack("<II", 0x0BAD, 16 << 20) + bytes((16 << 20) - 12) + struct.pack("<I", 16 << 20)


def _times(part: bytes, size: int = MOST) -> bytes:
    return part * (size // len(part))


def _gzip(parts: Iterator[bytes]) -> bytes:
    """Compressed as far as the result has at most MOST bytes."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0) as stream:
        for part in parts:
            stream.write(part)
            if packed.tell() > MOST - 60_000:
                break
    return packed.getvalue()


def _zstd(content: bytes, times: int) -> bytes:
    from zstandard import ZstdCompressor

    packed = ZstdCompressor(level=3).compress(content)
    assert len(packed) * times < MOST
    return packed * times


def captures() -> Iterator[tuple[str, bytes]]:
    """Captures by name of the file."""
    yield "sections.pcapng", _times(SECTION)
    yield "interfaces.pcapng", SECTION + _times(INTERFACE, MOST - 28)
    yield "custom.pcapng", SECTION + _times(CUSTOM, MOST - 28)
    yield "options.pcapng", SECTION + _times(MANY_OPTIONS, MOST - 28)
    sections, described = _times(SECTION, 4 << 20), SECTION + _times(INTERFACE, 1 << 20)
    yield "sections.pcapng.gz", _gzip(sections for _ in range(40))
    yield "interfaces.pcapng.gz", _gzip(described for _ in range(160))
    yield "custom.pcapng.gz", _gzip(SECTION * (i == 0) + _times(CUSTOM, 4 << 20) for i in range(80))
    yield "options.pcapng.gz", _gzip(SECTION * (i == 0) + MANY_OPTIONS * 16 for i in range(80))
    yield "long.pcapng.gz", _gzip(SECTION * (i == 0) + LONG_BLOCK for i in range(20))
    yield "sections.pcapng.zst", _zstd(sections, 100)
    yield "custom.pcapng.zst", _zstd(SECTION, 1) + _zstd(_times(CUSTOM, 4 << 20), 400)
    yield "packets.pcap.gz", _gzip(PCAP * (i == 0) + _times(EMPTY_PACKET, 4 << 20) for i in range(16))
    yield "zeros.pcap.gz", _gzip(bytes(1 << 20) for _ in range(900))
    yield "members.pcap.gz", _times(gzip.compress(b"", mtime=0))
    yield "blocks.pcap.zst", b"\x28\xb5\x2f\xfd\x00\x58" + bytes(3) * 300_000
    yield "streams.pcap.bz2", _times(bz2.compress(b""))
    yield "zeros.pcap.bz2", _times(bz2.compress(bytes(45 << 20)), MOST // 2)
    yield "zeros.pcap.xz", lzma.compress(bytes(64 << 20), preset=1)
    yield "streams.pcap.xz", _times(lzma.compress(b""))
    yield "zeros.pcap.lz4", _lz4()


def _lz4() -> bytes:
    from lz4.frame import compress

    packed: bytes = compress(bytes(64 << 20))
    return packed


def tables() -> Iterator[tuple[str, bytes]]:
    """Tables as CSV by name of the file."""
    names = ",".join(CIC2017.header).encode()
    yield "commas.csv", b"a" + b"," * (MOST - 2)
    yield "columns.csv", b",".join(b"%d" % i for i in range(140_000))
    yield "blank.csv", names + b"\n" * (MOST - len(names))
    row = b"\n" + b"1," * (len(CIC2017.header) - 1) + b"1\n"
    yield "short.csv", names + row + b"1\n" * ((MOST - len(names) - len(row)) // 2 - 1)
    yield "quote.csv", names + b'\n"' + b"1,\n" * 300_000
    yield "digits.csv", names + b"\n" + b"9" * (MOST - 1000) + b",1" * (len(CIC2017.header) - 1)
    yield "nul.csv", names + b"\n" + bytes(MOST - 1000)
    yield "header.csv", b"x" * (MOST - 1)
    yield "blank.csv.gz", _gzip(names * (i == 0) + b"\n" * (1 << 20) for i in range(900))
    yield "commas.csv.gz", _gzip(b"," * (1 << 20) for _ in range(900))
    yield "short.csv.gz", _gzip((names + row) * (i == 0) + b"1\n" * (1 << 19) for i in range(200))
    kdd = b"0,tcp,http,SF" + b",0" * 37
    yield "kdd-rows.txt", _times(kdd + b",normal,20\n")
    yield "kdd-symbols.txt", b"".join(b"0,tcp,s%d,SF%b,normal,20\n" % (i, b",0" * 37) for i in range(8_000))
    yield "kdd-commas.txt", kdd + b"," * (MOST - 200)


def bodies() -> Iterator[tuple[str, bytes]]:
    """Bodies of score requests."""
    yield "deep lists", b"[" * MOST
    yield "deep rows", b'{"rows": ' + b"[" * 400_000 + b"]" * 400_000 + b"}"
    yield "rows of lists", b'{"rows": [' + b"[]," * 330_000 + b"[]]}"
    yield "rows of objects", b'{"rows": [' + b"{}," * 330_000 + b"{}]}"
    yield "rows of numbers", b'{"rows": [' + b"1," * 490_000 + b"1]}"
    yield "values elsewhere", b'{"a": [' + b"1.5," * 240_000 + b'1], "rows": [{"a": 1}]}'
    many = b", ".join(b'"fwd_bytes%d": 1' % i for i in range(55_000))
    yield "a row of many names", b'{"rows": [{' + many + b"}]}"
    yield "many names in all", b"{" + many + b', "rows": [{"a": 1}]}'
    nested = b", ".join(b'"%d": 1' % i for i in range(80_000))
    yield "a nested object of many names", b'{"rows": [{"a": {' + nested + b', "79999": 2}}]}'
    yield "a long number", b'{"rows": [{"flow_duration": ' + b"9" * 990_000 + b"}]}"
    yield "a long fraction", b'{"rows": [{"flow_duration": 0.' + b"1" * 990_000 + b"}]}"
    yield "a long exponent", b'{"rows": [{"flow_duration": 1e' + b"1" * 990_000 + b"}]}"
    yield "a long name", b'{"rows": [{"' + b"fwd_bytes" * 110_000 + b'": 1}]}'
    yield "a long text", b'{"rows": [{"fwd_bytes": "' + b"a" * 990_000 + b'"}]}'
    yield "escapes", b'{"rows": [{"' + b"\\u0000" * 160_000 + b'": 1}]}'
    yield "near names", b'{"rows": [{' + b", ".join(b'"fwd_byte%s%d": 1' % (b"s" * 60, i) for i in range(250)) + b"}]}"
    rows = [{f"fwd_bytes_{i}": "x" for i in range(100)}] * 500
    yield "rows of texts", json.dumps({"rows": rows}).encode()[:MOST]
    yield "blanks", b'{"rows": ' + b" " * 980_000 + b"[]}"


def alert_files() -> Iterator[tuple[str, bytes]]:
    """Files of alert lines."""
    yield "deep.jsonl", b"[" * (MOST - 1) + b"\n"
    yield "deep-object.jsonl", b'{"a":' * 160_000 + b"1" + b"}" * 160_000 + b"\n"
    yield "digits.jsonl", b'{"a": ' + b"9" * 990_000 + b"}\n"
    yield "names.jsonl", b"{" + b", ".join(b'"k%d": 1' % i for i in range(80_000)) + b"}\n"
    yield "blank.jsonl", b"\n" * MOST
    yield "empty-objects.jsonl", b"{}\n" * (MOST // 3)
    yield "wrong.jsonl", b"x\n" * (MOST // 2)
    yield "line.jsonl", b'{"a": "' + b"x" * 990_000 + b'"}\n'
    yield "blank.jsonl.gz", _gzip(b"\n" * (1 << 20) for _ in range(900))
    yield "line.jsonl.gz", _gzip(b"x" * (1 << 20) for _ in range(900))


def parquet_files(directory: Path) -> Iterator[Path]:
    """Parquet files that say more than they hold, written into a directory."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = 20_000_000
    kinds: Mapping[str, Callable[[], pa.Table]] = {
        "rows": lambda: pa.table({"a": pa.repeat(1, rows)}),
        "columns": lambda: pa.table({f"c{i}": pa.array([1]) for i in range(3_000)}),
        "nested": lambda: pa.table({"a": pa.array([_nested(60)])}),
        "text": lambda: pa.table({"a": pa.array(["x" * 1_000_000] * 200).dictionary_encode()}),
    }
    for name, made in kinds.items():
        path = directory / f"{name}.parquet"
        parquet.write_table(made(), path, compression="zstd", row_group_size=rows)
        assert path.stat().st_size <= MOST, (name, path.stat().st_size)
        yield path


def _nested(depth: int) -> object:
    return 1 if depth == 0 else [_nested(depth - 1)]


def yaml_texts() -> Iterator[tuple[str, str]]:
    """YAML that grows by aliases, nesting, names or digits."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    yield "laughs", "\n".join(lines)
    yield "itself", "a: &a [*a]\n"
    yield "merged", "a: &a {x: 1}\nb:\n  <<: *a\n"
    yield "deep", "a: " + "[" * 50_000
    yield "deep-mapping", "\n".join(" " * i + f"k{i}:" for i in range(400)) + " 1\n"
    yield "digits", "a: " + "9" * 60_000
    yield "base-60", "a: 1" + ":1" * 30_000
    yield "hexadecimal", "a: 0x" + "f" * 60_000
    yield "repeated", "a: 1\n" * 10_000
    yield "names", "".join(f"k{i}: 1\n" for i in range(8_000))
    yield "long", "a: " + "x" * 990_000
    yield "tag", "a: !!python/object/apply:os.system [true]\n"
    yield "documents", "a: 1\n---\n" * 5_000
    yield "nul", "a: \x00\n"
    yield "comment", "#" * 900_000
    yield "flow", "a: {" + ", ".join(f"k{i}: [1]" for i in range(5_000)) + "}\n"
    yield "anchors", "\n".join(f"a{i}: &x{i} 1" for i in range(4_000))
    yield "escapes", 'a: "' + "\\x41" * 15_000 + '"\n'
    yield "block", "a: |\n" + "  x\n" * 15_000
    yield "dates", "a: 2026-99-99\nb: 9999-12-31 99:99:99\n"
    yield from yaml_oddities()


def yaml_oddities() -> Iterator[tuple[str, str]]:
    """Small YAML that its grammar allows, or nearly, and that no text, number or name of ours can be."""
    yield "value", "a: =\n"
    yield "value-key", "=: a\n"
    yield "value-tagged", "a: ! =\n"
    yield "merge", "a: <<\n"
    yield "half-character", 'a: "\\uD800"\n'
    yield "half-character-key", '"\\uDFFF": a\n'
    yield "nul-escape", 'a: "\\0"\n'
    yield "beyond-unicode", 'a: "\\U00110000"\n'
    yield "beyond-integers", 'a: "\\UFFFFFFFF"\n'
    yield "yaml-version", "%YAML 1." + "1" * 5_000 + "\n---\na: 1\n"
    yield "yaml-major", "%YAML " + "1" * 5_000 + ".1\n---\na: 1\n"
    yield "same-number", "1: a\n01: b\n"
    yield "same-truth", "yes: a\ntrue: b\n"
    yield "name-of-lines", '? "a\\nb"\n: c\n'
    yield "name-of-orders", '"\\e[2Ja": b\n'
    yield "zone", "a: 2001-01-01 00:00:00 +99:99\n"
    yield "bare-prefix", "a: 0x_\nb: 0b_\n"
    yield "indentation", "a: |" + "9" * 5_000 + "\n x\n"
    yield "handle", "!" + "%FF" * 2_000 + " a\n"

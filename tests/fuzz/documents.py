"""Changed files of every kind but captures through their readers: each is read, or refused as its reader documents.

A refusal is one line; nothing else may be raised, a file of some kilobytes takes seconds at most, and memory stays.
"""

import re
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from flows.columns import NAMES
from flows.kdd.columns import FLAGS, PROTOCOLS, SERVICES, kdd_columns
from models.bundle import BundleError, load_bundle
from sensor.alerts.alert import Endpoint
from sensor.alerts.alert_record import alert_line
from sensor.alerts.reading import ReadErrors, entries
from sensor.api.body import parse_score_request
from sensor.api.capture import is_capture
from sensor.api.cic import CicFormat
from sensor.api.csv_table import parse_csv
from sensor.api.kdd import KddFormat
from sensor.api.problems import Problem
from sensor.cli.build import load_model
from sensor.errors import SensorError
from sensor.geoip.databases import opened
from sensor.settings.config import Config, effective_config
from sensor.site.file import read_notes
from sensor.sources.captures.files import CaptureFile
from tests.fuzz.logs import flow_logs, read_flow_log
from tests.fuzz.processes import REPOSITORY
from tests.fuzz.promises import BrokenPromiseError, require
from tests.support.alerts import an_alert
from tests.support.capture_bytes import Arriving
from tests.support.geo import EXAMPLE_NET, LYON, cities
from tests.support.native import a_drift_line, a_flow_line, a_logged_flow_line, a_stats_line, an_event_line
from training.datasets.collection import read_dataset
from training.datasets.kdd import read_kdd
from training.errors import LabelMapError, TrainingError
from training.recipe import read_recipe

LONGEST_S: Final = 10.0  # of CPU for a file of some kilobytes
MOST_MB: Final = 1024  # that a part of the run may come to need
ROOM: Final = 200  # inputs of a kind that showed something new
GOLDEN: Final = REPOSITORY / "tests" / "golden"
TOKENS: Final = (
    b"{", b"}", b"[", b"]", b":", b",", b'"', b"null", b"true", b"NaN", b"Infinity", b"-", b"0", b"-1", b"1e999",
    b"18446744073709551616", b"9" * 400, b"0x10", b".5", b"\n", b"\r\n", b"\0", b"\xff\xfe", b"\xef\xbb\xbf",
    b"\xed\xa0\x80", b"\x1b[2J", b"\xe2\x80\xae", b"&a ", b"*a", b"<<: ", b"!!python/object:os.system ", b"- ", b"# ",
    b"'", b"\\u0000", b"\\ud800", b"\t", b" " * 300, b"[" * 300, b'{"a":' * 200, b"2026-02-30", b"::1", b"0.0.0.0/0",
)  # fmt: skip
NUMBER: Final = re.compile(rb"-?\d+(?:\.\d+)?")
OPERATIONS: Final = 10


@dataclass
class Document:
    """A kind of file."""

    name: str  # of the file, whose ending may matter
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], object]
    refusals: tuple[type[Exception], ...]
    binary: bool = False
    body: Callable[[bytearray], int] | None = None  # bytes before what says where they lie; None: nothing says that
    inputs: list[bytes] = field(default_factory=list)
    outcomes: set[str] = field(default_factory=set)


def fuzz_documents(rng: np.random.Generator, files: int, kinds: Sequence[Document] | None = None) -> Counter[str]:
    """Read that many changed files; how many of each kind, and were read. Raises BrokenPromiseError."""
    counts: Counter[str] = Counter()
    kinds = documents() if kinds is None else kinds
    for kind in kinds:
        kind.inputs, kind.outcomes = [*kind.seeds()], set()
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory(prefix="flowvigil-fuzz-") as scratch:
        for number in range(files):
            kind = kinds[number % len(kinds)]
            content = changed(rng, kind)
            outcome = try_one(kind, Path(scratch), content)
            counts[kind.name] += 1
            counts["read"] += outcome == "read"
            if outcome not in kind.outcomes:
                kind.outcomes.add(outcome)
                if len(kind.inputs) < ROOM:
                    kind.inputs.append(content)
    grown_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before_mb
    require(grown_mb < MOST_MB, f"reading small files took {grown_mb:.0f} MB")
    return counts


def try_one(kind: Document, scratch: Path, content: bytes) -> str:
    """How reading it ended: "read", or the refusal without its numbers. Raises BrokenPromiseError."""
    path = scratch / kind.name
    path.write_bytes(content)
    began = time.process_time()
    try:
        kind.read(path)
        outcome = "read"
    except kind.refusals as refusal:
        text = refusal.detail if isinstance(refusal, Problem) else str(refusal)
        require("\n" not in text, f"{kind.name}: a refusal of more than one line: {text!r}")
        outcome = re.sub(r"\d+|\"[^\"]*\"", "", text)[:200]
    except BrokenPromiseError:
        raise
    except Exception as error:
        kept = Path(tempfile.gettempdir()) / f"flowvigil-fuzz-{kind.name}"
        kept.write_bytes(content)
        raise BrokenPromiseError(f"{kind.name} ({kept}): {type(error).__name__}: {error}") from error
    took = time.process_time() - began
    require(took < LONGEST_S, f"{kind.name}: reading {len(content):,} bytes took {took:.1f} s")
    return outcome


def changed(rng: np.random.Generator, kind: Document) -> bytes:
    """A changed copy of one of the inputs."""
    content = bytearray(kind.inputs[int(rng.integers(len(kind.inputs)))])
    inside = kind.body is not None and rng.random() < 0.7
    for _ in range(int(rng.integers(1, 6))):
        if inside and kind.body is not None:
            change_inside(rng, content, kind.body(content))
        else:
            change(rng, content, kind)
    return bytes(content)


def change_inside(rng: np.random.Generator, content: bytearray, end: int) -> None:
    """Other bytes in the place of some of the first, so that all lies where it lay."""
    at = int(rng.integers(end))
    other = rng.bytes(int(rng.choice([1, 2, 8, 100])))[: end - at]
    content[at : at + len(other)] = other


def parquet_body(content: bytearray) -> int:
    """Bytes before the footer of a Parquet file, all where there is none."""
    end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    return end if end > 0 else max(1, len(content))


def change(rng: np.random.Generator, content: bytearray, kind: Document) -> None:
    """One change."""
    size = len(content)
    at = int(rng.integers(size + 1))
    length = int(rng.choice([1, 2, 4, 16, 100, 1000]))
    match int(rng.integers(OPERATIONS)):
        case 0 if at < size:
            content[at] ^= 1 << int(rng.integers(8))
        case 1 if at < size:
            content[at] = int(rng.integers(256))
        case 2:
            del content[at : at + length]
        case 3:
            content[at:at] = content[at : at + length]
        case 4:
            del content[at:]
        case 5:
            other = kind.inputs[int(rng.integers(len(kind.inputs)))]
            content[at:] = other[int(rng.integers(len(other) + 1)) :]
        case 6 | 7 if not kind.binary:
            content[at:at] = TOKENS[int(rng.integers(len(TOKENS)))]
        case 8 | 9 if not kind.binary:
            change_number(rng, content)
        case _:
            content[at : at + 4] = rng.bytes(4)


def change_number(rng: np.random.Generator, content: bytearray) -> None:
    """Another number, or no number, in place of one of the first some hundred."""
    found = [match.span() for _, match in zip(range(400), NUMBER.finditer(content), strict=False)]
    if found:
        first, last = found[int(rng.integers(len(found)))]
        content[first:last] = TOKENS[int(rng.integers(len(TOKENS)))]


@cache
def documents() -> tuple[Document, ...]:
    """All kinds."""
    training = (TrainingError, LabelMapError)
    return (
        Document("alerts.jsonl", alert_lines, read_alerts, (SensorError,)),
        Document("settings.yaml", settings, effective_config, (SensorError,)),
        Document("site.yaml", site_notes, read_notes, (SensorError,)),
        Document("recipe.yaml", recipes, read_recipe, training),
        Document("flows.csv", flow_tables, read_flow_table, training),
        Document("flows.parquet", parquet_tables, read_flow_table, training, binary=True, body=parquet_body),
        Document("kdd.csv", kdd_tables, lambda path: read_kdd(path, silent), training),
        Document("request.json", requests, read_request, (Problem,)),
        Document("request.csv", request_tables, read_request_table, (Problem,)),
        Document("log.parquet", flow_logs, read_flow_log, (SensorError,), binary=True, body=parquet_body),
        Document("manifest.json", manifests, read_manifest, (BundleError,)),
        Document("cities.mmdb", address_databases, read_addresses, (SensorError,), binary=True),
        Document("packed", packed_captures, read_capture, (SensorError,), binary=True),
    )


def silent(_line: str) -> None:
    """Nobody listens."""


def alert_lines() -> list[bytes]:
    alert = (GOLDEN / "alert.json").read_bytes().replace(b"\n", b" ") + b"\n"
    others = [a_stats_line(), a_drift_line(), a_flow_line(), a_logged_flow_line(), an_event_line()]
    return [alert, alert + alert, *others, b"".join([alert, *others])]


def read_alerts(path: Path) -> None:
    errors = ReadErrors()
    for _ in entries([str(path)], errors):
        pass
    require(all("\n" not in line for line in errors.words_without_quotes()), "more than one line about one kind")


def address_databases() -> list[bytes]:
    found = []
    with tempfile.TemporaryDirectory() as directory:
        for networks in (("192.0.2.0/24",), ("192.0.2.0/24", "198.51.100.0/28", "2001:db8::/32")):
            path = cities(Path(directory) / "cities", LYON | EXAMPLE_NET, networks=networks)
            found.append(path.read_bytes())
    return found


def read_addresses(path: Path) -> None:
    with opened(path, None) as geo:
        for ip in ("192.0.2.10", "198.51.100.7", "2001:db8::1", "2001:db9::1"):
            alert_line(geo.of(an_alert(source=Endpoint(ip, None, 0, 0))))


def settings() -> list[bytes]:
    whole = (REPOSITORY / "configs" / "default.yaml").read_bytes()
    outputs = (
        b"outputs:\n  - {type: file, path: a.jsonl}\n  - {type: syslog, address: 'udp://127.0.0.1:514', format: cef}\n"
    )
    return [whole, outputs, b"meter: {capacity_flows: 10}\n", b"capture:\n  filter: tcp port 443\n", b""]


def site_notes() -> list[bytes]:
    book = (REPOSITORY / "docs" / "home.md").read_bytes()
    found = re.findall(rb"```yaml\n(.*?)```", book, re.DOTALL)
    return [*found, b"home: [10.0.0.0/8]\n", b"assets: []\nrules: []\n"]


def recipes() -> list[bytes]:
    return [path.read_bytes() for path in sorted((REPOSITORY / "configs" / "training").glob("*.yaml"))]


def flow_tables() -> list[bytes]:
    rng = np.random.default_rng(5)
    rows = [",".join(str(int(number)) for number in rng.integers(0, 1000, len(NAMES))) for _ in range(4)]
    ours = ",".join(NAMES) + "\n" + "\n".join(rows) + "\n"
    theirs = (
        "Flow ID,Src IP,Src Port,Dst IP,Dst Port,Protocol,Timestamp,Flow Duration,Total Fwd Packet,Label\n"
        "a,10.0.0.1,40000,10.0.0.2,80,6,07/07/2017 03:30:00 PM,120,3,BENIGN\n"
    )
    return [ours.encode(), theirs.encode(), (theirs * 2).encode()]


def parquet_tables() -> list[bytes]:
    found = []
    for names in (NAMES[:12], NAMES):
        labels = pa.array(["BENIGN", "PortScan", "Bot"]).dictionary_encode()
        table = pa.table({name: np.arange(3.0) for name in names} | {"label": labels})
        sink = pa.BufferOutputStream()
        parquet.write_table(table, sink, compression="none")  # so that changes reach the rows
        found.append(sink.getvalue().to_pybytes())
    return found


def read_flow_table(path: Path) -> None:
    read_dataset(path, silent)


def kdd_row() -> str:
    cells = {"protocol_type": PROTOCOLS[0], "service": SERVICES[0], "flag": FLAGS[0]}
    return ",".join(cells.get(column.name, "0") for column in kdd_columns(content=True))


def kdd_tables() -> list[bytes]:
    row = kdd_row()
    header = ",".join(column.name for column in kdd_columns(content=True))
    return [f"{row},normal,20\n{row},neptune,1\n".encode(), f"{header},label\n{row},normal\n".encode()]


@cache
def model() -> Any:
    """The bundle whose rows the API takes."""
    return load_model(Config())


def formats() -> tuple[Any, ...]:
    return CicFormat(model()), KddFormat(content=False)


def requests() -> list[bytes]:
    columns = ",".join(f'"{name}":{i}' for i, name in enumerate(NAMES))
    record = ",".join(
        f'"{column.name}":"x"' if column.kind == "symbol" else f'"{column.name}":0'
        for column in kdd_columns(content=False)
    )
    return [f'{{"rows":[{{{cells}}}],"rate":0.01}}'.encode() for cells in (columns, record)] + [b'{"rows":[]}']


def read_request(path: Path) -> None:
    request = parse_score_request(path.read_bytes())
    parse_all(request.rows)


def parse_all(rows: Any) -> None:
    refusal: Problem | None = None
    for row_format in formats():
        try:
            row_format.parse(rows)
        except Problem as problem:
            refusal = problem
    if refusal is not None:
        raise refusal


def request_tables() -> list[bytes]:
    return [flow_tables()[0], (kdd_row() + "\n").encode()]


def read_request_table(path: Path) -> None:
    content = path.read_bytes()
    if not is_capture(content):
        for row_format in formats():
            row_format.parse(parse_csv(content, row_format).rows)


@cache
def manifests() -> list[bytes]:
    return [(shipped() / "manifest.json").read_bytes()]


def shipped() -> Path:
    """The smallest bundle that is shipped."""
    return REPOSITORY / "models" / "pretrained" / "nsl-kdd-flow"


def read_manifest(path: Path) -> None:
    weights = path.with_name("weights.safetensors")
    if not weights.exists():
        weights.symlink_to(shipped() / "weights.safetensors")
    load_bundle(path.parent)


def packed_captures() -> list[bytes]:
    import bz2
    import gzip
    import lzma

    import lz4.frame
    import zstandard

    from tests.fuzz.readers import PACKETS
    from tests.support.capture_bytes import pcap, pcapng

    found = []
    for plain in (pcap(PACKETS * 4), pcapng(PACKETS)):
        stored: Iterator[bytes] = iter(
            (
                lz4.frame.compress(plain),
                lz4.frame.compress(plain, content_checksum=True, block_size=4),
                lzma.compress(plain),
                bz2.compress(plain),
                gzip.compress(plain, mtime=0),
                zstandard.ZstdCompressor(write_checksum=True).compress(plain),
            )
        )
        for content in stored:
            found += [content, content + content]
        found.append(lz4.frame.compress(gzip.compress(plain, mtime=0)))
    return found


def read_capture(path: Path) -> None:
    source = CaptureFile(Arriving(path.read_bytes(), ()), "test")
    for _ in source:
        pass
    require(source.problem is None or "\n" not in source.problem, "more than one line")

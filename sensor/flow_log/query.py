"""Logged flows asked in the language of sensor.alerts.query: `src:10.0.0.9 dport:445 answered:yes bytes:>1M`.

A query becomes a filter of pyarrow's datasets, so that row groups which cannot hold an answer are not read. A word
without a field is looked for in addresses, labels and ends.

| term                                | holds where                                                               |
|-------------------------------------|---------------------------------------------------------------------------|
| src:, dst:, host:                   | the originator, the responder, either lies in this network                |
| port:, dport:, sport:               | the responder's port (port and dport), the originator's                   |
| proto:, vlan:                       | the protocol by name or number; a VLAN tag, the outer or the inner one    |
| bytes:, packets:, duration:         | of both directions, payload; seconds                                      |
| answered:                           | yes: packets came back; no: none did                                      |
| verdict:, label:, lane:, judged:    | what was said of it; lane: which lanes spoke (known, novel, both)         |
| score:, p:                          | the highest score of a detector; the smaller p-value of both lanes        |
| after:, before:                     | it began from this moment on, before it; UTC                              |
"""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any, Final

from sensor.alerts.query_terms import (
    COMPARISONS,
    PORT,
    Compared,
    Reader,
    Term,
    Within,
    instant,
    network,
    number,
    protocol,
    terms_of,
    text,
    word,
)
from sensor.flow_log.columns import SCORE
from sensor.flow_log.files import FlowsFile
from sensor.flow_log.judge import judged_by
from sensor.printable import printable

if TYPE_CHECKING:
    from pyarrow.compute import Expression

READERS: Final[dict[str, Reader]] = {
    "src": network, "dst": network, "host": network, "port": PORT, "dport": PORT, "sport": PORT, "proto": protocol,
    "vlan": number(4095, whole=True), "bytes": number(1e15, unit=True), "packets": number(1e15, unit=True),
    "duration": number(1e9), "answered": word("yes", "no"), "verdict": word("attack", "uncertain", "benign"),
    "label": text, "lane": word("known", "novel", "both"), "judged": word("yes", "no"), "score": number(1e9),
    "p": number(1), "after": instant(">="), "before": instant("<"),
}  # fmt: skip
SAID: Final = frozenset({"verdict", "label", "lane", "judged", "score", "p"})  # of which flow tables know nothing
# Columns that a filter may look at beside the words, instants and what was said of each flow.
ASKED: Final = (
    *("src_address", "dst_address", "fwd_packets", "bwd_packets", "fwd_bytes", "bwd_bytes", "flow_duration"),
)


def flow_terms(query: str) -> list[Term]:
    """Read a query. Raises QueryError, which says where it went wrong and what was expected there."""
    return terms_of(query, READERS)


def unanswerable(terms: Sequence[Term], file: FlowsFile) -> str | None:
    """Why a file cannot be asked this, one line; None where it can."""
    if file.about is not None:
        return None
    asked = sorted({term.field for term in terms} & SAID)
    if not asked:
        return None
    return f"{printable(str(file.path), 200)}: a flow table knows nothing of {', '.join(asked)}, expected a flow log"


def filter_of(terms: Sequence[Term], file: FlowsFile) -> "Expression | None":
    """What must hold of a row of a file, None where there are no terms."""
    condition = None
    for term in terms:
        holds = _TERMS[term.field](term, file)
        condition = holds if condition is None else condition & holds
    return condition


def _field(name: str) -> Any:
    from pyarrow import compute

    return compute.field(name)


def _compared(value: Any, term: Term) -> Any:
    assert isinstance(term.condition, Compared)  # noqa: S101  # as its reader made it
    limit = term.condition.number
    return COMPARISONS[term.condition.sign](value, int(limit) if float(limit).is_integer() else limit)


def _side(side: str) -> Callable[[Term, FlowsFile], Any]:
    def holds(term: Term, _file: FlowsFile) -> Any:
        assert isinstance(term.condition, Within)  # noqa: S101  # as its reader made it
        return within(term.condition.network, side)

    return holds


def within(wanted: IPv4Network | IPv6Network, side: str) -> Any:
    """That an address lies in a network, by its words, which are signed. side: src or dst."""
    first, last = int(wanted[0]), int(wanted[-1])
    high, low, version = _field(f"{side}_high"), _field(f"{side}_low"), _field("ip_version") == wanted.version
    if wanted.prefixlen == 0:
        return version
    if wanted.version == 4:
        return version & (low >= first) & (low <= last)
    if wanted.prefixlen <= 64:  # the first bit is the same in all of it, and so the sign
        return version & (high >= _signed(first >> 64)) & (high <= _signed(last >> 64))
    mask = (1 << 64) - 1
    return version & (high == _signed(first >> 64)) & (low >= _signed(first & mask)) & (low <= _signed(last & mask))


def _signed(bits: int) -> int:
    return bits - (1 << 64) if bits >> 63 else bits


def _host(term: Term, file: FlowsFile) -> Any:
    return _side("src")(term, file) | _side("dst")(term, file)


def _column(name: str) -> Callable[[Term, FlowsFile], Any]:
    return lambda term, _file: _compared(_field(name), term)


def _both_ways(what: str) -> Callable[[Term, FlowsFile], Any]:
    return lambda term, _file: _compared(_field(f"fwd_{what}") + _field(f"bwd_{what}"), term)


def _vlan(term: Term, _file: FlowsFile) -> Any:
    from pyarrow import compute

    tags = _field("vlan")
    return _compared(compute.shift_right(tags, 12), term) | _compared(compute.bit_wise_and(tags, 0xFFF), term)


def _duration(term: Term, _file: FlowsFile) -> Any:
    return _compared(_field("flow_duration") / 1e6, term)


def _answered(term: Term, _file: FlowsFile) -> Any:
    return _field("bwd_packets") > 0 if _text(term) == "yes" else _field("bwd_packets") == 0


def _verdict(term: Term, _file: FlowsFile) -> Any:
    return _as_text("verdict") == _text(term)


def _label(term: Term, _file: FlowsFile) -> Any:
    from pyarrow import compute

    return compute.utf8_lower(_as_text("label")) == _text(term)


def _judged(term: Term, _file: FlowsFile) -> Any:
    return _field("judged") if _text(term) == "yes" else ~_field("judged")


def _lane(term: Term, file: FlowsFile) -> Any:
    cuts = judged_by(file).cuts
    known, novel = _field("p_known") < cuts[0], _field("p_novel") < cuts[1]
    return {"known": known & ~novel, "novel": novel & ~known, "both": known & novel}[_text(term)]


def _score(term: Term, file: FlowsFile) -> Any:
    from pyarrow import compute

    if not file.detectors:
        return compute.scalar(value=False)
    return _compared(compute.max_element_wise(*(_field(SCORE + name) for name in file.detectors)), term)


def _p(term: Term, _file: FlowsFile) -> Any:
    from pyarrow import compute

    return _compared(compute.min_element_wise(_field("p_known"), _field("p_novel")), term)


def _began(term: Term, file: FlowsFile) -> Any:
    import pyarrow as pa

    start = _field("start").cast(pa.int64())
    return _compared(start + _field("clock_step_ns") if file.about is not None else start, term)


def _says(term: Term, file: FlowsFile) -> Any:
    from pyarrow import compute

    condition = None
    for name in ("src_address", "dst_address", "end_reason", *(("label",) if file.about is not None else ())):
        holds = compute.match_substring(_as_text(name), _text(term), ignore_case=True)
        condition = holds if condition is None else condition | holds
    return condition


def _text(term: Term) -> str:
    assert not isinstance(term.condition, Within | Compared)  # noqa: S101  # as its reader made it
    return term.condition.text


def _as_text(name: str) -> Any:
    import pyarrow as pa

    return _field(name).cast(pa.string())


_TERMS: Final[dict[str, Callable[[Term, FlowsFile], Any]]] = {
    "src": _side("src"), "dst": _side("dst"), "host": _host, "port": _column("dst_port"), "dport": _column("dst_port"),
    "sport": _column("src_port"), "proto": _column("protocol"), "vlan": _vlan, "bytes": _both_ways("bytes"),
    "packets": _both_ways("packets"), "duration": _duration, "answered": _answered, "verdict": _verdict,
    "label": _label, "lane": _lane, "judged": _judged, "score": _score, "p": _p, "after": _began, "before": _began,
    "": _says,
}  # fmt: skip

"""Capture filters in the language of pcap-filter(7), compiled by libpcap for an interface or for a file.

It does not know what the programs are used for. No handle stays open. Source: pcap(3PCAP), pcap-linktype(7).
"""

import ctypes
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sensor.errors import CaptureError, ConfigError
from sensor.sources.filters import binding
from sensor.sources.filters.bpf import BpfProgram

SNAPLEN: Final = 262_144  # bytes
LIVE_BUFFER: Final = 65_536  # bytes, of a handle that is never read
NO_NETMASK: Final = 0xFFFFFFFF  # PCAP_NETMASK_UNKNOWN: `ip broadcast` is refused rather than wrong
LONGEST: Final = 65_536  # bytes of an expression
SHOWN: Final = 100  # characters of an expression around the place of an error
SEARCH_S: Final = 2.0  # host names in an expression are looked up again each time it is compiled

# DLT_ numbers of Linux that differ from the LINKTYPE_ numbers of files
DATALINKS: Final = {14: 12, 100: 11, 101: 12, 106: 19}
LINKTYPES: Final = {11: 100, 12: 101, 19: 106}

# A word, an address with colons, an operator of two characters, or any one character. Where libpcap's scanner divides
# otherwise, the place of an error is only coarser.
TOKEN: Final = re.compile(r"[\\\w.]+(?:[-:.\w]*[\w.:])?|<<|>>|<=|>=|!=|==|&&|\|\||\S")
QUOTED: Final = re.compile(r"['\"]([^'\"]+)['\"]")
SYNTAX: Final = "syntax error"
# libpcap's scanner refuses this number with an error of its own, which shows that its parser had accepted all before.
STUMBLING_BLOCK: Final = " 99999999999999"

PcapPointer = Any  # pcap_t *
TrialCompile = Callable[[str], str | None]  # compiles an expression: None, or libpcap's error message


def compile_live(expression: str, interface: str) -> BpfProgram:
    """Compile a filter for the kernel on an interface; needs CAP_NET_RAW.

    On a live handle, because the kernel removes VLAN tags from frames, and other programs would look for them there.
    Raises ConfigError for the expression, CaptureError for the interface.
    """
    pcap = _library()
    with _live(pcap, interface) as handle:
        linktype = pcap.pcap_datalink(handle)
        return _compiled(pcap, handle, expression, LINKTYPES.get(linktype, linktype))


def compile_offline(expression: str, linktype: int) -> BpfProgram:
    """Compile a filter for stored packets. linktype: LINKTYPE_ number. Raises ConfigError."""
    pcap = _library()
    handle = pcap.pcap_open_dead(DATALINKS.get(linktype, linktype), SNAPLEN)
    try:
        return _compiled(pcap, handle, expression, linktype)
    finally:
        pcap.pcap_close(handle)


def _library() -> Any:
    try:
        return binding.libpcap()
    except OSError:
        raise ConfigError("--filter needs libpcap (apt install libpcap0.8)") from None


@contextmanager
def _live(pcap: Any, interface: str) -> Iterator[PcapPointer]:
    """Activate a handle on an interface with a minimal buffer. Raises CaptureError with libpcap's message."""
    message = ctypes.create_string_buffer(binding.ERRBUF_SIZE)
    handle = pcap.pcap_create(interface.encode(errors="surrogateescape"), message)
    if not handle:
        raise CaptureError(f"{interface}: cannot capture: {_text(message.value)}")
    try:
        pcap.pcap_set_snaplen(handle, SNAPLEN)
        pcap.pcap_set_buffer_size(handle, LIVE_BUFFER)
        pcap.pcap_set_timeout(handle, 1)
        status = pcap.pcap_activate(handle)
        if status < 0:  # above 0 are warnings
            reason = _text(pcap.pcap_statustostr(status))
            more = _text(pcap.pcap_geterr(handle))
            addition = f" ({more})" if more and more != reason else ""
            raise CaptureError(f"{interface}: cannot capture: {reason}{addition}")
        yield handle
    finally:
        pcap.pcap_close(handle)


def _compiled(pcap: Any, handle: PcapPointer, expression: str, linktype: int) -> BpfProgram:
    def attempt(text: str, optimize: int = 0) -> tuple[tuple[int, int, int, int], ...] | str:
        program = binding.BpfInstructions()
        if pcap.pcap_compile(handle, ctypes.byref(program), text.encode(), optimize, NO_NETMASK):
            return _text(pcap.pcap_geterr(handle))
        try:
            steps = program.bf_insns[: program.bf_len]
            return tuple((step.code, step.jt, step.jf, step.k & 0xFFFFFFFF) for step in steps)
        finally:
            pcap.pcap_freecode(ctypes.byref(program))

    def objection(text: str) -> str | None:
        result = attempt(text)
        return result if isinstance(result, str) else None

    _check_text(expression)
    result = attempt(expression, optimize=1)
    if isinstance(result, str):
        error = ConfigError(f"capture.filter: {result}")
        error.detail = _pointed_at(expression, _place(expression, result, objection))
        raise error
    return BpfProgram(expression, linktype, result)


def _check_text(expression: str) -> None:
    try:
        size = len(expression.encode())
    except UnicodeEncodeError:
        raise ConfigError(
            "capture.filter: found bytes that are not UTF-8, expected an expression of pcap-filter(7)"
        ) from None
    if "\0" in expression:
        raise ConfigError("capture.filter: found a NUL character, expected an expression of pcap-filter(7)")
    if size > LONGEST:
        raise ConfigError(f"capture.filter: the expression has {size} bytes, expected at most {LONGEST}")


def _text(message: bytes | None) -> str:
    """A message of libpcap on one line."""
    return " ".join((message or b"").decode(errors="replace").split())


def _place(expression: str, message: str, objection: TrialCompile) -> int | None:
    """Position of an error in the expression, which libpcap does not report; None when there is no single one."""
    tokens = [(found.start(), found.end()) for found in TOKEN.finditer(expression)]
    if SYNTAX in message:
        return _syntax_place(expression, tokens, objection)
    named = _named_places(expression, tokens, message)
    if len(named) == 1:
        return named[0]
    place = _meaning_place(expression, tokens, message, objection)
    return place if place is None else max((at for at in named if at <= place), default=place)


def _named_places(expression: str, tokens: list[tuple[int, int]], message: str) -> list[int]:
    """Positions of the tokens that the message quotes."""
    ends = {end for _, end in tokens}
    return [
        start
        for quoted in QUOTED.findall(message)
        for start, _ in tokens
        if expression.startswith(quoted, start) and start + len(quoted) in ends
    ]


def _syntax_place(expression: str, tokens: list[tuple[int, int]], objection: TrialCompile) -> int | None:
    """Start of the first token that cannot follow those before it; the end when further tokens are missing."""

    def is_refused(count: int) -> bool:
        before = expression[: tokens[count - 1][1]] if count else ""
        return SYNTAX in (objection(before + STUMBLING_BLOCK) or SYNTAX)

    if is_refused(0):  # a scanner that does not stumble
        return None
    number = _first(len(tokens), is_refused)
    if number is None:
        return None
    return tokens[number - 1][0] if number <= len(tokens) else len(expression.rstrip())


def _meaning_place(expression: str, tokens: list[tuple[int, int]], message: str, objection: TrialCompile) -> int | None:
    """Start of the token with which the message first occurs; None when only the whole causes it, as `tcp and udp`."""

    def has_come_up(count: int) -> bool:
        return objection(expression[: tokens[count - 1][1]]) == message

    if objection(expression) != message:
        return None
    number = _first(len(tokens), has_come_up)
    return None if number is None or number > len(tokens) else tokens[number - 1][0]


def _first(most: int, holds: Callable[[int], bool]) -> int | None:
    """Binary search for the smallest number from 1 on for which a monotone condition holds.

    Returns most + 1 when there is none, None when time runs out.
    """
    deadline = time.monotonic() + SEARCH_S
    low, high = 1, most + 1
    while low < high:
        if time.monotonic() > deadline:
            return None
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _pointed_at(expression: str, place: int | None) -> tuple[str, ...]:
    """The expression on one line, shortened around the place, and a line with a caret under the place."""
    shown = "".join(letter if letter.isprintable() else " " for letter in expression)
    first = max(0, min((place or 0) - SHOWN // 2, len(shown) - SHOWN))
    before, after = ("..." if first else ""), ("..." if first + SHOWN < len(shown) else "")
    line = before + shown[first : first + SHOWN] + after
    return (line,) if place is None else (line, " " * (len(before) + place - first) + "^")

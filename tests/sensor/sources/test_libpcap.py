"""Expressions compiled by libpcap, and what an operator is told of those that do not compile."""

import subprocess
import sys
import time

import pytest

from sensor.errors import CaptureError, ConfigError
from sensor.sources.filters import binding, libpcap
from sensor.sources.filters.libpcap import LONGEST, compile_live, compile_offline

SYNTAX = "can't parse filter expression: syntax error"


def told(expression: str) -> tuple[str, tuple[str, ...]]:
    """The line and the details of the error."""
    with pytest.raises(ConfigError) as error:
        compile_offline(expression, 1)
    return str(error.value), error.value.detail


def test_a_program_is_what_tcpdump_prints() -> None:
    program = compile_offline("ip", 1)
    assert (program.expression, program.linktype) == ("ip", 1)
    # ldh [12]; jeq #0x800 jt 2 jf 3; ret #262144; ret #0
    assert program.instructions == ((0x28, 0, 0, 12), (0x15, 0, 1, 0x800), (0x06, 0, 0, 262_144), (0x06, 0, 0, 0))


@pytest.mark.parametrize("linktype", [12, 14, 101])
def test_raw_ip_is_one_link_type_under_all_its_numbers(linktype: int) -> None:
    program = compile_offline("ip", linktype)
    assert program.linktype == linktype
    assert program.instructions[0] == (0x30, 0, 0, 0)


@pytest.mark.parametrize(
    ("expression", "message", "caret"),
    [
        ("tcp and", SYNTAX, "       ^"),
        ("not", SYNTAX, "   ^"),
        ("(tcp or udp", SYNTAX, "           ^"),
        ("tcp or udp)", SYNTAX, "          ^"),
        ("or tcp", SYNTAX, "^"),
        ("tcp or or udp", SYNTAX, "       ^"),
        ("host 1.1.1.1 prot 4", SYNTAX, "             ^"),
        ("src host 10.0.0.1 adn port 80", SYNTAX, "                  ^"),
        ("tcp port 80 443", SYNTAX, "            ^"),
        ("port 80,443", SYNTAX, "       ^"),
        ("tcp & port 80", SYNTAX, "    ^"),
        ("tcp[13 & 2 != 0", SYNTAX, "           ^"),
        ("port 80 or @", SYNTAX, "           ^"),
        ("tcp\n\tfoo bar", SYNTAX, "     ^"),
        ("tcp and foo bar", "syntax error in filter expression", "        ^"),
        ("(udp and (tcp port 99999 or icmp))", "illegal port number 99999 > 65535", "                   ^"),
        ("net 10.0.0.0/33 or len > 33", "mask length must be <= 32", "             ^"),
        ("tcp and net 10.0.0.1/8", 'non-network bits set in "10.0.0.1/8"', "            ^"),
        ("tcp or port nosuch or udp", "unknown port 'nosuch'", "            ^"),
        ("tcp or host 1.2.3.400", "invalid IPv4 address '1.2.3.400'", "            ^"),
        ("ip and ether host 1.1.1.1", "illegal link layer address", "                  ^"),
        ("ip[0:3] = 1", "data size must be 1, 2, or 4", "      ^"),
        ("vlan 5000", "VLAN tag 5000 greater than maximum 4095", "     ^"),
        ("tcp port 80 and tcp host 10.0.0.1", "'tcp' modifier applied to host", "                ^"),
    ],
)
def test_the_place_of_an_error_is_pointed_at(expression: str, message: str, caret: str) -> None:
    assert told(expression) == (f"capture.filter: {message}", (expression.translate({9: " ", 10: " "}), caret))


def test_what_is_wrong_only_as_a_whole_has_no_place() -> None:
    assert told("tcp and udp") == ("capture.filter: expression rejects all packets", ("tcp and udp",))


def test_of_a_long_expression_the_part_around_the_error_is_shown() -> None:
    line, detail = told("ip or " * 1000 + "prt 5" + " or ip" * 1000)
    assert line == "capture.filter: syntax error in filter expression"
    assert max(map(len, detail)) <= 110
    assert detail[0][detail[1].index("^") :].startswith("prt 5 or ip or")


def test_an_expression_is_shown_on_one_line_without_control_characters() -> None:
    assert told("tcp\r\n\tand\x1b[2J")[1][0] == "tcp   and [2J"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("tcp\0 and udp", "found a NUL character, expected an expression of pcap-filter(7)"),
        ("tcp \udcff", "found bytes that are not UTF-8, expected an expression of pcap-filter(7)"),
        ("é" * (LONGEST // 2 + 1), f"the expression has {LONGEST + 2} bytes, expected at most {LONGEST}"),
    ],
)
def test_what_libpcap_cannot_be_given_is_refused(expression: str, message: str) -> None:
    assert told(expression)[0] == f"capture.filter: {message}"


@pytest.mark.parametrize("expression", ["(" * LONGEST, "not " * (LONGEST // 4), "ip[" * (LONGEST // 3)])
def test_the_deepest_expression_is_answered_in_time(expression: str) -> None:
    start = time.monotonic()
    line, detail = told(expression)
    assert line.startswith("capture.filter: ")
    assert len(detail[0]) <= 110
    assert time.monotonic() - start < 5


def test_the_search_for_the_place_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libpcap, "SEARCH_S", -1)
    assert told("tcp or or udp") == (f"capture.filter: {SYNTAX}", ("tcp or or udp",))


def test_a_scanner_that_tells_nothing_gives_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libpcap, "STUMBLING_BLOCK", " @")
    assert told("tcp or or udp") == (f"capture.filter: {SYNTAX}", ("tcp or or udp",))


def test_a_link_type_that_libpcap_does_not_know_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^capture.filter: .*60000"):
        compile_offline("ip", 60_000)


def test_an_interface_that_is_not_there_is_named() -> None:
    with pytest.raises(CaptureError, match=r"^fv-none: cannot capture: [^\n]*([Nn]o such device|[Pp]ermission)[^\n]*$"):
        compile_live("tcp", "fv-none")


def test_without_libpcap_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "NAMES", {})
    monkeypatch.setattr(binding, "find_library", lambda _: None)
    binding.libpcap.cache_clear()
    with pytest.raises(ConfigError, match=r"^--filter needs libpcap \(apt install libpcap0.8\)$"):
        compile_offline("tcp", 1)
    monkeypatch.undo()
    assert compile_offline("tcp", 1).instructions


def test_no_library_is_loaded_before_something_is_compiled() -> None:
    code = (
        "import sensor.sources.filters.libpcap, sys; mapped = open('/proc/self/maps').read();"
        "sys.exit('libpcap.so' in mapped or 'scapy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0

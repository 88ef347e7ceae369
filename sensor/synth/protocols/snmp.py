"""SNMP version 2c: questions for some objects, and answers with values of any size. RFC 3416, 1901."""

from sensor.synth.protocols.ber import OBJECT, OCTETS, SEQUENCE, integer, tagged
from sensor.synth.protocols.opaque import opaque

_GET, _RESPONSE = 0xA0, 0xA2
_INTERFACES = bytes.fromhex("2b06010201020201")  # 1.3.6.1.2.1.2.2.1, ifEntry


def question(ident: int, objects: int = 1) -> bytes:
    """GetRequest for columns of the table of interfaces."""
    return _message(_GET, ident, [tagged(0x05)] * objects)


def answer(ident: int, objects: int = 1, value_bytes: int = 8) -> bytes:
    """Response to it; each value is a text of value_bytes."""
    return _message(_RESPONSE, ident, [tagged(OCTETS, opaque(value_bytes))] * objects)


def _message(kind: int, ident: int, values: list[bytes]) -> bytes:
    bindings = (
        tagged(SEQUENCE, tagged(OBJECT, _INTERFACES + bytes((2 + number, 1))), value)
        for number, value in enumerate(values)
    )
    unit = tagged(kind, integer(ident), integer(0), integer(0), tagged(SEQUENCE, *bindings))
    return tagged(SEQUENCE, integer(1), tagged(OCTETS, b"public"), unit)

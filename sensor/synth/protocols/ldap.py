"""LDAP over UDP (CLDAP): the search for a domain controller, and its answer. RFC 4511, MS-ADTS section 6.3.3."""

from sensor.synth.protocols.ber import ENUMERATED, OCTETS, SEQUENCE, SET, integer, tagged
from sensor.synth.protocols.opaque import opaque

_SEARCH, _ENTRY, _DONE = 0x63, 0x64, 0x65
_AND, _EQUAL, _FALSE = 0xA0, 0xA3, b"\x01\x01\x00"


def controller_search(ident: int, domain: str) -> bytes:
    """Search of the root for the attribute Netlogon."""
    wanted = tagged(_AND, _equal("DnsDomain", domain.encode()), _equal("NtVer", b"\x16\0\0\0"))
    limits = integer(0, ENUMERATED) + integer(0, ENUMERATED) + integer(0) + integer(0) + _FALSE
    search = tagged(_SEARCH, tagged(OCTETS), limits, wanted, tagged(SEQUENCE, tagged(OCTETS, b"Netlogon")))
    return tagged(SEQUENCE, integer(ident), search)


def controller_found(ident: int, value_bytes: int = 130) -> bytes:
    """The entry with an attribute of value_bytes, and the end of the search, in one datagram."""
    attribute = tagged(SEQUENCE, tagged(OCTETS, b"Netlogon"), tagged(SET, tagged(OCTETS, _logon(value_bytes))))
    entry = tagged(_ENTRY, tagged(OCTETS), tagged(SEQUENCE, attribute))
    done = tagged(_DONE, integer(0, ENUMERATED), tagged(OCTETS), tagged(OCTETS))
    return tagged(SEQUENCE, integer(ident), entry) + tagged(SEQUENCE, integer(ident), done)


def _equal(attribute: str, value: bytes) -> bytes:
    return tagged(_EQUAL, tagged(OCTETS, attribute.encode()), tagged(OCTETS, value))


def _logon(count: int) -> bytes:
    """NETLOGON_SAM_LOGON_RESPONSE_EX with empty names, filled up: MS-ADTS section 6.3.1.9."""
    return (bytes.fromhex("17000000fd010000") + bytes(16 + 8) + opaque(count))[:count]

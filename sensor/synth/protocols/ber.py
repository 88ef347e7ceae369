"""Basic encoding rules of ASN.1, as far as SNMP and LDAP need them. ITU-T X.690."""

INTEGER, OCTETS, OBJECT, ENUMERATED, SEQUENCE, SET = 0x02, 0x04, 0x06, 0x0A, 0x30, 0x31


def tagged(tag: int, *contents: bytes) -> bytes:
    """One element: tag, length in the shortest form, contents one after the other."""
    body = b"".join(contents)
    if len(body) < 128:
        return bytes((tag, len(body))) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def integer(value: int, tag: int = INTEGER) -> bytes:
    """A number that is not negative."""
    return tagged(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))

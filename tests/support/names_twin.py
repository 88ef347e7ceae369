"""DNS answers and TLS hellos read plainly: what flows.names does, from the RFCs and JA4's published rules."""

import hashlib
from ipaddress import IPv4Address, IPv6Address, ip_address

A, CNAME, PTR, AAAA = 1, 5, 12, 28
LABELS, OCTETS, JUMPS, POINTED, RECORDS, TOLD, SHOWN, LISTED, ROOM = 128, 255, 15, 16, 64, 16, 80, 240, 4096


class CutError(Exception):
    """The message ends before what it says."""


def number(message: bytes, at: int, size: int) -> int:
    if at + size > len(message):
        raise CutError
    return int.from_bytes(message[at : at + size])


def labels_of(message: bytes, at: int) -> list[bytes]:
    """Labels of a name, pointers followed. Raises CutError for what is no name."""
    found: list[bytes] = []
    pointed = 0
    for _ in range(LABELS):
        place = place_of(message, at)
        pointed += place != at
        if pointed > POINTED:
            break
        size = message[place]
        if size == 0:
            return found
        found.append(message[place + 1 : place + 1 + size])
        at = place + 1 + size
    raise CutError


def text_of(labels: list[bytes]) -> str:
    """As text, "" where it is too long."""
    if sum(1 + len(label) for label in labels) >= OCTETS:
        return ""
    return ".".join("".join(map(byte_of, label)) for label in labels)


def byte_of(byte: int) -> str:
    letter = chr(byte)
    return letter.lower() if "!" <= letter <= "~" and letter not in ".\\" else f"\\{byte:03}"


def shown(name: str) -> str:
    return name if len(name) <= SHOWN else "..." + name[3 - SHOWN :]


def after(message: bytes, at: int) -> int:
    for _ in range(LABELS):
        size = number(message, at, 1)
        if size == 0:
            return at + 1
        if size >= 192:
            number(message, at, 2)
            return at + 2
        if size >= 64:
            raise CutError
        at += 1 + size
    raise CutError


def same(message: bytes, one: int, other: int) -> bool:
    """Whether both are one name, or come to the same place with the same labels before it."""
    ends, pointed, octets = [one, other], [0, 0], 0
    for _ in range(LABELS):
        try:
            places = [place_of(message, end) for end in ends]
        except CutError:
            return False
        pointed = [count + (place != end) for count, place, end in zip(pointed, places, ends, strict=True)]
        if max(pointed) > POINTED:
            return False
        if places[0] == places[1]:
            return True
        left, right = (message[at + 1 : at + 1 + message[at]] for at in places)
        if left.lower() != right.lower():
            return False
        if not left:
            return True
        octets += 1 + len(left)
        if octets >= OCTETS:
            return False
        ends = [at + 1 + len(left) for at in places]
    return False


def place_of(message: bytes, at: int) -> int:
    for _ in range(JUMPS):
        if number(message, at, 1) < 192:
            break
        at = number(message, at, 2) & 0x3FFF
    size = number(message, at, 1)
    if size > 63 or at + 1 + size > len(message):
        raise CutError
    return at


def name_at(message: bytes, at: int) -> str:
    try:
        return text_of(labels_of(message, at))
    except CutError:
        return ""


def reversed_address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        if name.endswith(".in-addr.arpa"):
            parts = name.removesuffix(".in-addr.arpa").split(".")
            if all(part.isascii() and part.isdigit() and len(part) <= 3 for part in parts) and len(parts) == 4:
                return IPv4Address(bytes(int(part) for part in reversed(parts)))
        if name.endswith(".ip6.arpa"):
            nibbles = name.removesuffix(".ip6.arpa").split(".")
            if len(nibbles) == 32 and all(len(nibble) == 1 for nibble in nibbles):
                return IPv6Address(bytes.fromhex("".join(reversed(nibbles))))
    except ValueError:
        pass
    return None


def answers(message: bytes) -> list[tuple[str, str, bool]]:
    """(address, name, whether the address was asked for) of each record that says one."""
    found: list[tuple[str, str, bool]] = []
    try:
        if number(message, 2, 2) & 0xF80F != 0x8000 or number(message, 4, 2) != 1 or len(message) < 12:
            return found
        question = target = 12
        at = after(message, question)
        if number(message, at + 2, 2) != 1:
            return found
        asked, name = number(message, at, 2), name_at(message, question)
        reverse = reversed_address(name) if asked == PTR else None
        at += 4
        for _ in range(min(number(message, 6, 2), RECORDS)):
            owner, at = at, after(message, at)
            kind, internet, size = number(message, at, 2), number(message, at + 2, 2) == 1, number(message, at + 8, 2)
            data, at = at + 10, at + 10 + size
            if at > len(message) or len(found) == TOLD or not name:
                break
            if not internet or not same(message, owner, target):
                continue
            if kind == CNAME:
                target = data
            elif reverse is not None and kind == PTR:
                if told := name_at(message, data):
                    found.append((str(reverse), shown(told), True))
            elif reverse is None and (kind, size) in ((A, 4), (AAAA, 16)):
                found.append((str(ip_address(message[data:at])), shown(name), False))
    except CutError:
        pass
    return found


def is_grease(value: int) -> bool:
    return value in {0x0A0A + 0x1010 * step for step in range(16)}


def numbers(octets: bytes) -> list[int]:
    found = [int.from_bytes(octets[at : at + 2]) for at in range(0, len(octets) - 1, 2)]
    return [value for value in found if not is_grease(value)]


def hello(segment: bytes) -> tuple[str | None, str | None]:
    """Server name and JA4 of a segment that begins with a ClientHello, None for what it does not say."""
    name: str | None = None
    try:
        record_end = 5 + number(segment, 3, 2)
        hello_end = 9 + number(segment, 6, 3)
        whole = hello_end <= min(record_end, len(segment))
        message = segment[: min(record_end, hello_end)]
        version = number(message, 9, 2)
        at = 43 + 1 + number(message, 43, 1)
        ciphers_end = at + 2 + number(message, at, 2)
        number(message, ciphers_end, 1)
        ciphers = numbers(message[at + 2 : ciphers_end])
        at = ciphers_end + 1 + message[ciphers_end]
        kinds: list[int] = []
        signatures: list[int] = []
        alpn, named = "00", False
        orderly = at == len(message)
        if at + 2 <= len(message):
            end = at + 2 + number(message, at, 2)
            orderly = end <= len(message)
            message = message[:end]
            at += 2
        while at + 4 <= len(message) and at + 4 + number(message, at + 2, 2) <= len(message):
            kind, size = number(message, at, 2), number(message, at + 2, 2)
            body = message[at + 4 : at + 4 + size]
            at += 4 + size
            if not is_grease(kind):
                kinds.append(kind)
            if kind == 0:
                named, name = True, server_name(body)
            elif kind == 13:
                signatures = numbers(body[2:])
            elif kind == 16:
                alpn = first_protocol(body) or alpn
            elif kind == 43:
                count = body[0] if body else 0
                version = max(numbers(body[1 : 1 + count]), default=0)
        orderly = orderly and at == len(message)
    except CutError:
        return (name, None)
    if not (whole and orderly) or 11 + 2 * (len(ciphers) + len(kinds) + len(signatures)) > LISTED:
        return name, None
    versions = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}
    first = f"t{versions.get(version, '00')}{'d' if named else 'i'}"
    counts = f"{min(99, len(ciphers)):02}{min(99, len(kinds)):02}{alpn}"
    hashed = listed(sorted(set_aside(kinds)))
    signed = f"{hashed}_{listed(signatures)}" if signatures else hashed
    return name, f"{first}{counts}_{digest(listed(sorted(ciphers)))}_{digest(signed) if hashed else '0' * 12}"


Segment = tuple[int, bytes]  # sequence number, payload


def hello_in_segments(segments: list[Segment]) -> list[tuple[str | None, str | None]]:
    """What the segments of one sender say one after the other; the first one begins a ClientHello."""
    (first, content), *later = segments
    said = [hello(content)] if begins_hello(content) else []
    needed = 5 + number(content, 3, 2) if begins_hello(content) else 0
    known = dict(enumerate(content))
    have = len(content)
    for sequence, part in later if have < needed <= ROOM else []:
        offset = (sequence - first + (1 << 31)) % (1 << 32) - (1 << 31)
        new = {at: byte for at, byte in enumerate(part, offset) if have <= at < needed}
        ahead = [at for at in known if at > have]
        beside = not ahead or (offset <= max(ahead) + 1 and max(new, default=0) + 1 >= min(ahead))
        if not new or have == needed or not (offset <= have or beside):
            continue
        known = new | known
        before = have
        while have in known:
            have += 1
        if have > before:
            said.append(hello(bytes(known[at] for at in range(have))))
    return [each for each in said if each != (None, None)]


def begins_hello(content: bytes) -> bool:
    return len(content) >= 6 and content[0] == 22 and content[5] == 1


def set_aside(kinds: list[int]) -> list[int]:
    return [kind for kind in kinds if kind not in (0, 16)]


def listed(values: list[int]) -> str:
    return ",".join(f"{value:04x}" for value in values)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12


def server_name(body: bytes) -> str | None:
    if len(body) < 5 or body[2] != 0:
        return None
    size = int.from_bytes(body[3:5])
    name = body[5 : 5 + size]
    if len(name) < size or size > 255:
        return None
    return shown("".join("." if byte == 0x2E else byte_of(byte) for byte in name)) or None


def first_protocol(body: bytes) -> str:
    if len(body) < 3 or body[2] == 0 or len(body) < 3 + body[2]:
        return ""
    name = body[3 : 3 + body[2]]
    ends = (name[0], name[-1])
    if all(chr(byte).isascii() and chr(byte).isalnum() for byte in ends):
        return "".join(map(chr, ends))
    return name.hex()[0] + name.hex()[-1]

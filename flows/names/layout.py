"""Words of a packet that is worth reading, and of what was read of it."""

from flows.block import Int64s

# A mark: a packet whose payload is to be read, in the block that the meter was fed.
(
    K_TIME_NS,  # by the meter's clock
    K_STAMP_NS,  # the packet's own
    K_KIND,  # DNS_ANSWER, HELLO or HELLO_PART
    K_A_HIGH,  # the flow's key, as of a decoded packet (flows.layout)
    K_A_LOW,
    K_B_HIGH,
    K_B_LOW,
    K_PORTS,
    K_VLAN,
    K_SENDER,
    K_SEQUENCE,  # TCP sequence number
    K_AT,  # where its payload begins and ends in the buffer
    K_END,
    MARK_WORDS,
) = range(14)

DNS_ANSWER, HELLO, HELLO_PART = range(3)  # kinds of marks; HELLO_PART: what comes after a hello that goes on
ASKED, REVERSE, HELLO_OF_FLOW = range(3)  # kinds of sightings

# A sighting. Of a name: the address that it is of, and who asked. Of a hello: its flow.
(
    S_TIME_NS,
    S_STAMP_NS,
    S_KIND,  # ASKED: the name was asked for; REVERSE: the address was
    S_A_HIGH,
    S_A_LOW,
    S_B_HIGH,
    S_B_LOW,
    S_PORTS,  # of a name: IP version of the address << 40 | that of who asked
    S_VLAN,
    S_FROM,  # where its text begins, and how long it is
    S_LENGTH,
    S_DIGEST,  # of the text: sightings that differ in nothing else have an order
    SIGHTING_WORDS,
) = range(13)

Marks = Int64s  # (m, MARK_WORDS)
Words = Int64s  # (n, SIGHTING_WORDS)

NAME_BYTES = 80  # of a name at most; of a longer one the end, behind ELLIPSIS
ELLIPSIS = 3  # dots
NAME_ROOM = 1024  # for a name of 255 bytes that are all escaped
HELLO_BYTES = 320  # of what is kept of a hello: some 110 numbers, of which browsers list some 50

# What is kept of a hello: these bytes, the lists one after the other, two bytes a number, and the server's name.
H_FLAGS, H_VERSION, H_ALPN, H_CIPHERS, H_EXTENSIONS, H_SIGNATURES, HELLO_HEAD = 0, 1, 3, 5, 7, 9, 11
WHOLE, NAMED = 1, 2  # bits of H_FLAGS: all of it was seen; it has the extension with the server's name

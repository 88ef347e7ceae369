"""Where everything the meter remembers sits: words of a flow row, fields of a decoded packet, registers.

Rows are one flat int64 array: word w of row r is rows[r * ROW_WORDS + w]. Two direction blocks with the same words
follow the shared ones. Times are µs of packet time unless a name ends in _NS.
"""

# Fields of a decoded packet. A and B are the two endpoints in canonical order (the smaller address and port is A).
(
    P_A_HIGH,
    P_A_LOW,
    P_B_HIGH,
    P_B_LOW,
    P_PORTS,  # IP version << 40 | protocol << 32 | port of A << 16 | port of B
    P_VLAN,  # outer tag << 12 | inner tag
    P_SENDER,  # 0 sent by A, 1 sent by B
    P_PAYLOAD,  # bytes after the layer-4 header
    P_HEADER,  # bytes of the layer-4 header
    P_FLAGS,  # TCP flags octet; WRONG_FRAGMENT where that is what the packet is
    P_SEQUENCE,  # TCP sequence number << 32 | acknowledgement number, -1 for other protocols
    P_WINDOW,  # raw TCP window, -1 for other protocols
    P_ICMP,  # bytes of the message << 16 | type << 8 | code, -1 for other protocols
    P_HASH,
    P_TIME_NS,  # by the meter's clock
    P_STAMP_NS,  # the packet's own
    P_FRAGMENT,  # offset in bytes << 40 | IPv4 protocol << 32 | identification, of the IP header; -1: a whole packet
    P_PAYLOAD_AT,  # of TCP and UDP: where the payload begins in the block's buffer, and where what was captured of it
    P_CAPTURED_END,  # ends; it may end before it begins
    PACKET_FIELDS,
) = range(20)

# Words of a flow row, shared by both directions.
(
    R_A_HIGH,
    R_A_LOW,
    R_B_HIGH,
    R_B_LOW,
    R_PORTS,
    R_VLAN,
    R_HASH,
    R_ORIGINATOR,  # 0: A sends forward, 1: B does
    R_STATE,  # bits below
    R_CLOSED_AT,
    R_START,
    R_LAST,
    R_CONNECTION_START,  # start of the connection across active timeouts
    R_START_NS,  # by the meter's clock, and R_LAST_NS
    R_LAST_NS,
    R_FIRST_STAMP_NS,  # the earliest stamp of its packets
    R_LAST_STAMP_NS,  # the latest
    R_REPORTS,
    R_REPORTED_PACKETS,
    R_NEXT_SNAPSHOT,
    R_IAT_SQUARES,
    R_IAT_MIN,
    R_IAT_MAX,
    R_WRONG_FRAGMENTS,
    # Of a TCP connection, forward << 32 | backward, where the bits of R_STATE say so; of a flow to a DNS server its
    # questions that were not answered yet, where names are read.
    R_INITIAL_SEQUENCES,
    R_CWR_ECE_FLAGS,  # packets with CWR << 32 | with ECE
    R_GAPS,  # gaps over 1 s
    R_ACTIVE_SINCE,
    R_ACTIVE,  # count, sum, squares, min, max
    R_IDLE,
    R_ICMP,
) = (*range(29), 33, 38)
R_FORWARD = 39

# Words of a direction block.
(
    D_PACKETS,
    D_BYTES,
    D_BYTES_SQUARES,
    D_BYTES_MIN,
    D_BYTES_MAX,
    D_FIRST,
    D_LAST,
    D_IAT_SQUARES,
    D_IAT_MIN,
    D_IAT_MAX,
    D_HEADERS,
    D_HEADER_MIN,
    D_PSH_URG_FLAGS,  # packets with PSH << 32 | with URG
    D_RST_FIN_FLAGS,  # packets with RST << 32 | with FIN
    D_SYN_ACK_FLAGS,  # packets with SYN << 32 | with ACK
    D_INIT_WINDOW,
    D_LAST_WINDOW,
    D_DATA_PACKETS,
    D_BULK_START,
    D_BULK_LAST,
    D_BULK_RUN,  # data packets in the run that may become a bulk
    D_BULK_RUN_BYTES,
    D_BULKS,
    D_BULK_PACKETS,
    D_BULK_BYTES,
    D_BULK_TIME,
    DIRECTION_WORDS,
) = range(27)
R_BACKWARD = R_FORWARD + DIRECTION_WORDS
ROW_WORDS = R_BACKWARD + DIRECTION_WORDS

# Words of a series: how often, sum, sum of squares, smallest, largest.
S_COUNT, S_SUM, S_SQUARES, S_MIN, S_MAX = range(5)

# Bits of R_STATE. SYN: one was seen before an active timeout cut the connection. ISN: the direction's initial sequence
# number is known. HELLO: it began a TLS hello that goes on; SAID: the originator has said one (flows.names).
FIN_FORWARD, FIN_BACKWARD, CLOSED, ESTABLISHED, SYN_FORWARD, SYN_BACKWARD = 1, 2, 4, 8, 16, 32
ISN_FORWARD, ISN_BACKWARD = 64, 128
HELLO_FORWARD, HELLO_BACKWARD, HELLO_SAID = 256, 512, 1024

WRONG_FRAGMENT = 1 << 8  # beyond the TCP flags

# Registers: what the meter remembers beside its rows. The first block is configuration.
(
    M_CAPACITY,  # flows
    M_MASK,  # hash slots - 1
    M_IDLE_TIMEOUT,
    M_ACTIVE_TIMEOUT,
    M_CLOSED_LINGER,
    M_FIRST_SNAPSHOT,
    M_SNAPSHOT_INTERVAL,
    M_DECAPSULATE,  # 1: flows are those inside tunnels
    M_VLAN_IN_KEY,  # 1: what has other VLAN tags is another flow
    M_NEWS_ONLY,  # 1: final reports that add nothing are left out
    M_NAMES,  # 1: packets that tell names are marked
    M_SAMPLE,  # flows are metered whose hash has none of these bits: 0 all, 1 half of them, 3 a quarter
    M_CONFIRMED,  # 1: no time of the block needs the next packet to confirm it
    # flows in the table
    M_FLOWS,
    M_FREE,  # first row of the free list, -1 none
    M_FRESH,  # rows never used start here
    M_TICK,  # wheel slots before this tick have fired
    M_DRAINING,  # 1 while the capture's end is played out
    # packets of the block being metered
    M_NEXT_PACKET,
    M_DECODED,  # packets decoded in the current group
    M_UPDATED,  # of those, already in their rows
    M_FRAGMENTS,  # first fragments remembered so far
    M_MARKS,  # packets marked so far, which are to be read
    # records waiting in the output arrays
    M_RECORDS,
    M_REPORTED_NS,  # moment that they are written at
    # clock
    M_CLOCK_NS,  # -1 before the first packet
    M_CLOCK_OFFSET_NS,
    M_CLOCK_CANDIDATE_NS,  # far-future stamp of one packet, -1 none
    M_CLOCK_LATE_RUN,
    # counters
    M_PACKETS,
    M_METERED,
    M_BYTES,  # wire bytes of all packets
    M_SHED,  # packets of flows outside of the sample
    M_EVICTED,
    M_LATE,
    M_LATE_NS,  # the farthest of these
    M_CLOCK_JUMPS,
    M_TUNNELLED,  # packets of tunnels that were not looked into
    M_LEFT_OUT,  # decoded packets that flows.compat writes in no record
    M_UNDECODED,  # first of the counters by reason (flows.decode.REASONS)
    REGISTERS,
) = (*range(40), 56)

UNSET = -1
HUGE = 1 << 62

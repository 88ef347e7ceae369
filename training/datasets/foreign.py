"""Public tables that no reader here takes, told by names that only they have, and what they lack.

Sources: the two headers of CIC-IoT-2023's CSV files, of 46 columns (`flow_duration` to `Weight`) and of 39
(`Header_Length` to `Variance`), which have four of the names below in common; those of UNSW-NB15's training and test
sets and of its list of features (Moustafa, Slay 2015); the features of NTLFlowLyzer (github.com/ahlashkari), which
measured the BCCC sets, by their names in its README and its module time_related.
"""

from collections.abc import Collection

# Each set, names of its header in lower case, and what a model of flows here would need that it does not have.
SETS: tuple[tuple[str, frozenset[str], str], ...] = (
    (
        "CIC-IoT-2023",
        frozenset({"header_length", "protocol type", "srate", "magnitue", "tot sum", "tot size"}),
        "its rows are windows of packets, not flows: packets, bytes and gaps in each direction are missing",
    ),
    (
        "UNSW-NB15",
        frozenset({"sbytes", "dbytes", "sttl", "dttl", "sload", "dload", "ct_srv_src", "attack_cat"}),
        "Argus and Zeek measured it: packet lengths, gaps and flags in each direction are missing",
    ),
    (
        "a BCCC set (NTLFlowLyzer)",
        frozenset({"delta_start", "handshake_duration", "packets_count", "fwd_packets_count", "payload_bytes_max"}),
        "another program measured it by other definitions: CICFlowMeter's columns are missing",
    ),
)
ENOUGH = 3  # names


def foreign_set(names: Collection[str]) -> str | None:
    """What is said of a table with these names, in one clause; None where they are of no such set."""
    found = {name.strip().lower() for name in names}
    for title, own, lacking in SETS:
        if len(own & found) >= ENOUGH:
            return f"is {title} by its header, which is not read: {lacking}"
    return None

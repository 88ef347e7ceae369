"""Judged flow records as a table of a flow log."""

from socket import inet_ntoa
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    END_REASON,
    END_REASONS,
    IP_VERSION,
    SRC_HIGH,
    SRC_LOW,
    Identity,
    address,
)
from flows.columns import INDEX
from models.fusion import VERDICTS
from sensor.flow_log.columns import INSTANTS, REASON, SCORE, VALUES, WORDS, JudgedRecords

if TYPE_CHECKING:
    import pyarrow as pa


def table(parts: list[JudgedRecords], columns: "pa.Schema") -> "pa.Table":
    """Records that one model judged, one part after the other, as a table with these columns."""
    import pyarrow as pa

    identity = np.concatenate([part.records.identity for part in parts])
    values = [part.records.values for part in parts]
    said = [part.judgement for part in parts]
    sizes = [len(part) for part in parts]
    made: dict[str, pa.Array] = {
        **{name: pa.array(identity[:, word]) for name, word in WORDS.items()},
        **{name: pa.array(identity[:, word]).cast(columns.field(name).type) for name, word in INSTANTS.items()},
        # column by column, so that no row is copied twice
        **{name: pa.array(np.concatenate([rows[:, INDEX[name]] for rows in values])) for name in VALUES},
        "src_address": _addresses(identity, SRC_HIGH, SRC_LOW),
        "dst_address": _addresses(identity, DST_HIGH, DST_LOW),
        REASON: _texts(identity[:, END_REASON], END_REASONS),
        "verdict": _texts(np.concatenate([one.verdict for one in said]), VERDICTS),
        "label": _texts(np.concatenate([one.label for one in said]), parts[0].by.labels),
        "judged": pa.array(np.concatenate([one.judged for one in said])),
        "p_known": pa.array(np.concatenate([one.p_known for one in said])),
        "p_novel": pa.array(np.concatenate([one.p_novel for one in said])),
        "dropped": pa.array(np.repeat([part.dropped for part in parts], sizes)),
        "clock_step_ns": pa.array(np.repeat([part.clock_step_ns for part in parts], sizes)),
    }
    for name in parts[0].by.detectors:
        made[SCORE + name] = pa.array(np.concatenate([one.scores[name] for one in said]))
    return pa.Table.from_arrays([made[name] for name in columns.names], schema=columns)


def _texts(codes: NDArray[np.integer], texts: tuple[str, ...]) -> "pa.Array":
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(codes.astype(np.int32), pa.array(texts, pa.string()))


def _addresses(identity: Identity, high: int, low: int) -> "pa.Array":
    """Text of an address of each record, written once however often it comes."""
    import pyarrow as pa

    four = identity[:, IP_VERSION] == 4
    codes = np.empty(len(identity), dtype=np.int32)
    found = pa.array(identity[four, low]).dictionary_encode()
    codes[four] = found.indices.to_numpy()
    # as flows.batch.address writes IPv4, in a third of the time
    texts = [inet_ntoa(word.to_bytes(4, "big")) for word in found.dictionary.to_pylist()]
    if not four.all():
        pairs, which = np.unique(identity[~four][:, [high, low]], axis=0, return_inverse=True)
        codes[~four] = which.reshape(-1) + len(texts)
        texts += [address(top, bottom, 6) for top, bottom in pairs.tolist()]
    return pa.DictionaryArray.from_arrays(codes, pa.array(texts, pa.string()))

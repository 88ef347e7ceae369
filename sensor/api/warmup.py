"""Have the kernels compiled before requests come: rows of normal traffic, one of them explained, and a capture."""

import numpy as np

from sensor.api.captured import Captures
from sensor.api.keys import keys_in
from sensor.api.records import Records
from sensor.api.scoring import Scorer
from sensor.synth.generate import generate
from sensor.synth.pcap import pcap_bytes
from sensor.synth.scenarios.portscan import PORTSCAN


def warm_up(scorer: Scorer, captures: Captures | None) -> None:
    """Run a few rows and packets through; every copy of the model forgets them."""
    keys_in(b'{"rows": []}')
    normal = scorer.hybrid.normal
    values = np.stack([normal.typical, np.nan_to_num(normal.p999) + 1.0])
    sources = np.zeros((2, 2), dtype=np.int64)
    with scorer.turn() as turn:
        for records in (Records(values), Records(values, sources, np.zeros(2, dtype=np.int64))):
            turn.score(records, scorer.rate, "full")
    if captures is not None:
        captures.read(pcap_bytes(generate([PORTSCAN], seed=1, minutes=0.5).packets[:64]), "warm-up")

"""Compiles all kernels before the first request: scores rows of normal traffic with reasons, and reads a capture."""

from contextlib import suppress

import numpy as np

from sensor.api.capture import CaptureReader
from sensor.api.json_shape import json_shape
from sensor.api.problems import Problem
from sensor.api.reasons import FULL
from sensor.api.samples import Samples
from sensor.api.scoring import ModelPool
from sensor.synth.generate import generate
from sensor.synth.pcap import pcap_bytes
from sensor.synth.scenarios.portscan import PORTSCAN


def warm_up(models: ModelPool, captures: CaptureReader | None) -> None:
    """Score a few rows and meter a few packets; no copy of the model keeps state of them."""
    json_shape(b'{"rows": []}')
    normal = models.hybrid.normal
    values = np.stack([normal.typical, np.nan_to_num(normal.p999) + 1.0])
    sources = np.zeros((2, 2), dtype=np.int64)
    with models.lease() as lease:
        for samples in (Samples(values), Samples(values, sources, np.zeros(2, dtype=np.int64))):
            lease.score(samples, models.rate, FULL)
    if captures is not None:
        scan = pcap_bytes(generate([PORTSCAN], seed=1, minutes=0.5).packets)
        # Settings that judge no flow are told to whoever uploads a capture: rows are scored all the same.
        with models.lease() as lease, suppress(Problem):
            captures.read(scan, "warm-up", lease.hybrid, lease.budget)

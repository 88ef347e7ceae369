"""Labelled flows and models whose figures are known beforehand, for the tests of evaluations."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from flows.columns import INDEX, NAMES, feature_contract
from models.calibration import fit_calibration
from models.detector import FlowSteps, Labels, Vector
from models.forest import IsolationForest, RandomForest
from models.fusion import Hybrid, Member
from models.normal import NormalProfile
from models.scaling import fit_scaling
from models.sklearn_trees import forest_from_sklearn
from training.datasets.table import FlowTable
from training.sequences import reports

SECOND = 1_000_000_000
DAYS = ("2017-07-03", "2017-07-04", "2017-07-05")
KNOWN_COLUMN, NOVEL_COLUMN = INDEX["fwd_bytes"], INDEX["bwd_bytes"]
RATES = (0.01, 0.05)


class ColumnScore:
    """A detector without state whose score stands in the table."""

    def __init__(self, name: str, column: int) -> None:
        self.name = name
        self.column = column

    def score(self, steps: FlowSteps) -> Vector:
        return steps.values[:, self.column].copy()

    def forget(self) -> None:
        pass


class NamingColumnScore(ColumnScore):
    """The same, and it names everything a scan."""

    labels = ("BENIGN", "PortScan")

    def score_labels(self, steps: FlowSteps) -> tuple[Vector, Labels]:
        return self.score(steps), np.ones(len(steps), dtype=np.int64)


class FlowsOfHost:
    """A detector with a state: the more flows a host has sent, the higher the score; or the lower, where it falls."""

    def __init__(self, name: str = "counter", *, falls: bool = False) -> None:
        self.name = name
        self.falls = falls
        self.seen: dict[bytes, int] = {}

    def score(self, steps: FlowSteps) -> Vector:
        scores = np.zeros(len(steps))
        for i, host in enumerate(steps.host):
            before = self.seen.get(host.tobytes(), 0)
            scores[i] = 1.0 / (before + 2.0) if self.falls else 1.0 - 1.0 / (before + 2.0)
            self.seen[host.tobytes()] = before + int(steps.advances[i])
        return scores

    def forget(self) -> None:
        self.seen.clear()


def table(normal: int = 900, scans: int = 60, floods: int = 40, seed: int = 3) -> FlowTable:
    """Flows of three days: normal scores uniform in 0..0.5; scans stand out to the known lane, half the floods to the
    novel one; some flows run for minutes and are reported several times."""
    rng = np.random.default_rng(seed)
    n = normal + scans + floods
    values = np.zeros((n, len(NAMES)))
    values[:, [KNOWN_COLUMN, NOVEL_COLUMN]] = rng.random((n, 2)) / 2
    values[normal : normal + scans, KNOWN_COLUMN] = 0.9
    values[normal + scans : normal + scans + floods // 2, NOVEL_COLUMN] = 0.9
    values[:, INDEX["protocol"]] = 6
    duration_s = np.where(rng.random(n) < 0.1, 200, 1)
    values[:, INDEX["flow_duration"]] = duration_s * 1e6
    family = np.array(["BENIGN"] * normal + ["PortScan"] * scans + ["DoS"] * floods)
    label = np.array(["BENIGN"] * normal + ["Portscan"] * scans + ["DoS Hulk"] * floods)
    day = rng.integers(0, len(DAYS), n)
    start = np.datetime64(DAYS[0], "ns").astype(np.int64) + (day * 86_400 + rng.integers(0, 80_000, n)) * SECOND
    host = np.zeros((n, 2), dtype=np.int64)
    host[:, 1] = rng.integers(1, 6, n)
    made = FlowTable(
        values=values,
        host=host,
        start_ns=start,
        end_ns=start + duration_s * SECOND,
        label=label,
        family=family,
        day=np.array(DAYS)[day],
        missing=(),
        repairs={},
        sha256="0" * 64,
        dst_port=rng.integers(0, 1024, n),
        path=Path("made.csv"),
    )
    return made.take(np.argsort(start, kind="stable"))


def hybrid(calibrated_on: FlowTable, *, counting: bool = False) -> Hybrid:
    """Two columns as two lanes, calibrated on the table's normal flows; counting: the known lane keeps a state."""
    normal = calibrated_on.take(calibrated_on.family == "BENIGN")
    told = reports(normal.values, normal.start_ns, normal.end_ns)
    steps = FlowSteps(normal.values[told.row], normal.host[told.row], normal.start_ns[told.row], told.advances)
    known = FlowsOfHost() if counting else NamingColumnScore("lstm", KNOWN_COLUMN)
    novel = ColumnScore("iforest", NOVEL_COLUMN)
    members = [(Member(detector, fit_calibration(detector.score(steps))),) for detector in (known, novel)]
    known.forget()
    flat = np.zeros(len(NAMES))
    return Hybrid(
        known=members[0],
        novel=members[1],
        labels=NamingColumnScore.labels,
        techniques=(None, "T1046"),
        thresholds={rate: (rate / 2, rate / 2) for rate in RATES},
        normal=NormalProfile(NAMES, flat, flat, flat, flat),
        contract=feature_contract(),
        model_id="made",
        default_rate=RATES[0],
    )


def quiet(_: str) -> None:
    """Progress for nobody."""


def forests(fitted_on: FlowTable) -> Hybrid:
    """A model that a bundle can hold: a random forest and an Isolation Forest over the two columns."""
    from sklearn.ensemble import IsolationForest as SklearnIsolation
    from sklearn.ensemble import RandomForestClassifier

    columns = {name: INDEX[name] for name in ("fwd_bytes", "bwd_bytes")}
    scaling = fit_scaling(fitted_on.values, columns)
    x = scaling.transform(fitted_on.values)
    normal = fitted_on.family == "BENIGN"
    known = RandomForestClassifier(20, max_leaf_nodes=16, random_state=1).fit(x, fitted_on.family == "PortScan")
    novel = SklearnIsolation(n_estimators=50, max_samples=128, random_state=1).fit(x[normal])
    detectors = (
        RandomForest(scaling, forest_from_sklearn(known), NamingColumnScore.labels, "lstm"),
        IsolationForest(scaling, forest_from_sklearn(novel), 128),
    )
    model = hybrid(fitted_on)
    known_member, novel_member = (
        (Member(detector, fit_calibration(detector.score_rows(x[normal]))),) for detector in detectors
    )
    profile = NormalProfile(
        NAMES, *np.quantile(fitted_on.values[normal, : len(NAMES)], (0.01, 0.5, 0.99, 0.999), axis=0)
    )
    return replace(model, known=known_member, novel=novel_member, normal=profile)


def as_csv(flows: FlowTable, path: Path) -> Path:
    """The flows as a file of this product's own dialect, with labels."""
    from flows.dialects import NATIVE

    rows = [",".join((*NATIVE.names, "label"))]
    for i in range(len(flows)):
        known = dict(zip(NAMES, flows.values[i], strict=True)) | {
            "flow_id": f"f{i}",
            "src_address": f"10.0.0.{flows.host[i, 1]}",
            "src_port": 40000,
            "dst_address": "10.9.0.1",
            "dst_port": flows.dst_port[i],
            "protocol": 6,
            "vlan": 0,
            "start": f"{np.datetime64(int(flows.start_ns[i]), 'ns').astype('datetime64[us]')}Z",
            "end": f"{np.datetime64(int(flows.end_ns[i]), 'ns').astype('datetime64[us]')}Z",
            "end_reason": 1,
        }
        rows.append(",".join([*(str(known[field]) for field in NATIVE.fields), str(flows.label[i])]))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path

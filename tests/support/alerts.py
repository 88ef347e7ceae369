"""An alert with every field filled in, for whoever only needs one."""

from typing import Any

from sensor.alerts.alert import Alert, Endpoint, ModelIdentity, Observer
from sensor.alerts.deviation import Deviation
from sensor.alerts.spread import Spread
from sensor.alerts.techniques import technique_of

SPREAD = Spread(
    flows=318, packets=640, failed=0, targets=1, targets_more=False, ports=1, ports_more=False, span_ns=9_000_000_000,
    protocol=6, port=22,
)  # fmt: skip


def an_alert(**fields: Any) -> Alert:
    known: dict[str, Any] = {
        "time_ns": 1_700_000_000_000_000_000, "action": "opened", "id": "A" * 26, "sequence": 1, "severity": 70,
        "risk": 60.0, "start_ns": 1_700_000_000_000_000_000, "end_ns": 1_700_000_009_000_000_000,
        "reason": "port 22 on one host in 9.0 s: 318 flows, 640 packets",
        "source": Endpoint("192.0.2.10", 51514, 1234, 12), "destination": Endpoint("198.51.100.7", 22, 4321, 10),
        "ip_version": 4, "protocol": 6, "community_id": "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
        "technique": technique_of("T1110.001"), "verdict": "attack", "lane": "known", "label": "SSH-Patator",
        "p_known": 0.00002, "p_novel": 0.4, "scores": {"lstm": 0.97}, "spread": SPREAD,
        "deviations": tuple(
            Deviation(name, "packets", 412.0, 2.0, 0.0, 9.0, 11.0, 3.0)
            for name in ("fwd_psh_flags", "syn_flag_count", "rst_flag_count")
        ),
        "model": ModelIdentity("cic2017", "0" * 64), "observer": Observer("gw1", "0.1.0"), "dropped": 0,
        "target_ips": ("198.51.100.7",), "target_ports": (22,),
    }  # fmt: skip
    return Alert(**(known | fields))

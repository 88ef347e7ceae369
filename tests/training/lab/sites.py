"""Small scenarios for the lab's tests."""

from pathlib import Path
from typing import Any

import yaml

from training.lab.reading import read_scenario
from training.lab.scenario import Scenario

SHIPPED = Path(__file__).resolve().parents[3] / "configs" / "lab"
SMALL: dict[str, Any] = {
    "name": "small",
    "summary": "two hosts",
    "domain": "small.test",
    "seed": 3,
    "duration_s": 120,
    "resolver": "server",
    "segments": {"lan": {"network": "10.1.1.0/24"}, "outside": {"network": "192.0.2.0/24"}},
    "links": {"wired": {"delay_ms": 1}},
    "habits": {"clerk": {"pace_s": 5, "actions": {"browse": ["server"], "ssh-session": ["server"]}}},
    "hosts": {
        "server": {"segment": "lan", "address": "10.1.1.2", "link": "wired", "services": ["dns", "http", "ssh"]},
        "desk": {"segment": "lan", "address": "10.1.1.3", "link": "wired", "habits": ["clerk"]},
        "mallory": {"segment": "outside", "address": "203.0.113.9", "link": "wired"},
    },
    "attacks": [
        {"name": "scan", "tool": "nmap-syn", "source": "mallory", "targets": ["server"], "at_s": 10, "for_s": 20},
        {
            "name": "flood",
            "tool": "syn-flood-forged",
            "source": "mallory",
            "targets": ["server"],
            "at_s": 60,
            "for_s": 9,
        },
    ],
}
DUAL: dict[str, Any] = {
    **SMALL,
    "segments": {
        "lan": {"network": "10.1.1.0/24", "network6": "2001:db8:1::/64"},
        "outside": {"network": "192.0.2.0/24", "network6": "2001:db8:2::/64"},
    },
    "hosts": {
        "server": {**SMALL["hosts"]["server"], "address6": "2001:db8:1::2"},
        "desk": {**SMALL["hosts"]["desk"], "address6": "2001:db8:1::3"},
        "mallory": {**SMALL["hosts"]["mallory"], "address6": "2a00:f::9"},
    },
}
TRANSLATED: dict[str, Any] = {
    **SMALL,
    "segments": {
        "lan": {"network": "10.1.1.0/24"},
        "guests": {"network": "10.1.2.0/24"},
        "outside": {"network": "192.0.2.0/24", "capture": True, "masquerades": ["guests"]},
    },
    "habits": {**SMALL["habits"], "guest": {"pace_s": 2, "actions": {"browse": ["news"]}}},
    "hosts": {
        **SMALL["hosts"],
        "news": {"segment": "outside", "address": "5.1.1.3", "link": "wired", "services": ["http"]},
        "one": {"segment": "guests", "address": "10.1.2.3", "link": "wired", "habits": ["guest"]},
        "two": {"segment": "guests", "address": "10.1.2.4", "link": "wired", "habits": ["guest"]},
    },
}


def scenario_of(tmp_path: Path, content: dict[str, Any] = SMALL) -> Scenario:
    """The scenario of a mapping, by way of a file."""
    return read_scenario(written(tmp_path, content))[0]


class Plain(yaml.SafeDumper):
    """Writes what stands in two places twice: aliases are refused."""

    def ignore_aliases(self, _data: object) -> bool:
        """Whether there is to be no alias for a value."""
        return True


def written(tmp_path: Path, content: dict[str, Any]) -> Path:
    """A file with this content."""
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.dump(content, Dumper=Plain, sort_keys=False), encoding="utf-8")
    return path

"""One vocabulary for the labels of all datasets: attack families with their MITRE ATT&CK techniques.

A family is the finest class that datasets share: public sets name tools (Hulk, Patator), operators act on techniques.
Source: attack.mitre.org, Enterprise matrix.
"""

from dataclasses import dataclass

BENIGN = "BENIGN"


@dataclass(frozen=True, slots=True)
class Family:
    """An attack family. technique: MITRE ATT&CK technique id, None for normal traffic."""

    name: str
    technique: str | None


FAMILIES: tuple[Family, ...] = (
    Family(BENIGN, None),
    Family("BruteForce", "T1110"),
    Family("DoS", "T1499"),
    Family("DDoS", "T1498"),
    Family("PortScan", "T1046"),
    Family("WebAttack", "T1190"),
    Family("Heartbleed", "T1190"),
    Family("Infiltration", "T1203"),
    Family("Botnet", "T1071"),
)
TECHNIQUES: dict[str, str | None] = {family.name: family.technique for family in FAMILIES}

# Spellings of CIC-IDS-2017 and of its corrected releases, in lower case; a dash there is of any kind.
CIC_FAMILIES: dict[str, str] = {
    "benign": BENIGN,
    "ftp-patator": "BruteForce",
    "ssh-patator": "BruteForce",
    "dos hulk": "DoS",
    "dos goldeneye": "DoS",
    "dos slowloris": "DoS",
    "dos slowhttptest": "DoS",
    "ddos": "DDoS",
    "heartbleed": "Heartbleed",
    "portscan": "PortScan",
    "infiltration - portscan": "PortScan",
    "infiltration": "Infiltration",
    "web attack - brute force": "WebAttack",
    "web attack - xss": "WebAttack",
    "web attack - sql injection": "WebAttack",
    "bot": "Botnet",
    "botnet": "Botnet",
}
ATTEMPTED = " - attempted"


def canonical(label: str) -> str:
    """A dataset's label in lower case with plain dashes; 2017's files hold the replacement character for a dash."""
    text = label.strip().lower()
    for dash in ("–", "�", "\x96"):
        text = text.replace(dash, "-")
    return " ".join(text.split())


def cic_family(label: str) -> str | None:
    """Family of a CIC-IDS-2017 label; None for an attack that was only attempted.

    Attempted flows belong to an attack's tool but carry no payload of it (Engelen et al. 2021): they are neither normal
    nor the attack. Raises KeyError for a label that the vocabulary does not have.
    """
    text = canonical(label)
    attempted = text.endswith(ATTEMPTED)
    family = CIC_FAMILIES[text.removesuffix(ATTEMPTED)]
    return None if attempted else family

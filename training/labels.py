"""One vocabulary for the labels of all datasets: attack families with their MITRE ATT&CK techniques.

A family is the finest class that datasets share: public sets name tools (Hulk, Patator), operators act on techniques.
Sources: attack.mitre.org, Enterprise matrix; labels as the sets' published files spell them.
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
    Family("BruteForce", "T1110"),  # Brute Force
    Family("DoS", "T1499"),  # Endpoint Denial of Service
    Family("DDoS", "T1498"),  # Network Denial of Service
    Family("Reflection", "T1498.002"),  # Network Denial of Service: Reflection Amplification
    Family("PortScan", "T1046"),  # Network Service Discovery
    Family("WebAttack", "T1190"),  # Exploit Public-Facing Application
    Family("Heartbleed", "T1190"),
    Family("Infiltration", "T1203"),  # Exploitation for Client Execution
    Family("Botnet", "T1071"),  # Application Layer Protocol
)
TECHNIQUES: dict[str, str | None] = {family.name: family.technique for family in FAMILIES}

# Spellings in lower case; a dash there is of any kind. Names that several sets spell alike stand once.
CIC_FAMILIES: dict[str, str] = {
    # CIC-IDS-2017 and its corrected releases
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
    # CSE-CIC-IDS-2018, the set's own misspelling included
    "ftp-bruteforce": "BruteForce",
    "ssh-bruteforce": "BruteForce",
    "dos attacks-hulk": "DoS",
    "dos attacks-goldeneye": "DoS",
    "dos attacks-slowloris": "DoS",
    "dos attacks-slowhttptest": "DoS",
    "ddos attacks-loic-http": "DDoS",
    "ddos attack-loic-udp": "DDoS",
    "ddos attack-hoic": "DDoS",
    "brute force -web": "WebAttack",
    "brute force -xss": "WebAttack",
    "sql injection": "WebAttack",
    "infilteration": "Infiltration",
    # its corrected release
    "ddos-loic-http": "DDoS",
    "ddos-loic-udp": "DDoS",
    "ddos-hoic": "DDoS",
    "web attack - sql": "WebAttack",
    "infiltration - nmap portscan": "PortScan",
    "infiltration - dropbox download": "Infiltration",
    "infiltration - communication victim attacker": "Infiltration",
    "botnet ares": "Botnet",
    # CIC-DDoS-2019: floods sent by third parties' servers, and those that the attackers send themselves. Its DrDoS_UDP
    # is one of the latter (Sharafaldin, Lashkari, Hakak, Ghorbani 2019).
    "drdos_dns": "Reflection",
    "drdos_ldap": "Reflection",
    "drdos_mssql": "Reflection",
    "drdos_netbios": "Reflection",
    "drdos_ntp": "Reflection",
    "drdos_snmp": "Reflection",
    "drdos_ssdp": "Reflection",
    "ldap": "Reflection",
    "mssql": "Reflection",
    "netbios": "Reflection",
    "portmap": "Reflection",
    "tftp": "Reflection",
    "drdos_udp": "DDoS",
    "udp": "DDoS",
    "udp-lag": "DDoS",
    "udplag": "DDoS",
    "syn": "DDoS",
    "webddos": "DDoS",
}
ATTEMPTED = " - attempted"


def canonical(label: str) -> str:
    """A dataset's label in lower case with plain dashes.

    2017's files hold the replacement character for a dash, or Windows's; copies of them hold either once more mistaken.
    """
    text = label.strip().lower()
    for dash in ("â€“", "ï¿½", "–", "�", "\x96"):
        text = text.replace(dash, "-")
    return " ".join(text.split())


def cic_family(label: str) -> str | None:
    """Family of a label of CIC-IDS-2017, CSE-CIC-IDS-2018 or CIC-DDoS-2019; None for an attack only attempted.

    Attempted flows belong to an attack's tool but carry no payload of it (Engelen et al. 2021): they are neither normal
    nor the attack. Raises KeyError for a label that the vocabulary does not have.
    """
    text = canonical(label)
    attempted = text.endswith(ATTEMPTED)
    family = CIC_FAMILIES[text.removesuffix(ATTEMPTED)]
    return None if attempted else family

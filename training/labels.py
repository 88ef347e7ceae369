"""One vocabulary for the labels of all datasets: attack families with their MITRE ATT&CK techniques.

A family is the finest class that datasets share: public sets name tools (Hulk, Patator), operators act on techniques.
In KDD'99 and NSL-KDD an attack is finer than its family and has a technique of its own.
Sources: attack.mitre.org, Enterprise matrix; labels as the sets' published files spell them; what each attack of KDD'99
did: Kendall, "A Database of Computer Attacks for the Evaluation of Intrusion Detection Systems", MIT 1999.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

BENIGN = "BENIGN"


@dataclass(frozen=True, slots=True)
class Family:
    """A family of attacks that models learn and alerts name."""

    name: str
    technique: str | None  # MITRE ATT&CK technique id, None for normal traffic


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
    Family("Tunnel", "T1572"),  # Protocol Tunneling
    Family("Exfiltration", "T1048"),  # Exfiltration Over Alternative Protocol
    Family("Lateral", "T1021"),  # Remote Services, from host to host
    Family("Credentials", "T1003"),  # OS Credential Dumping, and tickets asked of a directory
    Family("Miner", "T1496"),  # Resource Hijacking
    Family("Interception", "T1557"),  # Adversary-in-the-Middle
    # Of KDD'99, which shares DoS: looking around, from outside to a user's rights, from those to all rights.
    Family("Probe", "T1046"),  # Network Service Discovery
    Family("R2L", "T1190"),  # Exploit Public-Facing Application
    Family("U2R", "T1068"),  # Exploitation for Privilege Escalation
)
TECHNIQUES: dict[str, str | None] = {family.name: family.technique for family in FAMILIES}

# The family of an attack that is named by its technique, as the truth of captures does. A sub-technique that has no
# line is of its parent's family.
TECHNIQUE_FAMILIES: dict[str, str] = {
    "T1110": "BruteForce",
    "T1499": "DoS",
    "T1498": "DDoS",
    "T1498.002": "Reflection",
    "T1046": "PortScan",
    "T1018": "PortScan",  # Remote System Discovery
    "T1595": "PortScan",  # Active Scanning
    "T1190": "WebAttack",
    "T1505": "WebAttack",  # Server Software Component, such as a web shell
    "T1068": "WebAttack",  # Exploitation for Privilege Escalation
    "T1203": "Infiltration",
    "T1204": "Infiltration",  # User Execution
    "T1189": "Infiltration",  # Drive-by Compromise
    "T1566": "Infiltration",  # Phishing
    "T1071": "Botnet",
    "T1571": "Botnet",  # Non-Standard Port
    "T1573": "Botnet",  # Encrypted Channel
    "T1071.004": "Tunnel",  # Application Layer Protocol: DNS
    "T1095": "Tunnel",  # Non-Application Layer Protocol
    "T1572": "Tunnel",
    "T1041": "Exfiltration",  # Exfiltration Over C2 Channel
    "T1048": "Exfiltration",
    "T1021": "Lateral",
    "T1047": "Lateral",  # Windows Management Instrumentation
    "T1053": "Lateral",  # Scheduled Task or Job
    "T1210": "Lateral",  # Exploitation of Remote Services
    "T1569": "Lateral",  # System Services
    "T1570": "Lateral",  # Lateral Tool Transfer
    "T1003": "Credentials",
    "T1069": "Credentials",  # Permission Groups Discovery
    "T1087": "Credentials",  # Account Discovery
    "T1187": "Credentials",  # Forced Authentication
    "T1558": "Credentials",  # Steal or Forge Kerberos Tickets
    "T1496": "Miner",
    "T1557": "Interception",
}
# Techniques that look alike on the wire: a name of one is right for any of them.
LOOK_ALIKE: tuple[frozenset[str], ...] = (
    frozenset({"T1498", "T1499"}),
    frozenset({"T1046", "T1018", "T1595"}),
    frozenset({"T1071", "T1095", "T1571", "T1572", "T1573"}),
    frozenset({"T1041", "T1048"}),
)

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

NORMAL = "normal"
ANOMALY = "anomaly"  # copies of NSL-KDD of two classes call every attack so: it has no family and no technique


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack of KDD'99 or NSL-KDD as their files name it."""

    name: str
    family: str
    technique: str  # MITRE ATT&CK technique id


KDD_ATTACKS: tuple[Attack, ...] = (
    # of the training files
    Attack("back", "DoS", "T1499.003"),  # URLs of thousands of slashes
    Attack("land", "DoS", "T1499.004"),  # a SYN from the host to itself
    Attack("neptune", "DoS", "T1499.001"),  # a SYN flood
    Attack("pod", "DoS", "T1499.004"),  # a ping larger than IP allows
    Attack("smurf", "DoS", "T1498.002"),  # echo replies of a whole network
    Attack("teardrop", "DoS", "T1499.004"),  # fragments that overlap
    Attack("ipsweep", "Probe", "T1018"),  # Remote System Discovery
    Attack("nmap", "Probe", "T1046"),
    Attack("portsweep", "Probe", "T1046"),
    Attack("satan", "Probe", "T1595.002"),  # Active Scanning: Vulnerability Scanning
    Attack("ftp_write", "R2L", "T1190"),  # a directory that strangers may write into
    Attack("guess_passwd", "R2L", "T1110.001"),  # Brute Force: Password Guessing
    Attack("imap", "R2L", "T1190"),
    Attack("multihop", "R2L", "T1021"),  # Remote Services, from host to host
    Attack("phf", "R2L", "T1190"),
    Attack("spy", "R2L", "T1078"),  # Valid Accounts
    Attack("warezclient", "R2L", "T1048.003"),  # Exfiltration Over Unencrypted Non-C2 Protocol
    Attack("warezmaster", "R2L", "T1105"),  # Ingress Tool Transfer
    Attack("buffer_overflow", "U2R", "T1068"),
    Attack("loadmodule", "U2R", "T1068"),
    Attack("perl", "U2R", "T1068"),
    Attack("rootkit", "U2R", "T1014"),  # Rootkit
    # of the test files alone
    Attack("apache2", "DoS", "T1499.003"),  # requests of thousands of headers
    Attack("mailbomb", "DoS", "T1499.002"),  # Service Exhaustion Flood
    Attack("processtable", "DoS", "T1499.001"),  # a process for each connection
    Attack("udpstorm", "DoS", "T1498.002"),  # chargen answers echo
    Attack("mscan", "Probe", "T1595.002"),
    Attack("saint", "Probe", "T1595.002"),
    # Kendall and most work on NSL-KDD place it here; the tally of the KDD Cup places it in U2R.
    Attack("httptunnel", "R2L", "T1572"),  # Protocol Tunneling
    Attack("named", "R2L", "T1190"),
    Attack("sendmail", "R2L", "T1190"),
    Attack("snmpgetattack", "R2L", "T1602.001"),  # Data from Configuration Repository: SNMP (MIB Dump)
    Attack("snmpguess", "R2L", "T1110.001"),
    Attack("worm", "R2L", "T1210"),  # Exploitation of Remote Services
    Attack("xlock", "R2L", "T1056.002"),  # Input Capture: GUI Input Capture
    Attack("xsnoop", "R2L", "T1056.001"),  # Input Capture: Keylogging
    Attack("ps", "U2R", "T1068"),
    Attack("sqlattack", "U2R", "T1068"),
    Attack("xterm", "U2R", "T1068"),
)
KDD_FAMILIES: dict[str, str] = {NORMAL: BENIGN, **{attack.name: attack.family for attack in KDD_ATTACKS}}
KDD_TECHNIQUES: dict[str, str] = {attack.name: attack.technique for attack in KDD_ATTACKS}


def technique_family(technique: str) -> str:
    """Family of a MITRE ATT&CK technique id. Raises KeyError for one that no family holds."""
    return TECHNIQUE_FAMILIES.get(technique) or TECHNIQUE_FAMILIES[parent_technique(technique)]


def parent_technique(technique: str) -> str:
    """Id of the technique that a sub-technique belongs to; its own of any other."""
    return technique.partition(".")[0]


def right_names(technique: str) -> frozenset[str]:
    """Ids of the techniques, parents, by any of which an alert on this one is rightly named."""
    parent = parent_technique(technique)
    return frozenset({parent}).union(*(alike for alike in LOOK_ALIKE if parent in alike))


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


def cic_vocabulary() -> str:
    """The labels that `cic_family` knows, in its spelling, for a message."""
    return f"{', '.join(CIC_FAMILIES)} (letter case and kind of dash do not matter)"


def kdd_vocabulary() -> str:
    """The labels that `kdd_attack` knows, for a message."""
    return ", ".join((NORMAL, ANOMALY, *(attack.name for attack in KDD_ATTACKS)))


def kdd_attack(label: str) -> str:
    """The attack that a label of KDD'99 or NSL-KDD names, ANOMALY or NORMAL, as the files spell it.

    KDD'99's ends in a dot.
    Raises KeyError for a label that the vocabulary does not have.
    """
    name = label.strip().lower().removesuffix(".")
    if name not in KDD_FAMILIES and name != ANOMALY:
        raise KeyError(label)
    return name


def kdd_family(attack: str) -> str:
    """Family of an attack as `kdd_attack` names it; of ANOMALY itself."""
    return attack if attack == ANOMALY else KDD_FAMILIES[attack]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The labels that datasets of one kind have, and what a map of other labels may map to."""

    spelled: Callable[[str], str]  # a label in the spelling in which labels are compared
    name: Callable[[str], str]  # what a table of this kind calls a label; raises KeyError for an unknown one
    family: Callable[[str], str | None]  # of such a name, None for an attack only attempted
    families: tuple[str, ...]  # which a map may name in place of a label
    listed: str  # all labels, for a message
    example: str  # one of them

    def target(self, text: str) -> str:
        """What a table calls the label or family that a map names. Raises KeyError for what is neither."""
        try:
            return self.name(text)
        except KeyError:
            return {canonical(family): family for family in self.families}[canonical(text)]

    def family_of(self, target: str) -> str | None:
        """Family of what `target` gave."""
        return target if target in self.families else self.family(target)


def _cic_name(label: str) -> str:
    cic_family(label)
    return " ".join(label.split())


def _kdd_spelled(label: str) -> str:
    return canonical(label).removesuffix(".")


CIC_VOCABULARY = Vocabulary(
    canonical,
    _cic_name,
    cic_family,
    tuple(family for family in TECHNIQUES if family in CIC_FAMILIES.values()),
    cic_vocabulary(),
    "PortScan",
)
KDD_VOCABULARY = Vocabulary(
    _kdd_spelled,
    kdd_attack,
    kdd_family,
    tuple(family for family in TECHNIQUES if family in KDD_FAMILIES.values() and family != BENIGN),
    kdd_vocabulary(),
    "portsweep",
)


def names_attacks(labels: Iterable[str]) -> bool:
    """Whether labels of KDD tables are names of attacks and normal, not of whole families nor of any anomaly."""
    return all(label in KDD_FAMILIES for label in labels)


def technique(label: str) -> str | None:
    """MITRE ATT&CK technique id of a family, or of an attack of KDD'99 or NSL-KDD; None for normal traffic.

    Raises KeyError for what is neither.
    """
    if label == NORMAL:
        return None
    return TECHNIQUES[label] if label in TECHNIQUES else KDD_TECHNIQUES[label]

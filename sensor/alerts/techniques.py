"""ATT&CK techniques by their id, and how bad each would be.

Labels and shapes name techniques; what they are is looked up here. Source: MITRE ATT&CK, Enterprise.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Technique:
    """An ATT&CK technique. name and tactic are empty where this table does not know the id."""

    id: str
    name: str
    tactic: str

    @property
    def parent(self) -> str:
        """Id of the technique that it belongs to; its own where it is no sub-technique."""
        return self.id.partition(".")[0]


NO_TECHNIQUE = Technique("", "", "")  # for what must name one


TECHNIQUES: tuple[Technique, ...] = (
    Technique("T1018", "Remote System Discovery", "Discovery"),
    Technique("T1041", "Exfiltration Over C2 Channel", "Exfiltration"),
    Technique("T1046", "Network Service Discovery", "Discovery"),
    Technique("T1048", "Exfiltration Over Alternative Protocol", "Exfiltration"),
    Technique("T1068", "Exploitation for Privilege Escalation", "Privilege Escalation"),
    Technique("T1071", "Application Layer Protocol", "Command and Control"),
    Technique("T1071.001", "Web Protocols", "Command and Control"),
    Technique("T1071.004", "DNS", "Command and Control"),
    Technique("T1095", "Non-Application Layer Protocol", "Command and Control"),
    Technique("T1110", "Brute Force", "Credential Access"),
    Technique("T1110.001", "Password Guessing", "Credential Access"),
    Technique("T1190", "Exploit Public-Facing Application", "Initial Access"),
    Technique("T1203", "Exploitation for Client Execution", "Execution"),
    Technique("T1498", "Network Denial of Service", "Impact"),
    Technique("T1498.001", "Direct Network Flood", "Impact"),
    Technique("T1498.002", "Reflection Amplification", "Impact"),
    Technique("T1499", "Endpoint Denial of Service", "Impact"),
    Technique("T1499.001", "OS Exhaustion Flood", "Impact"),
    Technique("T1499.002", "Service Exhaustion Flood", "Impact"),
    Technique("T1499.003", "Application Exhaustion Flood", "Impact"),
    Technique("T1571", "Non-Standard Port", "Command and Control"),
    Technique("T1572", "Protocol Tunneling", "Command and Control"),
    Technique("T1499.004", "Application or System Exploitation", "Impact"),
)

_BY_ID = {technique.id: technique for technique in TECHNIQUES}

# How bad each tactic is if it is true, 0..100: looking around, getting in, breaking things. A tactic that is not named
# here is taken for half way; traffic without a technique is only unusual.
SEVERITY: dict[str, int] = {
    "Discovery": 40,
    "Credential Access": 70,
    "Initial Access": 80,
    "Privilege Escalation": 80,
    "Exfiltration": 80,
    "Impact": 80,
}
SEVERITY_OTHER = 60
SEVERITY_UNNAMED = 30


def technique_of(identifier: str | None) -> Technique | None:
    """The technique with this ATT&CK id; with an empty name where it is not in the table. None gives None."""
    if not identifier:
        return None
    return _BY_ID.get(identifier) or Technique(identifier, "", "")


def severity_of(technique: Technique | None) -> int:
    """How bad it is if it is true, 0..100, by the technique's tactic."""
    if technique is None:
        return SEVERITY_UNNAMED
    return SEVERITY.get(technique.tactic, SEVERITY_OTHER)

"""What each technique means for the hosts concerned, and what to look at next (ids: sensor.alerts.techniques)."""

from dataclasses import dataclass, replace
from typing import Final

from sensor.alerts.alert import Alert


@dataclass(frozen=True, slots=True)
class Playbook:
    """What a technique means, and what to do about it."""

    meaning: str  # one sentence for a reader who is no analyst
    steps: tuple[str, ...]  # what to do next, the first thing first


_SCAN = Playbook(
    "One host asked many ports or hosts what they offer. By itself it harms nothing; it often comes before an attack.",
    (
        "Is the source one of your own scanners, monitors or testers? Then mute it by address.",
        "Which ports answered? Look for flows of this source in which data was exchanged, above all after the scan.",
        "An inside source that should not scan: treat the machine as compromised until it is explained.",
        "An outside source: check that the ports which answered are meant to be reachable from there.",
    ),
)
_GUESSING = Playbook(
    "Log-ins came again and again, all alike, as from somebody who guesses passwords.",
    (
        "Read the target's log of authentication for that time: failures of its sources, and a success after them.",
        "A success: lock the account, end its sessions, and look at what it did next.",
        "None: limit the rate or block them at the target; make sure that keys or a second factor are required.",
        "An inside source: a job with an old password looks the same; ask its owner.",
    ),
)
_FLOOD = Playbook(
    "More connections or packets came than the target can be meant to serve: it may be overloaded.",
    (
        "Is the service still answering? Look at its response times, its connection table and its error log.",
        "The addresses of a flood are often forged: block by rate, not by address alone; turn on SYN cookies.",
        "Ask the provider for filtering where the line itself is full.",
        "A load test, a backup or a broken client looks the same: ask before blocking an inside source.",
    ),
)
_SLOW = Playbook(
    "One host kept a service busy with requests, many of them or very slow ones, so that others may not be served.",
    (
        "Is the service still answering? Look at its number of open connections and workers.",
        "Limit connections for each address and the time a request may take to arrive.",
        "Read the server's log for this source: which page, which client, how many answers with an error?",
        "A crawler or a monitor looks similar: ask before blocking an inside source.",
    ),
)
_WEB = Playbook(
    "The traffic resembles attacks against a public service, such as injected commands or queries.",
    (
        "Read the server's log for this source and time: long or odd parameters, errors, uploads.",
        "Answers larger than usual to such requests may be stolen data.",
        "Look for what the server itself opened afterwards: new outgoing connections, new files, new processes.",
        "Check that the service has its updates.",
    ),
)
_INSIDE = Playbook(
    "The traffic resembles that of a machine after somebody has run foreign code on it.",
    (
        "Look at the inside machine of this pair: new processes, new logins, files opened from mail or web.",
        "Look for its other connections since: scans of neighbours, regular contact to one outside address.",
        "Isolate it where more than one of these is found, and keep its memory and disk as they are.",
    ),
)
_REFLECTION = Playbook(
    "Many servers sent the target answers that it never asked for: somebody asks in its name, so that they flood it.",
    (
        "Is the line full? Only the provider can filter before it: by the answering port, which the flow shown has.",
        "The servers that answer are abused, they are not the attacker: blocking them one by one helps little.",
        "The target did nothing to cause it; its ICMP errors to these servers are no act of its own.",
        "A server of your own among them: close it to questions from outside.",
    ),
)
_BEAT = Playbook(
    "A host connects to another in an even beat, as malware does that waits for orders; so do updates and monitors.",
    (
        "Who is the other end? Look at its name, certificate, age and owner. A maker or monitor you know: mute it.",
        "How many of your hosts talk to it, and since when? One alone, since a few days, weighs most.",
        "Find the process that opens the connections on the inside machine.",
        "Look for flows of this pair that are larger or out of the beat: orders that came, data that went.",
    ),
)
_UNUSUAL_PORT = Playbook(
    "A host keeps contact with another over a port that no common service has: one connection that stays open, or an "
    "even beat.",
    (
        "Who is the other end? Look at its name, age and owner, and at the certificate if there is one.",
        "Find the process that holds the connection on the inside machine: its path, its age, who started it.",
        "Games, remote help and devices that report to their maker do so too. One you know: mute it.",
        "Look at what the pair does at night, and for the same destination on other machines.",
    ),
)
_UPLOAD = Playbook(
    "A host sends another, outside, far more than it gets: data leaves.",
    (
        "Is it a backup, a copy or a publication that somebody ordered? Ask the machine's owner.",
        "Who is the other end? Look at its name, age and owner.",
        "Find the process that sends, and what it has read: archives that were just made weigh most.",
        "Block the destination until it is explained; what has left cannot be called back.",
    ),
)
_QUESTIONS = Playbook(
    "A host asks a resolver more or longer questions than names need: data may travel in them.",
    (
        "Read the resolver's log for this host: long random names below one domain are a tunnel. Whose domain is it?",
        "Mail filters, virus scanners and content networks ask for long names too, below domains that are well known.",
        "Find the process that asks; block the domain at the resolver until it is explained.",
        "Let questions through to your own resolvers only.",
    ),
)
_ECHOES = Playbook(
    "Two hosts exchange echoes (ping) that are larger and more often than a test needs: data may travel in them.",
    (
        "Look at what the packets carry: ping repeats one pattern, a tunnel's packets differ.",
        "A monitor of the line's quality pings so, too: ask its owner.",
        "Find the process that sends them on the inside machine.",
        "Let echoes to outside through only from those who need them.",
    ),
)
_CONTROL = Playbook(
    "A host talks to another in a way that malware uses to get its orders.",
    (
        "Who is the other end? Look at its name, certificate, age and owner.",
        "Is the contact regular? Look at the times of all connections of this pair over a day.",
        "Find the process that opens them on the inside machine.",
    ),
)
_UNUSUAL = Playbook(
    "The traffic is unlike what the model knows as normal; no known attack was recognised. It may well be harmless.",
    (
        "Ask what is new: a new machine, service, backup or version explains most of these.",
        "Compare the reasons below with what this service should do.",
        "Does it come back every day? Then it is normal here: mute it, or fit the model to this site.",
    ),
)

# Said first of what only the shape says.
_DOUBT: Final = (
    "Uncertain: its number, rate and spread look like this, but no model trained on attacks says so. Ask first whether "
    "it is meant to be."
)

_BY_ID: dict[str, Playbook] = {
    "T1018": _SCAN,
    "T1046": _SCAN,
    "T1110": _GUESSING,
    "T1499": _SLOW,
    "T1499.001": _FLOOD,
    "T1498": _FLOOD,
    "T1498.002": _REFLECTION,
    "T1190": _WEB,
    "T1203": _INSIDE,
    "T1068": _INSIDE,
    "T1071": _CONTROL,
    "T1071.001": _BEAT,
    "T1071.004": _QUESTIONS,
    "T1571": _UNUSUAL_PORT,
    "T1095": _ECHOES,
}
_BY_TACTIC: dict[str, Playbook] = {
    "Discovery": _SCAN,
    "Credential Access": _GUESSING,
    "Impact": _FLOOD,
    "Initial Access": _WEB,
    "Execution": _INSIDE,
    "Privilege Escalation": _INSIDE,
    "Command and Control": _CONTROL,
    "Exfiltration": _UPLOAD,
}


def playbook_of(alert: Alert) -> Playbook:
    """By the technique, else its parent, else its tactic, else as for traffic that is only unusual.

    Where the verdict is uncertain, what speaks against the technique is the first thing to ask.
    """
    technique = alert.technique
    if technique is None:
        return _UNUSUAL
    found = _BY_ID.get(technique.id) or _BY_ID.get(technique.parent) or _BY_TACTIC.get(technique.tactic)
    if found is None:
        return _UNUSUAL
    return replace(found, steps=(_DOUBT, *found.steps)) if alert.verdict == "uncertain" else found

"""What people do with mail: read it by IMAP, send it by SMTP."""

from random import Random
from typing import Final

from training.lab.accounts import LETTERS
from training.lab.actions.action import Action, Step
from training.lab.actions.shells import PEOPLE, account_of
from training.lab.place import Place


def _read(place: Place, target: str, draw: Random) -> list[Step]:
    """A look at the inbox, then some letters, in one session; now and then another one."""
    user, password = account_of(place.host)
    base = f"imaps://{place.site.name(target)}"
    curl = ["curl", "-sSk", "--no-progress-meter", "-u", f"{user}:{password}", "--rate", f"{draw.randint(6, 40)}/m"]
    first = draw.randint(1, LETTERS - 4)
    urls = [f"{base}/INBOX;MAILINDEX={number}" for number in range(first, first + draw.randint(1, 5))]
    sinks = [part for url in (f"{base}/", *urls) for part in ("-o", "/dev/null", url)]
    return [Step([*curl, *sinks], draw.uniform(0.2, 2))]


def _look(place: Place, target: str, draw: Random) -> list[Step]:  # noqa: ARG001  an action's arguments
    """What a program does that watches an inbox."""
    user, password = account_of(place.host)
    url = f"imap://{place.site.name(target)}/INBOX"
    return [Step(["curl", "-sS", "-u", f"{user}:{password}", "-o", "/dev/null", url, "-X", "STATUS INBOX (UNSEEN)"])]


def _send(place: Place, target: str, draw: Random) -> list[Step]:
    user, _ = account_of(place.host)
    domain = place.site.domain
    to = f"{draw.choice(PEOPLE)}@{domain}"
    options = ["--silent", "2", "--from", f"{user}@{domain}", "--to", to, "--helo", place.name]
    if draw.random() < 0.3:
        options += ["--attach", f"@{place.site.shared / 'files' / f'report-{draw.randrange(16)}.odt'}"]
    return [Step(["swaks", "--server", place.site.name(target), *options, "--body", draw.randbytes(400).hex()])]


MAIL: Final = (
    Action("mail-read", "reads mail by IMAP with TLS", ("curl",), ("curl",), "imap", _read, ipv6=True),
    Action("mail-look", "asks whether there is mail", ("curl",), ("curl",), "imap", _look, ipv6=True),
    Action("mail-send", "sends mail, some with a file", ("swaks",), ("swaks",), "smtp", _send),
)

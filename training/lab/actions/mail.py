"""What people do with mail: read it by IMAP, send it by SMTP."""

from random import Random
from typing import Final

from training.lab.actions.action import Action, Step
from training.lab.actions.shells import PEOPLE, account_of
from training.lab.place import Place


def _read(place: Place, target: str, draw: Random) -> list[Step]:
    """A look at the inbox, and the newest letters."""
    user, password = account_of(place.host)
    base, login = f"imaps://{place.site.name(target)}", ["-u", f"{user}:{password}"]
    curl = ["curl", "-sSk", *login, "-o", "/dev/null"]
    letters = [f"{base}/INBOX;MAILINDEX={number}" for number in range(1, draw.randint(1, 5))]
    first = Step([*curl, f"{base}/INBOX", "-X", "SELECT INBOX"], draw.uniform(0.2, 2))
    return [first, *(Step([*curl, letter], draw.lognormvariate(1.2, 0.8)) for letter in letters)]


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
    Action("mail-read", "reads mail by IMAP with TLS", ("curl",), ("curl",), "imap", _read),
    Action("mail-look", "asks whether there is mail", ("curl",), ("curl",), "imap", _look),
    Action("mail-send", "sends mail, some with a file", ("swaks",), ("swaks",), "smtp", _send),
)

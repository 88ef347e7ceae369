"""Accounts of the lab's hosts, which stand in each namespace's own passwd and shadow and nowhere else."""

import os
import subprocess
from pathlib import Path
from random import Random
from textwrap import wrap
from typing import Final

FIRST_ID: Final = 21_001
LETTERS: Final = 12  # in each inbox
PASSWORDS: Final = {  # invented; the last one is in every list of common passwords
    "anna": "Tulpe-41-regen",
    "ben": "kleiner.Bagger7",
    "clara": "Nordlicht_2019",
    "david": "s0mmer&Wind",
    "backup": "rsync-Nacht-03",
    "admin": "letmein",
}
COMMON_PASSWORDS: Final = (
    "123456", "password", "12345678", "qwerty", "123456789", "12345", "1234", "111111", "1234567", "dragon", "123123",
    "baseball", "abc123", "football", "monkey", "letmein1", "696969", "shadow", "master", "666666", "qwertyuiop",
    "123321", "mustang", "1234567890", "michael", "654321", "superman", "1qaz2wsx", "7777777", "121212", "000000",
    "qazwsx", "123qwe", "killer", "trustno1", "jordan", "jennifer", "zxcvbnm", "asdfgh", "hunter", "buster", "soccer",
    "harley", "batman", "andrew", "tigger", "sunshine", "iloveyou", "2000", "charlie", "robert", "thomas", "hockey",
    "ranger", "daniel", "starwars", "klaster", "112233", "george", "computer", "michelle", "jessica", "pepper", "1111",
    "zxcvbn", "555555", "11111111", "131313", "freedom", "777777", "pass", "maggie", "159753", "aaaaaa", "ginger",
    "princess", "joshua", "cheese", "amanda", "summer", "love", "ashley", "nicole", "chelsea", "biteme", "matthew",
    "access", "yankees", "987654321", "dallas", "austin", "thunder", "taylor", "matrix", "minecraft", "william",
    "corvette", "hello", "martin", "heather", "secret", "merlin", "diamond", "1234qwer", "gfhjkm", "hammer", "silver",
    "222222", "88888888", "anthony", "justin", "test", "bailey", "q1w2e3r4t5", "patrick", "internet", "scooter",
    "orange", "11111", "golfer", "cookie", "richard", "samantha", "bigdog", "guitar", "jackson", "whatever", "mickey",
    "chicken", "sparky", "snoopy", "maverick", "phoenix", "camaro", "peanut", "morgan", "welcome", "falcon", "cowboy",
    "ferrari", "samsung", "andrea", "smokey", "steelers", "joseph", "mercedes", "dakota", "arsenal", "eagles",
    "melissa", "boomer", "booboo", "spider", "nascar", "monster", "tigers", "yellow", "xxxxxx", "123123123", "gateway",
)  # fmt: skip


def account_files(homes: Path) -> dict[str, str]:
    """passwd, shadow and group of a namespace: the system's own, and the lab's users with homes below a directory.

    Raises CalledProcessError where openssl cannot hash a password.
    """
    passwd = Path("/etc/passwd").read_text(encoding="utf-8")
    group = Path("/etc/group").read_text(encoding="utf-8")
    shadow = "".join(f"{line.split(':')[0]}:*:19000:0:99999:7:::\n" for line in passwd.splitlines())
    for number, (user, password) in enumerate(PASSWORDS.items(), start=FIRST_ID):
        passwd += f"{user}:x:{number}:{number}::{homes / user}:/bin/sh\n"
        group += f"{user}:x:{number}:\n"
        shadow += f"{user}:{_hash(password)}:19000:0:99999:7:::\n"
    return {"passwd": passwd, "shadow": shadow, "group": group}


def make_homes(homes: Path) -> None:
    """Make the homes of all accounts, with some letters in their inboxes. Raises OSError."""
    for number, user in enumerate(PASSWORDS, start=FIRST_ID):
        inbox = homes / user / "Maildir" / "new"
        inbox.mkdir(parents=True)
        for letter in range(LETTERS):
            text = Random(f"{user} {letter}").randbytes(600 << letter % 6).hex()
            head = f"From: clara@lab.test\nTo: {user}@lab.test\nSubject: {letter}\n\n"
            (inbox / f"{letter}.lab").write_text(head + "\n".join(wrap(text, 76)) + "\n", encoding="utf-8")
        for path in (homes / user, *(homes / user).rglob("*")):
            os.chown(path, number, number)


def _hash(password: str) -> str:
    command = ["openssl", "passwd", "-6", "-salt", "flowvigil", "-stdin"]
    return subprocess.run(
        command, input=password, text=True, check=True, capture_output=True, timeout=30
    ).stdout.strip()

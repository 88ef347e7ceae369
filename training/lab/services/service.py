"""Definition of a service: a Debian program, its settings, its ports, and how it is started."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from training.lab.place import Place
from training.lab.traffic import Ports, Shout

Command = list[str]

# The mounts are those of the namespace that `ip netns exec` makes for each process: nobody else sees them.
_PRIVATELY: Final = """mount -t tmpfs -o mode=755 tmpfs /run || exit 1
for directory in $1; do
  case $directory in /run/*) mkdir -p "$directory" ;; *) mount -t tmpfs -o mode=755 tmpfs "$directory" || exit 1 ;; esac
done
shift
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Service:
    """A server that a host can run."""

    name: str
    summary: str
    packages: tuple[str, ...]  # of Debian
    programs: tuple[str, ...]  # of these packages
    ports: tuple[Ports, ...]  # that its clients' flows go to; it is ready when the first is open
    commands: Callable[[Place], list[Command]]  # writes its settings; its processes, which stay in the foreground
    private: tuple[str, ...] = ()  # directories of the system that it gets empty and for itself; /run always
    shouts: tuple[Shout, ...] = ()  # to all of the segment
    asks: tuple[str, ...] = ()  # services of other hosts that it asks, whichever host has them
    ipv6: bool = False  # whether it answers at its host's IPv6 address too
    restless: bool = False  # takes all of a processor: it is stopped save while an attack is about its host

    def start_command(self, command: Command) -> Command:
        """One of its commands with the directories that are its own."""
        return ["sh", "-c", _PRIVATELY, "sh", " ".join(self.private), *command]

"""Many captures, each in a process of its own under a watchdog, and what is known of a run over them on disk."""

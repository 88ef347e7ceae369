"""Version of the distribution, as alerts and --version state it."""

VERSION = "0.1.0"

"""A running sensor shown to others on the same machine: over a unix socket, one way, without holding it up."""

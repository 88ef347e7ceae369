"""Clients of the lab's own, which run as processes of their own inside a namespace."""

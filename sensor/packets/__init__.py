"""Packets of alerts: the latest ones in memory, and a small capture for each alert with those of its flows.

The way through: `ring` remembers packets, `keeper` finds those of the flows that alerts rest on, `capture` makes a
file of them, `directory` holds the files to a total.
"""

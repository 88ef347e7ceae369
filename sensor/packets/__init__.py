"""Packets of alerts: a ring of the latest packets in memory, and a small capture file for each alert.

The data path: `ring` stores the latest packets, `recorder` finds those of the flows that alerts rest on,
`alert_capture` encodes them as pcapng, `directory` stores the files within a limit.
"""

"""Many sensors in one place: which are well, which hosts and attacks several of them see, and which bundle each should
have.

The way through: `file` reads the operator's list of sensors, `hosts` says which addresses are one host, `sensors`
takes lines in and `health` says what they show, `sightings` finds alerts of one attack, `wanted` is what each sensor
should run on.
"""

"""Traffic lab: real servers, clients and attack tools in network namespaces, with the ground truth of every flow.

It knows no detector. A scenario (training.lab.scenario) says which hosts there are, who uses what and what is attacked
when; a run (training.lab.run) makes the network, captures it, and writes what each flow was.
"""

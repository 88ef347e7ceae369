"""Generator of synthetic traffic: seeded, labelled, without a library; for the demo, the self test and evaluations."""

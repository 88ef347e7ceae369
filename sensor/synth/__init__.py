"""Traffic of our own making: seeded, labelled, without a library; for the demo, the self test and evaluations."""

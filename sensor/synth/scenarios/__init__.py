"""Who talks to whom, when and why: one module for each kind of traffic, benign or not."""

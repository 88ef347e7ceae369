"""Application messages as bytes: what a passer-by can read of them is right, the rest has the right size."""

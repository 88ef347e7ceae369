"""KDD connection records: their columns, and the same columns from live flows."""

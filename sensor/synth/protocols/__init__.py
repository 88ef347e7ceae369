"""Encoders of application messages: what is in the clear is correct, what is encrypted has the correct size."""

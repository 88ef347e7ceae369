"""What builds, locks and lists the product's parts; no part of the product itself."""

"""Names that traffic tells of its hosts: DNS answers, and what TLS clients say. Nothing is judged by them."""

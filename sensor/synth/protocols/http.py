"""HTTP/1.1 messages in the clear. RFC 9112."""

from sensor.synth.protocols.opaque import opaque


def request(host: str, path: str, agent: str) -> bytes:
    """GET request with the usual headers of a browser."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n"
        "Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\r\n"
    ).encode()


def response(body: int, kind: str = "text/html") -> bytes:
    """Response 200 with `body` bytes of content."""
    return (
        f"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: {kind}\r\nContent-Length: {body}\r\n\r\n".encode()
        + opaque(body)
    )


def unfinished_request(host: str, nonce: int, agent: str) -> bytes:
    """The start of a GET request without the empty line that would end its headers."""
    return (
        f"GET /?{nonce} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept-Language: en-US,en;q=0.5\r\n"
    ).encode()


def one_more_header(nonce: int) -> bytes:
    """A further header line, which does not end the headers."""
    return f"X-a: {nonce}\r\n".encode()

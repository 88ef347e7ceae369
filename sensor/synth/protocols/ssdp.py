"""SSDP: a search for devices, and what one answers. UPnP Device Architecture 1.1, sections 1.3.2 and 1.3.3."""

_KIND = "urn:dial-multiscreen-org:service:dial:1"


def search() -> bytes:
    """M-SEARCH to the group."""
    return (
        f'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: {_KIND}\r\n\r\n'
    ).encode()


def found(ipv4: str, serial: int = 7) -> bytes:
    """Answer of a device at ipv4 to who searched."""
    return (
        f"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nEXT:\r\nLOCATION: http://{ipv4}:8008/device-desc.xml\r\n"
        f"SERVER: Linux/5.15, UPnP/1.0\r\nST: {_KIND}\r\nUSN: uuid:{serial:08x}::{_KIND}\r\n\r\n"
    ).encode()

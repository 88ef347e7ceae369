"""The targets of an alert in words, the same wherever an alert is shown."""

from sensor.alerts import Alert


def targets_in_words(alert: Alert) -> str:
    """Such as `one host 10.20.0.10; 1,000 ports: 9332, 727, …` or `199 hosts: 10.0.0.1, 10.0.0.2, …; port 22`."""
    shape, shown = alert.shape, alert.target_ips or (alert.destination.ip,)
    hosts = f"one host {shown[0]}"
    if shape.targets > 1 or shape.targets_more:
        hosts = f"{shape.targets:,}{'+' * shape.targets_more} hosts: {_listed(shown, shape.targets)}"
    ports = [str(port) for port in alert.target_ports]
    if not ports:
        return hosts if shape.ports == 0 else f"{hosts}; {shape.ports:,} ports"
    if shape.ports <= 1:
        return f"{hosts}; port {ports[0]}"
    return f"{hosts}; {shape.ports:,}{'+' * shape.ports_more} ports: {_listed(ports, shape.ports)}"


def _listed(shown: tuple[str, ...] | list[str], all_of_them: int) -> str:
    return ", ".join(shown) + (", …" if len(shown) < all_of_them else "")

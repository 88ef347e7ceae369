"""The targets of an alert in words, the same wherever an alert is shown."""

from sensor.alerts.alert import Alert


def targets_in_words(alert: Alert) -> str:
    """Such as `one host 10.20.0.10; 1,000 ports: 9332, 727, …` or `199 hosts: 10.0.0.1, 10.0.0.2, …; port 22`."""
    spread, shown = alert.spread, alert.target_ips or (alert.destination.ip,)
    hosts = f"one host {shown[0]}"
    if spread.targets > 1 or spread.targets_more:
        hosts = f"{spread.targets:,}{'+' * spread.targets_more} hosts: {_listed(shown, spread.targets)}"
    ports = [str(port) for port in alert.target_ports]
    if not ports:
        return hosts if spread.ports == 0 else f"{hosts}; {spread.ports:,} ports"
    if spread.ports <= 1:
        return f"{hosts}; port {ports[0]}"
    return f"{hosts}; {spread.ports:,}{'+' * spread.ports_more} ports: {_listed(ports, spread.ports)}"


def _listed(shown: tuple[str, ...] | list[str], all_of_them: int) -> str:
    return ", ".join(shown) + (", …" if len(shown) < all_of_them else "")

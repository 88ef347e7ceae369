"""Names of services by their port, as IANA registers them: what a port is usually for, not what was spoken there.

Service Name and Transport Protocol Port Number Registry (RFC 6335); where everybody uses another name than the
registered one, that (dns, rdp, smb, vnc and the like). A table of our own, since /etc/services differs from machine to
machine and lines must not.
"""

from typing import Final

_TCP, _UDP, _SCTP = 6, 17, 132
_BOTH: Final = {
    7: "echo", 9: "discard", 13: "daytime", 19: "chargen", 37: "time", 53: "dns", 88: "kerberos", 111: "sunrpc",
    135: "epmap", 137: "netbios-ns", 138: "netbios-dgm", 139: "netbios-ssn", 161: "snmp", 162: "snmptrap", 177: "xdmcp",
    389: "ldap", 427: "svrloc", 443: "https", 445: "smb", 464: "kpasswd", 500: "isakmp", 514: "syslog",
    636: "ldaps", 853: "dns-over-tls", 1194: "openvpn", 1433: "mssql", 1434: "mssql-browser", 1701: "l2tp",
    1812: "radius", 1813: "radius-acct", 2049: "nfs", 3389: "rdp", 3478: "stun", 4500: "ipsec-nat-t", 5060: "sip",
    5061: "sips", 5349: "stuns", 5683: "coap", 5684: "coaps", 10050: "zabbix-agent", 20000: "dnp", 44818: "ethernet-ip",
    47808: "bacnet", 1900: "ssdp", 3702: "ws-discovery", 4789: "vxlan", 5353: "mdns",
}  # fmt: skip
_NAMES: Final = {
    _TCP: _BOTH | {
        20: "ftp-data", 21: "ftp", 22: "ssh", 23: "telnet", 25: "smtp", 43: "whois", 49: "tacacs", 70: "gopher",
        79: "finger", 80: "http", 102: "iso-tsap", 110: "pop3", 113: "ident", 119: "nntp", 143: "imap", 179: "bgp",
        465: "submissions", 502: "modbus", 512: "exec", 513: "login", 514: "shell", 515: "printer", 543: "klogin",
        548: "afpovertcp", 554: "rtsp", 587: "submission", 631: "ipp", 646: "ldp", 860: "iscsi", 873: "rsync",
        989: "ftps-data", 990: "ftps", 993: "imaps", 995: "pop3s", 1080: "socks", 1099: "rmiregistry",
        1521: "oracle", 1723: "pptp", 1883: "mqtt", 2375: "docker", 2376: "docker-s", 2379: "etcd-client",
        2380: "etcd-server", 2404: "iec-104", 3128: "squid-http", 3260: "iscsi-target", 3268: "ldap-gc", 3306: "mysql",
        3690: "svn", 5222: "xmpp-client", 5269: "xmpp-server", 5432: "postgresql",
        5671: "amqps", 5672: "amqp", 5900: "vnc", 5985: "wsman", 5986: "wsmans", 6000: "x11", 6379: "redis",
        6514: "syslog-tls", 6667: "irc", 8080: "http-alt", 8443: "https-alt",
        8883: "secure-mqtt", 9042: "cassandra", 9092: "kafka", 9100: "pdl-datastream",
        9200: "elasticsearch", 9418: "git", 11211: "memcache", 27017: "mongodb",
    },
    _UDP: _BOTH | {
        67: "bootps", 68: "bootpc", 69: "tftp", 80: "http", 123: "ntp", 319: "ptp-event", 320: "ptp-general",
        520: "rip", 521: "ripng", 546: "dhcpv6-client", 547: "dhcpv6-server", 623: "asf-rmcp", 1985: "hsrp",
        2123: "gtp-control", 2152: "gtp-user", 3784: "bfd-control", 4739: "ipfix", 5355: "llmnr", 6081: "geneve",
        6343: "sflow", 11211: "memcache", 51820: "wireguard",
    },
    _SCTP: {
        2905: "m3ua", 3868: "diameter", 5060: "sip", 5061: "sips", 29118: "sgsap", 36412: "s1-control",
        36422: "x2-control", 38412: "ng-control", 38422: "xn-control",
    },
}  # fmt: skip


def service_name(port: int | None, protocol: int) -> str | None:
    """Name of what a port is usually for, None where none is known here. protocol: IP number."""
    return None if port is None else _NAMES.get(protocol, {}).get(port)

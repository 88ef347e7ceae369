"""Mail servers: postfix takes mail, dovecot hands it out."""

from typing import Final

from training.lab.accounts import PASSWORDS
from training.lab.place import Place
from training.lab.services.service import Command, Service
from training.lab.traffic import tcp

_MAIN: Final = """compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = /dev/stdout
inet_interfaces = {addresses}
inet_protocols = {protocols}
myhostname = {name}
mydomain = {domain}
mydestination = {domain}, {name}
mynetworks = 0.0.0.0/0 [::]/0
alias_maps =
alias_database =
home_mailbox = Maildir/
smtpd_peername_lookup = no
smtpd_tls_cert_file = {shared}/lab.crt
smtpd_tls_key_file = {shared}/lab.key
smtpd_tls_security_level = may
smtpd_client_connection_rate_limit = 0
"""
_MASTER: Final = """smtp inet n - n - 20 smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
local unix - n n - - local
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
_DOVECOT: Final = """protocols = imap
listen = {addresses}
base_dir = /run/dovecot
log_path = /dev/stderr
ssl = yes
ssl_cert = <{shared}/lab.crt
ssl_key = <{shared}/lab.key
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 1 secs
mail_max_userip_connections = 50
mail_location = maildir:~/Maildir
first_valid_uid = 1000
passdb {{
  driver = passwd-file
  args = {users}
}}
userdb {{
  driver = passwd
}}
"""


def _smtp(place: Place) -> list[Command]:
    settings = _MAIN.format(
        directory=place.directory,
        addresses=", ".join(place.addresses),
        protocols="ipv4" if len(place.addresses) == 1 else "all",
        name=place.name,
        domain=place.site.domain,
        shared=place.site.shared,
    )
    place.write("etc/main.cf", settings)
    place.write("etc/master.cf", _MASTER)
    place.folder("queue")
    script = 'mkdir -p "$1/data" && chown postfix "$1/data" && exec postfix -c "$1/etc" start-fg'
    return [["sh", "-c", script, "sh", str(place.directory)]]


def _imap(place: Place) -> list[Command]:
    users = place.write("users", "".join(f"{user}:{{PLAIN}}{password}\n" for user, password in PASSWORDS.items()))
    settings = _DOVECOT.format(addresses=", ".join(place.addresses), shared=place.site.shared, users=users)
    return [["dovecot", "-F", "-c", str(place.write("dovecot.conf", settings))]]


SMTP: Final = Service("smtp", "postfix", ("postfix",), ("postfix",), (tcp(25),), _smtp, asks=("dns",), ipv6=True)
IMAP: Final = Service("imap", "dovecot", ("dovecot-imapd",), ("dovecot",), (tcp(143), tcp(993)), _imap, ipv6=True)

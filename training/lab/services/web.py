"""Web servers: nginx with the lab's pages, plain and with TLS."""

from typing import Final

from training.lab.content import web_root
from training.lab.place import Place
from training.lab.services.service import Command, Service
from training.lab.traffic import tcp

_NGINX: Final = """daemon off;
worker_processes 1;
pid {directory}/{name}.pid;
error_log {directory}/{name}.log warn;
events {{ worker_connections 512; }}
http {{
  access_log off;
  server_tokens off;
  types {{ text/html html; text/css css; image/webp webp; video/mp2t ts; }}
  sendfile on;
  keepalive_timeout 65;
  client_max_body_size 64m;
  {temporary}
  server {{
    {listen}
    server_name {host};
    {certificate}
    root {root};
    location = /login {{ auth_basic "staff"; auth_basic_user_file {directory}/users; try_files /page-0.html =404; }}
    location /upload {{ dav_methods PUT; create_full_put_path on; alias {directory}/uploads/; }}
    location /api {{ default_type application/json; return 200 '{{"status": "ok", "items": [1, 2, 3]}}'; }}
  }}
}}
"""
_BODIES: Final = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def _nginx(place: Place, name: str, port: int, tls: bool) -> list[Command]:
    shared = place.site.shared
    certificate = f"ssl_certificate {shared}/lab.crt; ssl_certificate_key {shared}/lab.key;" if tls else ""
    temporary = " ".join(f"{body}_temp_path {place.folder('temporary')}/{body};" for body in _BODIES)
    addresses = [f"[{address}]" if ":" in address else address for address in place.addresses]
    place.folder("uploads", 0o777)
    place.write("users", f"admin:{(shared / 'admin.hash').read_text(encoding='utf-8').strip()}\n")
    settings = _NGINX.format(
        directory=place.directory,
        name=name,
        listen=" ".join(f"listen {address}:{port}{' ssl http2' if tls else ''};" for address in addresses),
        host=place.name,
        certificate=certificate,
        root=web_root(shared),
        temporary=temporary,
    )
    return [["nginx", "-p", str(place.directory), "-c", str(place.write(f"{name}.conf", settings))]]


HTTP: Final = Service(
    "http",
    "nginx with pages, files, a video and a page behind a password",
    ("nginx-light",),
    ("nginx",),
    (tcp(80),),
    lambda place: _nginx(place, "http", 80, False),
    ipv6=True,
)
HTTPS: Final = Service(
    "https",
    "the same with TLS",
    ("nginx-light",),
    ("nginx",),
    (tcp(443),),
    lambda place: _nginx(place, "https", 443, True),
    ipv6=True,
)

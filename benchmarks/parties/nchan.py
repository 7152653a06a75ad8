"""nchan, an nginx module in C: the upper limit for fan-out. It has no database and no visibility rules."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.parties import Missing, Party, Publisher, answers, folder, get, program, running
from embedded import free_port

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

CONFIGURATION = """
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 12000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    nchan_shared_memory_size 256M;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        keepalive_requests 1000000;
        location = /publish {{ nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 5000; }}
        location = /events {{
            nchan_subscriber eventsource;
            nchan_channel_id bench;
            nchan_subscriber_first_message newest;
        }}
        location = /ready {{ return 200; }}
    }}
}}
"""


@contextmanager
def nchan() -> Iterator[Party]:
    """Run nginx with nchan."""
    nginx = program("nginx")
    if not MODULE.exists():
        raise Missing("Debian's package libnginx-mod-nchan is not installed")
    port = free_port()
    with folder() as files:
        configuration = files / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(module=MODULE, folder=files, port=port))
        command: list[str | Path] = [nginx, "-p", files, "-e", files / "error.log", "-c", configuration]
        with running(command, files / "log", answers(port, "/ready")):
            publisher = Publisher(port, "/publish")
            yield Party(port, lambda _: get("/events"), publisher.one_by_one)
            publisher.close()

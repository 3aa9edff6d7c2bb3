"""The proxies, each as a competent administrator would set it up for this work: the upstream's
certificate is verified, a token is added, connections are kept, cores are used, nothing is
logged, and bytes from the upstream are passed on at once, as watches need it."""

import re
import subprocess

from .processes import accepts, free_port
from .servers import temporary_folders, user

KUBEGATE = "kubegate"
KUBECTL = "kubectl proxy"
NGINX = "nginx"
HAPROXY = "HAProxy"
HAPROXY_HTTP2 = "HAProxy, HTTP/2 upstream"

PROXIES = (KUBEGATE, KUBECTL, NGINX, HAPROXY)


class Proxy:
    """A running proxy: `port` on 127.0.0.1 and its `process`."""

    def __init__(self, name, processes, programs, server, cores):
        self.name = name
        self.port = free_port()
        slug = re.sub(r"[^a-z0-9]+", "-", f"{name} {self.port}".lower())
        command = COMMANDS[name](self, processes.folder / slug, programs, server, cores)
        self.process = processes.start(slug, *command)

    def wait(self):
        """Waits until it listens."""
        self.process.wait_for(lambda: accepts(self.port), "listening")
        return self


def kubegate(proxy, _folder, programs, server, _cores):
    """Its defaults, and a kubeconfig with a token."""
    return [programs.kubegate, f"--port={proxy.port}", f"--kubeconfig={server.kubeconfig}"]


def kubectl(proxy, _folder, programs, server, _cores):
    """As kubegate."""
    flags = [f"--port={proxy.port}", f"--kubeconfig={server.kubeconfig}"]
    return [programs.kubectl, "proxy", *flags]


def nginx(proxy, folder, _programs, server, cores):
    """Unbuffered, so that events are passed on at once; it speaks no HTTP/2 to upstreams."""
    folder.mkdir()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"""
        daemon off;
        {user()}
        worker_processes {cores};
        pid {folder}/nginx.pid;
        error_log stderr error;
        events {{ worker_connections 16384; }}
        http {{
            access_log off;
            keepalive_timeout 1h;
            keepalive_requests 1000000000;
            {temporary_folders(folder)}
            map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
            upstream api {{
                server 127.0.0.1:{server.port};
                keepalive 256;
                keepalive_timeout 1h;
                keepalive_requests 1000000000;
            }}
            server {{
                listen 127.0.0.1:{proxy.port} backlog=4096;
                location / {{
                    proxy_pass https://api;
                    proxy_http_version 1.1;
                    proxy_set_header Host localhost;
                    proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection $connection_upgrade;
                    proxy_set_header Authorization "Bearer {server.token}";
                    proxy_ssl_verify on;
                    proxy_ssl_trusted_certificate {server.authority};
                    proxy_ssl_name localhost;
                    proxy_ssl_protocols TLSv1.2 TLSv1.3;
                    proxy_buffering off;
                    proxy_buffer_size 64k;
                    proxy_buffers 8 64k;
                    proxy_read_timeout 1h;
                    proxy_send_timeout 1h;
                }}
            }}
        }}
        """
    )
    return ["nginx", "-p", folder, "-c", configuration]


def haproxy(proxy, folder, _programs, server, cores, alpn="http/1.1"):
    """One thread per core; any idle upstream connection may be reused."""
    folder.mkdir()
    configuration = folder / "haproxy.cfg"
    configuration.write_text(
        f"""
global
    nbthread {cores}
    maxconn 8000
    no strict-limits
    ssl-server-verify required

defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
    http-reuse always

frontend local
    bind 127.0.0.1:{proxy.port} backlog 4096
    default_backend api

backend api
    http-request set-header Host localhost
    http-request set-header Authorization "Bearer {server.token}"
    server api 127.0.0.1:{server.port} ssl verify required ca-file {server.authority} verifyhost localhost alpn {alpn} pool-purge-delay 1h
"""
    )
    return ["haproxy", "-db", "-f", configuration]


def haproxy_http2(proxy, folder, programs, server, cores):
    """The same over HTTP/2."""
    return haproxy(proxy, folder, programs, server, cores, alpn="h2")


COMMANDS = {
    KUBEGATE: kubegate,
    KUBECTL: kubectl,
    NGINX: nginx,
    HAPROXY: haproxy,
    HAPROXY_HTTP2: haproxy_http2,
}


def versions(programs):
    """The version that each program reports."""
    commands = {
        KUBEGATE: [programs.kubegate, "--version"],
        KUBECTL: [programs.kubectl, "version", "--client"],
        NGINX: ["nginx", "-v"],
        HAPROXY: ["haproxy", "-v"],
        "wrk": ["wrk", "-v"],
    }
    return {
        name: version(command) for name, command in commands.items() if name not in programs.missing
    }


def version(command):
    """The first part of a program's output that looks like a version."""
    # Some write it to stderr, and wrk ends with an error.
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    found = re.search(r"\d+\.\d+[\w.+~-]*", done.stdout + done.stderr)
    return found[0] if found else "unknown"

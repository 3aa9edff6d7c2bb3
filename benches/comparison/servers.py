"""The API servers behind the proxies."""

import base64
import dataclasses
import json
import os
import pathlib
import secrets

from .processes import accepts, free_port

CERTIFICATES = pathlib.Path(__file__).resolve().parents[2] / "certs"

# The path for each size in bytes. An API server returns one object for a path that ends in a name,
# and a list for one that ends in a resource; kubegate chooses the protocol by that.
PATHS = {
    1_000: "/api/v1/namespaces/default/configmaps/small",
    10_000: "/api/v1/namespaces/default/configmaps/medium",
    100_000: "/api/v1/namespaces/default/configmaps",
    1_000_000: "/api/v1/services",
    10_000_000: "/api/v1/pods",
}


@dataclasses.dataclass
class Server:
    """How an API server is reached. Its certificate names localhost and 127.0.0.1."""

    port: int
    authority: pathlib.Path
    token: str
    kubeconfig: pathlib.Path


def start_nginx(processes, cores):
    """nginx with TLS, HTTP/2 and HTTP/1.1, and one body per path, for requests with the token."""
    folder = processes.folder / "upstream"
    folder.mkdir()
    server = Server(
        port=free_port(),
        authority=CERTIFICATES / "ca.pem",
        token=secrets.token_urlsafe(32),
        kubeconfig=folder / "kubeconfig",
    )
    for size in PATHS:
        (folder / str(size)).write_bytes(body(size))
    (folder / "nginx.conf").write_text(nginx_configuration(server, folder, cores))
    write_kubeconfig(server)
    process = processes.start("upstream", "nginx", "-p", folder, "-c", folder / "nginx.conf")
    process.wait_for(lambda: accepts(server.port), "listening")
    return server


def nginx_configuration(server, folder, cores):
    locations = "".join(
        f"""
            location = {path} {{ alias {folder}/{size}; }}"""
        for size, path in PATHS.items()
    )
    return f"""
    daemon off;
    {user()}
    worker_processes {cores};
    pid {folder}/nginx.pid;
    error_log stderr;
    events {{ worker_connections 16384; }}
    http {{
        access_log off;
        default_type application/json;
        open_file_cache max=100 inactive=1h;
        open_file_cache_valid 1h;
        output_buffers 2 256k;
        keepalive_timeout 1h;
        keepalive_requests 1000000000;
        {temporary_folders(folder)}
        server {{
            listen 127.0.0.1:{server.port} ssl http2 backlog=4096;
            ssl_certificate {CERTIFICATES}/localhost.pem;
            ssl_certificate_key {CERTIFICATES}/localhost.key;
            # One cipher for all proxies: the one that a real API server (Go) picks.
            ssl_protocols TLSv1.3;
            ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
            # As real API servers do.
            http2_max_concurrent_streams 100;
            http2_chunk_size 16k;
            if ($http_authorization != "Bearer {server.token}") {{ return 401; }}
            {locations}
        }}
    }}
    """


def temporary_folders(folder):
    """Folders that nginx requires."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "".join(f"{kind}_temp_path {folder}/{kind}; " for kind in kinds)


def user():
    """Lets the workers read the folder of the run, which only its owner can open."""
    return "user root;" if os.geteuid() == 0 else ""


def body(size):
    """JSON of exactly `size` bytes."""
    frame = b'{"kind":"List","items":["%s"]}'
    text = base64.b64encode(secrets.token_bytes(size))
    return frame % text[: size - len(frame) + len(b"%s")]


def write_kubeconfig(server):
    """Written as JSON, which is YAML too."""
    cluster = {
        "server": f"https://127.0.0.1:{server.port}",
        "certificate-authority": str(server.authority),
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bench",
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "clusters": [{"name": "bench", "cluster": cluster}],
        "users": [{"name": "bench", "user": {"token": server.token}}],
    }
    server.kubeconfig.write_text(json.dumps(content))


def start_demo_cluster(processes, program):
    """The demo's control plane: lists, watches and upgrades as a real API server has them."""
    folder = processes.folder / "demo-cluster"
    # Written last; none may be left of an earlier one.
    kubeconfig = folder / "kubeconfig"
    kubeconfig.unlink(missing_ok=True)
    process = processes.start("demo-cluster", program, "--folder", folder)
    process.wait_for(lambda: whole_json(kubeconfig), "listening")
    url = json.loads(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    server = Server(
        port=int(url.rpartition(":")[2]),
        authority=folder / "ca.pem",
        token=(folder / "token").read_text(),
        kubeconfig=kubeconfig,
    )
    return server


def whole_json(path):
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None

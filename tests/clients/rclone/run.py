#!/usr/bin/env python3
"""rclone copies to, checks and hashes on the Drive and Dropbox simulators.

usage: run.py http://127.0.0.1:GOOGLE http://127.0.0.1:DROPBOX

rclone knows no other address than the providers' own, so it is given a proxy that ends TLS under a certificate authority
of its own and hands each request on to the simulator of its host. Nothing of rclone is changed; the program is the one
that is installed beside Python. Prints one line a check, then `N passed, N failed`; the exit code is 1 when any failed.
"""
import datetime
import hashlib
import http.client
import json
import os
import pathlib
import random
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import traceback
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ACCOUNT = "rclone@example.com"
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


class Authority:
    """A certificate authority for as long as this runs."""

    def __init__(self, folder):
        self.folder, self.known, self.lock = folder, {}, threading.Lock()
        self.key, self.name = ec.generate_private_key(ec.SECP256R1()), self.named("Simulated authority")
        certificate = self.sign(self.name, self.key, [(x509.BasicConstraints(True, 0), True)])
        self.file = folder / "ca.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    @staticmethod
    def named(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def sign(self, name, key, extensions):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self.name)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=2))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())

    def context(self, host):
        with self.lock:  # several connections to a new host come at once
            return self.made(host)

    def made(self, host):
        if host not in self.known:
            key = ec.generate_private_key(ec.SECP256R1())
            names = x509.SubjectAlternativeName([x509.DNSName(host)])
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
            certificate = self.sign(self.named(host), key, [(names, False), (usage, False)])
            file = self.folder / f"{host}.pem"
            file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(file)
            context.set_alpn_protocols(["http/1.1"])
            self.known[host] = context
        return self.known[host]


def proxy(authority, simulators):
    """Serves `CONNECT`; the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        host = None

        def log_message(self, *_):
            pass

        def do_CONNECT(self):
            host = self.path.split(":")[0]
            target = next((to for end, to in simulators.items() if host.endswith(end)), None)
            if target is None:
                self.send_error(502, "not simulated: " + host)
                return
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.host, self.target = host, target
            self.connection = authority.context(host).wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
            self.close_connection = False

        def body(self):
            if "chunked" not in self.headers.get("transfer-encoding", ""):
                return self.rfile.read(int(self.headers.get("content-length", 0)))
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return data

        def answer(self):
            if self.host is None:
                self.send_error(400, "this proxy takes CONNECT only")
                return
            data = self.body()
            drop = {"connection", "transfer-encoding", "content-length", "proxy-connection"}
            headers = {k: v for k, v in self.headers.items() if k.lower() not in drop}
            headers["X-Forwarded-Proto"] = "https"
            there = http.client.HTTPConnection(urllib.parse.urlparse(self.target).netloc, timeout=120)
            there.request(self.command, self.path, body=data, headers=headers)
            response = there.getresponse()
            held = response.read()
            self.send_response_only(response.status, response.reason)
            for name, value in response.getheaders():
                if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                    self.send_header(name, value)
            if response.status not in (204, 304):
                self.send_header("Content-Length", str(len(held)))
            self.end_headers()
            self.wfile.write(held)
            there.close()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class World:
    def __init__(self, folder, google, dropbox):
        self.folder, self.origins = folder, {"google": google.rstrip("/"), "dropbox": dropbox.rstrip("/")}
        authority = Authority(folder)
        self.server = proxy(authority, {"googleapis.com": self.origins["google"],
                                        "dropboxapi.com": self.origins["dropbox"]})
        config = folder / "rclone.conf"
        lines = []
        for remote, kind in (("google", "drive"), ("dropbox", "dropbox")):
            self.control(remote, "reset")
            token = self.control(remote, "accounts", account=ACCOUNT)["token"]
            full = {"access_token": token, "token_type": "bearer", "expiry": "2099-01-01T00:00:00Z"}
            lines += [f"[{remote}]", f"type = {kind}", "token = " + json.dumps(full)]
            lines += ["scope = drive"] if kind == "drive" else []
        config.write_text("\n".join(lines) + "\n")
        self.environment = dict(os.environ, HTTPS_PROXY=f"http://127.0.0.1:{self.server.server_port}",
                                RCLONE_CONFIG=str(config), RCLONE_CA_CERT=str(authority.file), HOME=str(folder),
                                NO_PROXY="", no_proxy="")
        self.source = folder / "source"

    def control(self, provider, path, **body):
        address = f"{self.origins[provider]}/_sim/{provider}/{path}"
        with urllib.request.urlopen(urllib.request.Request(address, json.dumps(body).encode())) as answer:
            return json.load(answer)

    def rclone(self, *arguments, fails=False):
        command = [str(pathlib.Path(sys.executable).with_name("rclone")), *arguments, "--retries=1", "--low-level-retries=3"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=300)
        assert (done.returncode != 0) == fails, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr if fails else done.stdout

    def tree(self):
        """Small files, an empty one, names beyond ASCII, and one large enough for an upload session."""
        shutil.rmtree(self.source, ignore_errors=True)
        dice = random.Random(5)
        plan = {"a.txt": 10, "empty.txt": 0, "Zoë/ünd 漢.txt": 3000, "deep/er/b.bin": 70_000,
                "large.bin": 9 * 1024 * 1024 + 5}
        for name, size in plan.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(dice.randbytes(size))
        return plan


UPLOAD = {"google": ["--drive-upload-cutoff=1M", "--drive-chunk-size=1M"], "dropbox": ["--dropbox-chunk-size=4M"]}


def round_trip(w, remote):
    plan = w.tree()
    w.rclone("copy", str(w.source), f"{remote}:mirror", *UPLOAD[remote])
    w.rclone("check", str(w.source), f"{remote}:mirror")
    w.rclone("check", str(w.source), f"{remote}:mirror", "--download")
    back = w.folder / f"back-{remote}"
    w.rclone("copy", f"{remote}:mirror", str(back))
    for name in plan:
        assert (back / name).read_bytes() == (w.source / name).read_bytes(), name
    (w.source / "a.txt").write_bytes(b"another ten")
    assert "a.txt" in w.rclone("check", str(w.source), f"{remote}:mirror", fails=True)
    w.rclone("sync", str(w.source), f"{remote}:mirror", *UPLOAD[remote])
    w.rclone("check", str(w.source), f"{remote}:mirror")
    w.rclone("moveto", f"{remote}:mirror/deep", f"{remote}:mirror/moved")
    assert "er/b.bin" in w.rclone("lsf", "-R", f"{remote}:mirror/moved")
    w.rclone("purge", f"{remote}:mirror/moved")
    assert "moved" not in w.rclone("lsf", f"{remote}:mirror")


@check
def rclone_copies_checks_changes_moves_and_removes_on_drive(w):
    round_trip(w, "google")


@check
def rclone_copies_checks_changes_moves_and_removes_on_dropbox(w):
    round_trip(w, "dropbox")


@check
def rclone_reads_drives_md5(w):
    w.tree()
    w.rclone("copy", str(w.source), "google:sums", *UPLOAD["google"])
    told = dict(reversed(line.split("  ", 1)) for line in w.rclone("md5sum", "google:sums").splitlines())
    assert told["large.bin"] == hashlib.md5((w.source / "large.bin").read_bytes()).hexdigest()


@check
def rclones_own_content_hash_is_dropboxs(w):
    w.tree()
    w.rclone("copy", str(w.source), "dropbox:sums", *UPLOAD["dropbox"])
    theirs = w.rclone("hashsum", "dropbox", "dropbox:sums").splitlines()
    ours = w.rclone("hashsum", "dropbox", str(w.source)).splitlines()
    assert sorted(theirs) == sorted(ours) and len(ours) == 5, (theirs, ours)


@check
def rclone_commits_dropbox_files_in_batches(w):
    for n in range(30):
        path = w.folder / "many" / f"{n}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(n))
    w.rclone("copy", str(w.folder / "many"), "dropbox:many", "--dropbox-batch-mode=sync")
    w.rclone("check", str(w.folder / "many"), "dropbox:many")


def main():
    failed = 0
    for function in CHECKS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                world = World(pathlib.Path(folder), sys.argv[1], sys.argv[2])
                try:
                    function(world)
                finally:
                    world.server.shutdown()
                print("ok    ", function.__name__)
            except Exception:  # a failed check must not stop the others
                failed += 1
                print("FAILED", function.__name__)
                traceback.print_exc()
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed or not CHECKS else 0


if __name__ == "__main__":
    sys.exit(main())

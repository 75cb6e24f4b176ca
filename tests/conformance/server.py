"""A real server on a free loopback port with a data folder of its own."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("STOA_BINARY", ROOT / "build/release/stoa"))
MODELS = pathlib.Path(os.environ.get("STOA_TEST_MODELS", ROOT / "build/models"))
CHAT, EMBED = "smollm2-135m-instruct", "all-minilm-l6-v2"


def models_present():
    return all((MODELS / name).exists() for name in (CHAT, EMBED))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, home, environment=None):
        self.home = pathlib.Path(home)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {**os.environ, "STOA_HOME": str(self.home), "STOA_URL": self.url, "NO_COLOR": "1", **(environment or {})}
        self.environment.pop("STOA_API_KEY", None)
        folder = self.home / "models"
        folder.mkdir(parents=True, exist_ok=True)
        for name in (CHAT, EMBED):
            if not (folder / name).exists():
                os.symlink((MODELS / name).resolve(), folder / name)

    def start(self):
        with open(self.home / "server.log", "ab") as log:
            self.process = subprocess.Popen([BINARY, "serve", "--port", str(self.port)], env=self.environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(self.url + "/readyz", timeout=2) as reply:
                    if reply.status == 200:
                        return self
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the server is not ready:\n" + (self.home / "server.log").read_text()[-3000:])

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=30)

    def kill(self):
        self.process.kill()
        self.process.wait(timeout=30)

    def cli(self, *arguments):
        done = subprocess.run([BINARY, "--json", *arguments], env=self.environment, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise RuntimeError(f"stoa {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return json.loads(done.stdout)

    def key(self, user="ann", role="developer", *more):
        return self.cli("keys", "create", "--project", "default", "--user", user, "--role", role, *more)["key"]


def main():
    """For suites in other languages: starts a server, prints one line of JSON, and ends it when standard input closes."""
    with tempfile.TemporaryDirectory(prefix="stoa-conformance-") as home:
        server = Server(home).start()
        try:
            print(json.dumps({"url": server.url, "key": server.key("ann"), "other_key": server.key("bob"), "viewer_key": server.key("eve", "viewer")}), flush=True)
            sys.stdin.read()
        finally:
            server.stop()


if __name__ == "__main__":
    main()

"""The real binary on a free loopback port with a data folder of its own, and a way to run the CLI against it."""
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

ROOT = pathlib.Path(__file__).resolve().parents[1]
BINARY = pathlib.Path(os.environ.get("STOA_BINARY", ROOT / "build/release/stoa"))
MODELS = pathlib.Path(os.environ.get("STOA_TEST_MODELS", ROOT / "build/models"))
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"  # a proxy of this machine is not for the loopback
CHAT, EMBED = "smollm2-135m-instruct", "all-minilm-l6-v2"


def need_models():
    import pytest  # not needed by main()

    if not all((MODELS / name).exists() for name in (CHAT, EMBED)):
        pytest.skip(f"no models in {MODELS}")


def wait_until(condition, seconds, what):
    """Returns when condition() is true; fails after `seconds`, naming what was waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


given_ports = set()


def free_port():
    """Never the same twice: some are bound much later."""
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        if port not in given_ports:
            given_ports.add(port)
            return port


class Stoa:
    def __init__(self, home, models=True, environment=None):
        self.home = pathlib.Path(home)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("STOA_")}  # settings of whoever runs the tests
        self.env = {**inherited, "STOA_HOME": str(self.home), "STOA_URL": self.url, "NO_COLOR": "1", **(environment or {})}
        (self.home / "models").mkdir(parents=True, exist_ok=True)
        if models:
            for name in (CHAT, EMBED):
                os.symlink((MODELS / name).resolve(), self.home / "models" / name)

    def start(self):
        with open(self.home / "server.log", "ab") as log:
            self.process = subprocess.Popen([BINARY, "serve", "--port", str(self.port)], env=self.env, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log_text()[-3000:]
            try:
                with urllib.request.urlopen(self.url + "/readyz", timeout=2) as reply:
                    if reply.status == 200:
                        return self
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the server is not ready within 30 s:\n" + self.log_text()[-3000:])

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=45)  # longer than it waits for its requests

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)

    def log_text(self):
        return (self.home / "server.log").read_text(errors="replace")

    def cli(self, *arguments, key=None, check=True, timeout=120, typed=None):
        env = {**self.env, "STOA_API_KEY": key} if key else self.env
        done = subprocess.run([BINARY, *arguments], env=env, capture_output=True, text=True, timeout=timeout, **({"stdin": subprocess.DEVNULL} if typed is None else {"input": typed}))
        if check:
            assert done.returncode == 0, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments, **options):
        return json.loads(self.cli("--json", *arguments, **options).stdout)

    def key(self, user="ann", role="developer", *more):
        return self.json("keys", "create", "--project", "default", "--user", user, "--role", role, *more)["key"]


def main():
    """For suites in other languages: starts a server, prints one line of JSON, and ends it when standard input closes. With the argument "providers" the
    project has one of each family (replays.py), named as it, with the model "big"."""
    with tempfile.TemporaryDirectory(prefix="stoa-server-") as home:
        folder, environment, upstream = pathlib.Path(home), {}, None
        if "providers" in sys.argv[1:]:
            import replays

            upstream = replays.Providers()
            environment = {"STOA_EGRESS_PROVIDERS": upstream.url, "STOA_COST_PRICES": str(replays.prices(folder))}
        server = Stoa(folder / "home", environment=environment).start()  # its keys lie beside it
        try:
            if upstream:
                upstream.add_all(server, server.key("ada", "admin"))
            print(json.dumps({"url": server.url, "key": server.key("ann"), "other_key": server.key("bob"), "viewer_key": server.key("eve", "viewer")}), flush=True)
            sys.stdin.read()
        finally:
            server.stop()


if __name__ == "__main__":
    main()

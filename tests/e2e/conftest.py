"""A real server on a free loopback port with its own data folder, and a way to run the CLI against it."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("STOA_BINARY", ROOT / "build/release/stoa"))
MODELS = pathlib.Path(os.environ.get("STOA_TEST_MODELS", ROOT / "build/models"))
NAMES = ("smollm2-135m-instruct", "all-minilm-l6-v2")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Stoa:
    """One data folder, its server process, and the CLI."""

    def __init__(self, home, models=True):
        self.home = pathlib.Path(home)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        self.env = {**os.environ, "STOA_HOME": str(self.home), "STOA_URL": self.url, "NO_COLOR": "1"}
        self.env.pop("STOA_API_KEY", None)
        (self.home / "models").mkdir(parents=True, exist_ok=True)
        if models:
            for name in NAMES:
                os.symlink((MODELS / name).resolve(), self.home / "models" / name)

    def start(self):
        self.log = open(self.home / "server.log", "ab")
        self.process = subprocess.Popen([BINARY, "serve", "--port", str(self.port)], env=self.env, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            assert self.process.poll() is None, (self.home / "server.log").read_text()[-3000:]
            try:
                with urllib.request.urlopen(self.url + "/readyz", timeout=2) as reply:
                    if reply.status == 200:
                        return self
            except OSError:
                time.sleep(0.05)
        raise AssertionError("not ready within 30 s")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=30)

    def cli(self, *arguments, key=None, check=True, timeout=120):
        env = dict(self.env)
        if key:
            env["STOA_API_KEY"] = key
        done = subprocess.run([BINARY, *arguments], env=env, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        if check:
            assert done.returncode == 0, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments, **options):
        return json.loads(self.cli("--json", *arguments, **options).stdout)

    def key(self, user="ann", role="developer", groups=()):
        more = [word for group in groups for word in ("--group", group)]
        return self.json("keys", "create", "--project", "default", "--user", user, "--role", role, *more)["key"]


@pytest.fixture(scope="session")
def have_models():
    if not all((MODELS / name).exists() for name in NAMES):
        pytest.skip(f"no models in {MODELS}")


@pytest.fixture(scope="session")
def stoa(tmp_path_factory, have_models):
    server = Stoa(tmp_path_factory.mktemp("stoa")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def key(stoa):
    return stoa.key()


@pytest.fixture(scope="session")
def stoa_without_models(tmp_path_factory):
    server = Stoa(tmp_path_factory.mktemp("stoa-bare"), models=False).start()
    yield server
    server.stop()

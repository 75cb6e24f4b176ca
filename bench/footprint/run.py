"""Start-up time, idle memory and binary size of the all-in-one server with both models mapped."""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness  # noqa: E402

MODELS = ("smollm2-135m-instruct", "all-minilm-l6-v2")


def resident_megabytes(pid, field="VmRSS"):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1000
    raise ValueError(field)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_once(binary, models):
    with tempfile.TemporaryDirectory() as folder:
        home = str(pathlib.Path(folder) / "home")  # its keys lie beside it
        env = {**os.environ, "STOA_HOME": home}
        (pathlib.Path(home) / "models").mkdir(parents=True)
        for model in models:
            os.symlink(model.resolve(), pathlib.Path(home) / "models" / model.name)
        # Makes the database: migrations are not part of a start.
        subprocess.run([binary, "keys", "create", "--user", "bench"], env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = free_port()
        begin = time.monotonic()
        process = subprocess.Popen([binary, "serve", "--port", str(port)], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_ready(process, port, begin + 30)
            ready = time.monotonic() - begin
            time.sleep(0.5)
            return ready, resident_megabytes(process.pid), resident_megabytes(process.pid, "RssAnon")
        finally:
            process.terminate()
            process.wait(timeout=30)


def wait_ready(process, port, deadline):
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"the server ended with exit code {process.returncode} before it was ready")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as reply:
                if reply.status == 200:
                    return
        except OSError:
            time.sleep(0.005)
    sys.exit("the server was not ready within 30 s")


def main():
    quick = harness.arguments(__doc__).quick
    binary = harness.build("stoa") / "stoa"
    models = [harness.model(name, "*").parent for name in MODELS]
    ready, idle, anonymous = zip(*(start_once(binary, models) for _ in range(3 if quick else 9)))
    row = lambda name, unit, values, aim: harness.row(name, unit, values, [], "", "", aim=aim, lower_is_better=True)  # noqa: E731
    harness.report("footprint", [
        row("server ready, both models mapped", "s", ready, 1.0),
        row("idle resident memory, mapped model pages included", "MB", idle, 150),
        row("idle resident memory, anonymous part", "MB", anonymous, 150),
        row("binary size", "MB", [os.path.getsize(binary) / 1e6], 40),
    ])


if __name__ == "__main__":
    main()

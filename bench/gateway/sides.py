"""The gateways that are compared, as processes between the same load and the same upstream, and what of them is read from /proc."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness  # noqa: E402

LITELLM, PORTKEY = "1.100.5", "1.15.2"
FOLDER = harness.OUT / "gateway"
GATEWAY_CORE, OTHERS_CORE = "0", "1"  # of two: the gateway has one, load and upstream share the other
TICKS = os.sysconf("SC_CLK_TCK")
POLICIES = """# What a platform team might have: rules that each request is held against.
policy "quiet-hours" { forbid model.use when exists resource.class and resource.class == "restricted" and not principal.groups has "cleared" }
policy "not-from-outside" { forbid model.use when not context.address within "127.0.0.0/8" because "from this machine only" }
policy "stays-here" { forbid model.use when resource.kind == "target" and principal.groups has "clinic" and not resource.labels has "on_prem" }
boundary "contractors" { for principal.groups has "contractors" at most model.list, document.read }
"""
LIMITS = "limits: [{per: [user, key], requests_per_minute: 6000000, tokens_per_minute: 1000000000, concurrent: 4096}]\n"  # held against, never reached
PRICE = "per_compute_second: 0\n    per_million_input_tokens: 1000000\n    per_million_cached_tokens: 500000\n    per_million_output_tokens: 2000000\n"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pinned(core, command, **options):
    """A process group of its own, so that workers that it starts are found and ended with it."""
    taskset = ["taskset", "-c", core] if os.cpu_count() >= 2 else []
    return subprocess.Popen([*taskset, *map(str, command)], start_new_session=True, stdin=subprocess.DEVNULL, **options)


def end(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=120)  # a journal may have to be carried over
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def group_of(leader):
    """The processes of the session that `leader` began."""
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == leader:
            yield folder, fields


def cpu_seconds(process):
    return sum(int(fields[11]) + int(fields[12]) for _, fields in group_of(process.pid)) / TICKS


def resident_mb(process):
    total = 0
    for folder, _ in group_of(process.pid):
        found = re.search(r"^Rss:\s+(\d+)", (folder / "smaps_rollup").read_text(), re.MULTILINE)
        total += int(found.group(1)) if found else 0
    return total * 1024 / 1e6


class Upstream:
    def __init__(self, build):
        self.port = free_port()
        self.process = pinned(OTHERS_CORE, [build / "bench" / "gateway" / "gateway_upstream", "--port", self.port], stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"

    def account(self):
        """What it served to requests of flaky models: (id, model, outcome, prompt tokens, completion tokens)."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/account", timeout=120) as reply:
            for line in reply.read().decode().splitlines():
                request, model, outcome, prompt, completion = line.split(" ")
                yield request, model, outcome, int(prompt), int(completion)

    def stop(self):
        end(self.process)


class Side:
    """One way to the upstream. Callers ask `port` with `headers` for the model `name(model)`."""
    name, version, process = "direct", "", None
    headers = ["Authorization: Bearer sk-none"]
    streams = True

    def __init__(self, upstream):
        self.upstream, self.port = upstream, upstream.port

    def model(self, name):
        return name

    def start(self, command, log, **options):
        FOLDER.mkdir(parents=True, exist_ok=True)
        self.log = FOLDER / log
        with open(self.log, "wb") as file:
            self.process = pinned(GATEWAY_CORE, command, stdout=file, stderr=file, **options)

    def wait_ready(self, seconds=120):
        body = json.dumps({"model": self.model("answer-16"), "messages": [{"role": "user", "content": "ready?"}]}).encode()
        fields = dict(h.split(": ", 1) for h in self.headers) | {"Content-Type": "application/json"}
        deadline, problem = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/chat/completions", body, fields), timeout=20) as reply:
                    if b"word" in reply.read():
                        return self
            except OSError as why:
                problem = f"{why} {why.read()[:300] if hasattr(why, 'read') else ''}"
            time.sleep(0.1)
        self.stop()
        sys.exit(f"{self.name} does not answer: {problem}\n{self.log.read_text(errors='replace')[-2000:]}")

    def stop(self):
        if self.process is not None:
            end(self.process)


class Nginx(Side):
    name = "nginx"

    def __init__(self, upstream):
        super().__init__(upstream)
        folder = FOLDER / "nginx"
        binary = folder / "root" / "usr" / "sbin" / "nginx"
        if not binary.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            harness.say("installing nginx (unpacked, not set up)")
            subprocess.run(["apt-get", "download", "-qq", "nginx"], cwd=folder, check=True, stdout=sys.stderr, stderr=subprocess.DEVNULL)
            subprocess.run(["dpkg", "-x", next(folder.glob("*.deb")), folder / "root"], check=True)
        self.version = subprocess.run([binary, "-v"], capture_output=True, text=True).stderr.strip().rsplit("/", 1)[-1]
        self.port = free_port()
        (folder / "conf").write_text(f"""
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; client_max_body_size 64m; client_body_buffer_size 1m; tcp_nodelay on;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  upstream model {{ server 127.0.0.1:{upstream.port}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{self.port};
    location / {{ proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }}
  }}
}}
""")
        self.start([binary, "-c", folder / "conf", "-p", folder], "nginx.log")


class LiteLlm(Side):
    name, version = "LiteLLM", LITELLM
    headers = ["Authorization: Bearer sk-bench-1234"]

    def __init__(self, upstream):
        super().__init__(upstream)
        folder = FOLDER / "litellm"
        program = folder / "bin" / "litellm"
        wanted = folder / f"installed-{LITELLM}"
        if not wanted.exists():
            harness.say(f"installing litellm {LITELLM}")
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            subprocess.run([folder / "bin" / "pip", "install", "-q", f"litellm[proxy]=={LITELLM}"], check=True, stdout=sys.stderr)
            wanted.touch()
        names = ["answer-16", "answer-1", "paced-200-2000"]
        models = "".join(f"  - model_name: {name}\n    litellm_params: {{model: openai/{name}, api_base: 'http://127.0.0.1:{upstream.port}/v1', api_key: none}}\n" for name in names)
        (folder / "config.yaml").write_text(f"model_list:\n{models}general_settings: {{master_key: sk-bench-1234}}\nlitellm_settings: {{telemetry: false}}\n")
        self.port = free_port()
        environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "NO_PROXY": "127.0.0.1"}
        self.start([program, "--config", folder / "config.yaml", "--host", "127.0.0.1", "--port", self.port, "--num_workers", "1"], "litellm.log", env=environment, cwd=folder)


class Portkey(Side):
    name, version = "Portkey", PORTKEY
    streams = False  # with Node 20 it answers 500 to every request for a stream

    def __init__(self, upstream):
        super().__init__(upstream)
        installed = harness.npm("@portkey-ai/gateway", PORTKEY)
        self.port = free_port()
        self.headers = ["Authorization: Bearer sk-none", "x-portkey-provider: openai", f"x-portkey-custom-host: http://127.0.0.1:{upstream.port}/v1"]
        environment = {**os.environ, "NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
        self.start(["node", installed / "build" / "start-server.js", f"--port={self.port}", "--headless"], "portkey.log", env=environment, cwd=installed)


class Stoa(Side):
    """With what a team would have in force: keys, policies, limits, a price, the ledger, traces, the audit log; the model is a route to a provider."""
    name = "Stoa"

    def __init__(self, upstream, build, models, routes=None):
        super().__init__(upstream)
        self.binary = build / "stoa"
        home = FOLDER / "home"
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(f"{home}.keys", ignore_errors=True)
        pathlib.Path(f"{home}.keys").unlink(missing_ok=True)
        home.mkdir(parents=True)
        self.home = home
        (home / "prices.yaml").write_text('currency: USD\nas_of: "2026-11-21"\nsource: bench\nprices:\n' + "".join(f'  - model: "{name}/*"\n    {PRICE}' for name in ("up", "other")))
        self.port = free_port()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("STOA_")}
        self.env = {**inherited, "STOA_HOME": str(home), "STOA_URL": f"http://127.0.0.1:{self.port}", "STOA_EGRESS_PROVIDERS": f"http://127.0.0.1:{upstream.port}", "NO_COLOR": "1",
                    "STOA_COST_PRICES": str(home / "prices.yaml"), "STOA_SERVER_WORKERS": "1024", "STOA_SERVER_MAX_CONNECTIONS": "8192", "STOA_LOG_LEVEL": "warning"}
        key = lambda user, role: self.cli("keys", "create", "--project", "default", "--user", user, "--role", role)["key"]  # noqa: E731
        self.headers = [f"Authorization: Bearer {key('ann', 'developer')}"]
        self.env["STOA_API_KEY"] = key("ada", "admin")
        self.version = subprocess.run([self.binary, "--version"], capture_output=True, text=True).stdout.strip()
        self.start([self.binary, "serve", "--port", self.port], "stoa.log", env=self.env)
        self.wait_listening()
        (home / "rules.policy").write_text(POLICIES)
        self.cli("policies", "set", "team", home / "rules.policy")
        (home / "limits.yaml").write_text(LIMITS)
        self.cli("limits", "set", "team", home / "limits.yaml")
        for provider in ("up", "other"):
            # Each model twice: as what it is, and as what others fall back to.
            self.cli("providers", "add", provider, "--family", "openai", "--url", f"http://127.0.0.1:{upstream.port}/v1", *(word for model in models for word in ("--model", f"{model}=1000000")))
            subprocess.run([self.binary, "providers", "set-key", provider], env=self.env, input="sk-upstream-1234", text=True, check=True, stdout=subprocess.DEVNULL)
        for route, text in (routes or {model: f"targets: [{{provider: up, model: {model}}}]" for model in models}).items():
            (home / "route.yaml").write_text(text)
            self.cli("routes", "set", route, home / "route.yaml")

    def cli(self, *words):
        done = subprocess.run([self.binary, "--json", *map(str, words)], env=self.env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            self.stop()
            sys.exit(f"stoa {' '.join(map(str, words))}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def wait_listening(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2):
                    return
            except OSError:
                time.sleep(0.05)
        sys.exit(f"stoa is not ready: {self.log.read_text(errors='replace')[-2000:]}")


class Load:
    """The client; the same for all."""

    def __init__(self, build):
        self.program = build / "bench" / "gateway" / "gateway_load"
        self.begun = 0
        FOLDER.mkdir(parents=True, exist_ok=True)

    def begin(self, side, body, **options):
        self.begun += 1  # two at a time do not share a body
        file = FOLDER / f"body-{self.begun % 8}.json"
        file.write_text(json.dumps(body))
        words = [self.program, "--port", side.port, "--body", file]
        for header in side.headers:
            words += ["--header", header]
        for name, value in options.items():
            words += [f"--{name}", value]
        return pinned(OTHERS_CORE, words, stdout=subprocess.PIPE)

    def __call__(self, side, body, **options):
        return self.end(self.begin(side, body, **options))

    @staticmethod
    def end(process):
        out, _ = process.communicate()
        if process.returncode != 0:
            sys.exit("the load ended with an error")
        return json.loads(out)


def chat(side, model, stream=False, prompt_bytes=0):
    """A body of some 256 bytes, or of as many as asked. Every request has an id of its own, so that no cache answers."""
    filler = "The quick brown fox jumps over the lazy dog. " * (max(0, prompt_bytes - 160) // 45)
    body = {"model": side.model(model), "messages": [{"role": "system", "content": "You answer in one sentence."}, {"role": "user", "content": f"id=@ID@ What is the capital of France? {filler}"}],
            "max_tokens": 256, "temperature": 0}
    return body | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})

"""People, programs and jobs against a real OpenID Connect provider (tests/e2e/issuer) on the loopback, which can rotate its keys and go away."""
import datetime
import http.server
import ipaddress
import json
import pathlib
import re
import socket
import ssl
import stat
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stoa_server import BINARY, Stoa, free_port, wait_until

ISSUER = pathlib.Path(__file__).parent / "issuer"
SECRET = "a secret of ci: +%&"
PROVIDERS = """
providers:
  - name: corp
    issuer: {url}
    audience: [stoa-cli, https://stoa.example.org]
    client_id: stoa-cli
    role: viewer
    groups: {{"Platform Team": platform}}
    roles: {{platform: developer}}
    clients:
      - {{id: ci-runner, role: developer, scopes: [dataset.read, system.read]}}
"""


class Issuer:
    def __init__(self, home):
        self.port, self.home, self.process = free_port(), home, None
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen(["node", ISSUER / "issuer.mjs", str(self.port), self.home / "keys.json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if line.strip() == "ready":
                return self
        raise AssertionError("the issuer did not start: run `npm ci` in tests/e2e/issuer")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=10)
        self.process.stdout.close()

    def post(self, path, body=None):
        with urllib.request.urlopen(urllib.request.Request(self.url + path, json.dumps(body or {}).encode(), method="POST"), timeout=10) as reply:
            return reply.read().decode()

    def sign(self, **wish):
        return self.post("/test/sign", wish)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    if not (ISSUER / "node_modules").exists():
        pytest.skip("npm ci in tests/e2e/issuer brings the issuer")
    issuer = Issuer(tmp_path_factory.mktemp("issuer")).start()
    yield issuer
    issuer.stop()


def with_issuer(home, issuer):
    (home / "providers.yaml").write_text(PROVIDERS.format(url=issuer.url))
    return Stoa(home, models=False, environment={"STOA_IDENTITY_PROVIDERS": str(home / "providers.yaml"), "STOA_LOGIN_FILE": str(home / "login.json")})


@pytest.fixture(scope="module")
def server(tmp_path_factory, issuer):
    server = with_issuer(tmp_path_factory.mktemp("stoa"), issuer).start()
    yield server
    server.stop()


def ask(server, path, token, method="GET", body=None):
    """Status and JSON of the answer."""
    request = urllib.request.Request(server.url + path, None if body is None else json.dumps(body).encode(), {"Authorization": f"Bearer {token}"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            text = reply.read()
            return reply.status, json.loads(text.splitlines()[0]) if text else {}
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def key_of(server, user, role="developer"):
    """Made on the data folder, whoever is signed in."""
    return server.key(user, role, "--home", str(server.home))


def eventually(condition, seconds, what):
    """Asks rarely: a stranger who asks often is slowed down."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.7)
    raise AssertionError(f"not within {seconds} s: {what}")


def whoami(server, token):
    return ask(server, "/v1/stoa/whoami", token)


class Browser:
    """Follows the provider's pages the way a person would: signs in, agrees, and ends at the address of the command line."""

    def __init__(self):
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def sign_in(self, url, person):
        page = self.opener.open(url, timeout=10)
        for _ in range(4):
            text = page.read().decode()
            form = re.search(r'<form[^>]*action="([^"]+)"', text)
            if not form:
                return text
            fields = dict(re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', text))
            if fields.get("prompt") == "login":
                fields |= {"login": person, "password": "any"}
            page = self.opener.open(urllib.parse.urljoin(page.url, form.group(1)), urllib.parse.urlencode(fields).encode(), timeout=10)
        raise AssertionError(f"no end of forms: {text[:500]}")


def login(server, person, *arguments):
    process = subprocess.Popen([BINARY, "login", "--json", "--timeout", "20", *arguments], env=server.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    seen = ""
    for line in process.stderr:
        seen += line
        if line.strip().startswith("http"):
            url = line.strip()
            break
    else:
        raise AssertionError(f"no address was printed: {seen}{process.stdout.read()}")
    page = Browser().sign_in(url, person)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, out + err
    return url, page, json.loads(out)


def test_a_person_signs_in_with_a_browser(server):
    url, page, who = login(server, "ann")
    query = urllib.parse.parse_qs(urllib.parse.urlparse(url).query)
    assert query["code_challenge_method"] == ["S256"] and query["response_type"] == ["code"]
    assert len(query["state"][0]) >= 40 and len(query["nonce"][0]) >= 40 and "code_verifier" not in query
    assert "close this window" in page
    assert (who["user"], who["role"], who["groups"]) == ("ann", "developer", ["hr", "platform"])
    assert who["method"] == "provider corp" and who["tenant_name"] == "default"

    file = server.home / "login.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    saved = json.loads(file.read_text())["sessions"][0]
    assert server.json("whoami")["user"] == "ann"  # every verb, without a key
    # The ID token lives for less than a minute, so this has renewed it.
    assert json.loads(file.read_text())["sessions"][0]["token"] != saved["token"]
    assert saved["token"] not in server.log_text() and saved["refresh_token"] not in server.log_text()

    admin = key_of(server, "root", "admin")
    assert {"ann"} <= {user["name"] for user in server.json("users", "list", key=admin)["data"]}
    actions = [entry["action"] for entry in server.json("audit", "list", "-n", "200", key=admin)["data"]]
    assert actions.count("identity.user.provision") == 1

    file.chmod(0o644)
    assert "other users" in server.cli("whoami", check=False).stderr
    file.chmod(0o600)
    assert server.json("logout")["signed_out"] is True
    assert server.cli("whoami", check=False).returncode == 4


def test_a_browser_that_was_not_sent_is_turned_away(server):
    process = subprocess.Popen([BINARY, "login", "--timeout", "5"], env=server.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    url = next(line.strip() for line in process.stderr if line.strip().startswith("http"))
    callback = urllib.parse.parse_qs(urllib.parse.urlparse(url).query)["redirect_uri"][0]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{callback}?code=stolen&state=guessed", timeout=5)
    assert refused.value.code == 400
    out, err = process.communicate(timeout=20)
    assert process.returncode != 0 and "nobody signed in" in err
    assert not (server.home / "login.json").exists() or not json.loads((server.home / "login.json").read_text())["sessions"]


def test_a_program_signs_in_with_its_secret(server):
    denied = server.cli("login", "--client-credentials", "ci-runner", check=False)
    assert denied.returncode == 2 and "STOA_CLIENT_SECRET" in denied.stderr
    server.env["STOA_CLIENT_SECRET"] = "wrong"
    wrong = server.cli("login", "--client-credentials", "ci-runner", check=False)
    assert wrong.returncode == 4 and "invalid_client" in wrong.stderr
    server.env["STOA_CLIENT_SECRET"] = SECRET
    who = server.json("login", "--client-credentials", "ci-runner")
    del server.env["STOA_CLIENT_SECRET"]
    assert (who["user"], who["role"], who["scopes"]) == ("ci-runner", "developer", ["dataset.read", "system.read"])
    assert SECRET not in (server.home / "login.json").read_text()
    assert server.cli("dataset", "list").returncode == 0
    assert "access.scope" in server.cli("traces", check=False).stderr
    server.cli("logout")


def test_tokens_that_are_not_for_this_server_are_refused(server, issuer):
    now = int(time.time())
    assert whoami(server, issuer.sign())[0] == 200
    assert whoami(server, issuer.sign(alg="ES256"))[0] == 200
    assert whoami(server, issuer.sign(alg="EdDSA"))[0] == 200
    refused = {
        "no signature": {"none": True},
        "the public key as a shared secret": {"hmac": True},
        "a key of nobody under a known id": {"foreign": True},
        "a path for a key id": {"header": {"kid": "../../../dev/null"}},
        "a key of its own": {"foreign": True, "header": {"jwk": {"kty": "oct", "k": "AAAA"}}},
        "keys elsewhere": {"foreign": True, "header": {"jku": "https://evil.example/keys"}},
        "expired": {"claims": {"iat": now - 900, "exp": now - 120}},
        "not yet": {"claims": {"nbf": now + 600}},
        "another audience": {"claims": {"aud": "billing"}},
        "another issuer": {"claims": {"iss": "https://evil.example"}},
        "another type": {"header": {"typ": "logout+jwt"}},
        "an unknown client": {"claims": {"sub": "other", "client_id": "other", "preferred_username": None}},
    }
    for what, wish in refused.items():
        status, body = whoami(server, issuer.sign(**wish))
        assert status == (403 if what == "an unknown client" else 401), (what, body)
        assert "evil" not in json.dumps(body), what
    good = issuer.sign()
    assert whoami(server, good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"))[0] == 401


def test_a_disabled_user_is_out_at_once(server, issuer):
    token = issuer.sign(claims={"sub": "bob", "preferred_username": "bob", "groups": []})
    status, who = whoami(server, token)
    assert status == 200 and who["role"] == "viewer"
    server.cli("users", "disable", "bob", "--home", str(server.home))
    assert whoami(server, token)[0] == 401
    server.cli("users", "enable", "bob", "--home", str(server.home))
    assert whoami(server, token)[0] == 200
    # Who bears the name of a user that was made here is somebody else.
    server.cli("users", "create", "carl", "--home", str(server.home))
    assert whoami(server, issuer.sign(claims={"sub": "9", "preferred_username": "carl"}))[0] == 403


def test_a_job_reads_its_dataset_and_nothing_else(server):
    key = key_of(server, "dora")
    for answer in ("one", "two"):
        ask(server, "/v1/stoa/ratings", key, "POST", {"answer_id": f"a-{answer}", "score": 1, "messages": [{"role": "user", "content": "q"}], "answer": answer, "model": "m"})
    for name in ("support", "other"):
        server.cli("dataset", "from-ratings", name, key=key)
    made = server.json("tokens", "create", "nightly", "--allow", "dataset.read dataset support", "--expires", "5m", key=key)
    job = made["token"]
    assert ask(server, "/v1/stoa/datasets/support/rows", job)[0] == 200
    for method, path in [("GET", "/v1/stoa/datasets/other/rows"), ("GET", "/v1/stoa/datasets"), ("GET", "/v1/stoa/whoami"), ("GET", "/v1/stoa/ratings"), ("GET", "/v1/models"),
                         ("GET", "/v1/vector_stores"), ("GET", "/v1/stoa/users"), ("GET", "/v1/stoa/tokens"), ("GET", "/v1/stoa/traces"), ("GET", "/v1/files")]:
        status, body = ask(server, path, job, method)
        assert status == 403 and "access.grant" in json.dumps(body), (path, status, body)
    assert ask(server, "/v1/stoa/tokens", key, "POST", {"name": "x", "grants": ["key.manage key"]})[0] == 403
    assert server.cli("tokens", "create", "x", "--allow", "dataset.read dataset support", "--expires", "2h", key=key, check=False).returncode == 2
    assert [token["id"] for token in server.json("tokens", "list", key=key)["data"]] == [made["id"]]
    server.cli("tokens", "revoke", made["id"], key=key)
    assert ask(server, "/v1/stoa/datasets/support/rows", job)[0] == 401
    assert job not in server.log_text()


def test_break_glass_is_recorded(server):
    operator, admin = key_of(server, "olga", "operator"), key_of(server, "root", "admin")
    assert ask(server, "/v1/stoa/audit", operator)[0] == 403
    made = server.json("break-glass", "INC-7: answers fail, reading the log", "--minutes", "5", key=operator)
    assert ask(server, "/v1/stoa/audit", made["token"])[0] == 200
    assert whoami(server, made["token"])[1]["elevation"] == made["id"]
    assert server.cli("break-glass", "too short", "--minutes", "5", key=operator, check=False).returncode == 2
    assert server.cli("break-glass", "INC-8: a developer is curious", "--minutes", "5", key=key_of(server, "dora"), check=False).returncode == 4
    assert made["id"] in server.cli("break-glass", "list", key=operator).stdout
    server.cli("break-glass", "end", made["id"], key=operator)
    assert ask(server, "/v1/stoa/audit", made["token"])[0] == 401
    log = server.log_text()
    assert "BREAK-GLASS" in log and "INC-7" in log and made["token"] not in log

    def entries():
        return server.json("audit", "list", "-n", "1000", key=admin)["data"]

    wait_until(lambda: any(made["id"] in entry["reason"] and entry["action"] == "audit.read" for entry in entries()), 10, "the request under it is in the audit log, marked")
    assert [entry["reason"] for entry in entries() if entry["action"] == "identity.breakglass.begin" and entry["outcome"] == "allowed"] == ["INC-7: answers fail, reading the log"]


def test_break_glass_raises_an_alarm(tmp_path):
    """The receiver is away at first, and refuses once: it hears of it all the same, of the beginning and of the end."""
    port, heard, refuse = free_port(), [], [500]

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status = refuse.pop() if refuse else 200
            if status == 200:
                heard.append(body)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = Stoa(tmp_path / "home", models=False, environment={"STOA_ALARMS_WEBHOOK": f"http://127.0.0.1:{port}/alarms"}).start()
    try:
        operator, admin = key_of(server, "olga", "operator"), key_of(server, "root", "admin")
        active = lambda: next(line for line in urllib.request.urlopen(server.url + "/metrics").read().decode().splitlines() if line.startswith("stoa_break_glass_active")).split()[1]
        made = server.json("break-glass", "INC-9: the receiver of alarms is away", "--minutes", "5", key=operator)
        assert active() == "1"
        receiver = http.server.ThreadingHTTPServer(("127.0.0.1", port), Receiver)
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        wait_until(lambda: heard, 20, "the alarm arrives")
        server.cli("break-glass", "end", made["id"], key=operator)
        wait_until(lambda: len(heard) == 2, 20, "its end does too")
        receiver.shutdown()
        receiver.server_close()
        assert [(alarm["event"], alarm["id"], alarm["data"]["state"]) for alarm in heard] == [("breakglass.changed", made["id"], state) for state in ("begun", "ended")]
        assert heard[0]["data"]["reason"].startswith("INC-9") and heard[0]["data"]["user"] == "olga"
        assert made["token"] not in json.dumps(heard)
        assert active() == "0"
        assert server.json("audit", "list", "--action", "identity.breakglass.begin", key=admin)["data"]
    finally:
        server.stop()


def test_keys_rotate_and_the_issuer_goes_away(server, issuer, tmp_path_factory):
    old = issuer.sign(claims={"jti": "old"})
    assert whoami(server, old)[0] == 200
    issuer.post("/test/rotate")
    new = issuer.sign(claims={"jti": "new"})
    # Fetching the keys is limited to once in ten seconds, whoever asks.
    eventually(lambda: whoami(server, new)[0] == 200, 30, "a token of the new keys is accepted")

    kept = issuer.sign(claims={"jti": "kept"})
    issuer.stop()
    assert whoami(server, kept)[0] == 200  # with the keys that are known
    late = with_issuer(tmp_path_factory.mktemp("late"), issuer).start()
    try:
        begin = time.monotonic()
        status, body = whoami(late, kept)
        assert status == 503 and "keys of the issuer" in body["error"]["message"]
        assert time.monotonic() - begin < 6
        assert late.cli("login", check=False).returncode == 3
        issuer.start()
        eventually(lambda: whoami(late, kept)[0] == 200, 30, "the issuer is back")
    finally:
        late.stop()
        if issuer.process.poll() is not None:
            issuer.start()


def issue(folder, name, names, authority=None):
    """A certificate and its key as PEM files; signed by `authority` (what this gave), or by itself and then able to sign others."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.timezone.utc)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(authority[0].subject if authority else subject).public_key(key.public_key())
               .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=30))
               .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), True))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    certificate = builder.sign(authority[1] if authority else key, hashes.SHA256())
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    (folder / f"{name}.key").chmod(0o600)
    return certificate, key


def test_a_node_is_known_by_its_certificate(tmp_path):
    house, stranger = issue(tmp_path, "house", []), issue(tmp_path, "stranger", [])
    issue(tmp_path, "server", [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))], house)
    by_print = issue(tmp_path, "gpu-2", [], house)[0].fingerprint(hashes.SHA256()).hex(":").upper()
    issue(tmp_path, "gpu-1", [x509.DNSName("gpu-1.internal")], house)
    issue(tmp_path, "gpu-9", [x509.DNSName("gpu-9.internal")], house)
    issue(tmp_path, "forged", [x509.DNSName("gpu-1.internal")], stranger)
    pem = {name: str(tmp_path / f"{name}.pem") for name in ("house", "server", "gpu-1", "gpu-2", "gpu-9", "forged")}
    server = Stoa(tmp_path / "home", models=False, environment={"STOA_SERVER_TLS_CERT": pem["server"], "STOA_SERVER_TLS_KEY": str(tmp_path / "server.key"),
                                                               "STOA_SERVER_TLS_CLIENT_CA": pem["house"], "SSL_CERT_FILE": pem["house"]})
    server.env["STOA_URL"] = f"https://127.0.0.1:{server.port}"

    def ask_as(node, path):
        """The status that a client with this certificate, and no key, gets; None when the handshake fails."""
        context = ssl.create_default_context(cafile=pem["house"])
        if node:
            context.load_cert_chain(pem[node], str(tmp_path / f"{node}.key"))
        try:
            with context.wrap_socket(socket.create_connection(("127.0.0.1", server.port), timeout=10), server_hostname="127.0.0.1") as connection:
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
                reply = b""
                while piece := connection.recv(65536):
                    reply += piece
        except (ssl.SSLError, ConnectionError):
            return None
        return int(reply.split()[1]) if reply else None

    def up():
        try:
            return ask_as(None, "/readyz") == 200
        except OSError:
            return False

    with open(server.home / "server.log", "ab") as log:
        server.process = subprocess.Popen([BINARY, "serve", "--port", str(server.port)], env=server.env, stdout=log, stderr=log)
    try:
        wait_until(up, 30, "the server is ready")
        server.cli("nodes", "add", "gpu-1", "--identity", "gpu-1.internal")
        server.cli("nodes", "add", "gpu-2", "--fingerprint", by_print)
        whoami_path = "/v1/stoa/whoami"
        assert [ask_as(node, whoami_path) for node in ("gpu-1", "gpu-2", "gpu-9", None)] == [200, 200, 401, 401]
        assert ask_as("forged", whoami_path) is None  # the right name, from an authority of nobody
        assert ask_as("gpu-1", "/v1/models") == 200 and ask_as("gpu-1", "/v1/stoa/users") == 403
        assert {node["name"] for node in server.json("nodes", "list")["data"]} == {"gpu-1", "gpu-2"}
        server.cli("nodes", "revoke", "gpu-1")
        assert ask_as("gpu-1", whoami_path) == 401
        assert ask_as("gpu-2", "/v1/stoa/nodes") == 404, "nobody manages nodes over HTTP"
    finally:
        server.stop()

"""Forged, stale and monstrous bearer tokens: each is refused with 401, none is worth more than no token."""
import base64
import hashlib
import hmac
import json
import time

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from attacker import raw, statuses
from routes import fill

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def part(value):
    return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).rstrip(b"=").decode()


def signed(head, body, key=KEY):
    """`key`: an RSA key, or the bytes of a shared secret."""
    text = f"{part(head)}.{part(body)}"
    if isinstance(key, bytes):
        return f"{text}.{part(hmac.new(key, text.encode(), hashlib.sha256).digest())}"
    return f"{text}.{part(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


HEAD = {"alg": "RS256", "typ": "JWT", "kid": "1"}


def public_jwk():
    numbers = KEY.public_key().public_numbers()
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "n": part(numbers.n.to_bytes(256, "big")), "e": "AQAB"}


def claims(issuer, **changes):
    """Of a user whom the server does not know otherwise, with claims besides that it must not believe."""
    now = int(time.time())
    body = {"iss": issuer, "aud": "stoa", "sub": "greta-1", "preferred_username": "greta", "iat": now, "exp": now + 3600, "role": "admin", "roles": ["admin"], "tenant": "other", "scope": "admin", "is_admin": True}
    return {name: value for name, value in {**body, **changes}.items() if value is not None}


def nested(body, depth):
    token = signed(HEAD, body)
    for _ in range(depth):
        token = signed({**HEAD, "cty": "JWT"}, token.encode())
    return token


def forged(issuer, canary="http://127.0.0.1:1"):
    good, now = claims(issuer), int(time.time())
    whole = signed(HEAD, good)
    head, body, signature = whole.split(".")
    return {
        "alg none": f'{part({**HEAD, "alg": "none"})}.{body}.',
        "alg None": f'{part({**HEAD, "alg": "None"})}.{body}.',
        "alg nOnE, a signature": f'{part({**HEAD, "alg": "nOnE"})}.{body}.{signature}',
        "no signature": f"{head}.{body}.",
        "two parts": f"{head}.{body}",
        "four parts": f"{whole}.AAAA",
        "signature of other claims": f"{head}.{part(claims(issuer, sub='adam', preferred_username='adam'))}.{signature}",
        "signature cut": whole[:-3],
        "signature changed": whole[:-6] + "AAAAAA",
        "signature with a second spelling": whole + "=",
        "no alg": signed({"typ": "JWT", "kid": "1"}, good),
        "alg a list": signed({**HEAD, "alg": ["RS256"]}, good),
        "alg in small letters": signed({**HEAD, "alg": "rs256"}, good),
        "alg of another kind of key": signed({**HEAD, "alg": "ES256"}, good),
        "alg with a blank": signed({**HEAD, "alg": "RS256 "}, good),
        "key of nobody": signed(HEAD, good, OTHER),
        "key of its own (jwk)": signed({**HEAD, "kid": None, "jwk": {"kty": "RSA", "n": part(OTHER.public_key().public_numbers().n.to_bytes(256, "big")), "e": "AQAB"}}, good, OTHER),
        "key from afar (jku)": signed({**HEAD, "jku": canary + "/keys"}, good, OTHER),
        "key from afar (x5u)": signed({**HEAD, "x5u": canary + "/cert"}, good, OTHER),
        "certificate of its own (x5c)": signed({**HEAD, "x5c": [base64.b64encode(PUBLIC).decode()]}, good, OTHER),
        "HMAC with the public key": signed({**HEAD, "alg": "HS256"}, good, PUBLIC),
        "HMAC with the public key as JSON": signed({**HEAD, "alg": "HS256"}, good, json.dumps(public_jwk()).encode()),
        "HMAC with nothing": signed({"alg": "HS256"}, good, b""),
        "HMAC with 'secret'": signed({"alg": "HS256"}, good, b"secret"),
        "kid leads to an empty file": signed({"alg": "HS256", "kid": "../../../../../../dev/null"}, good, b""),
        "kid leads to a secret": signed({"alg": "HS256", "kid": "secrets/api-keys"}, good, b""),
        "kid with SQL": signed({"alg": "HS256", "kid": "x' UNION SELECT '' --"}, good, b""),
        "kid with NUL": signed({**HEAD, "kid": "1\u0000"}, good),
        "kid a number": signed({**HEAD, "kid": 1}, good),
        "kid long": signed({**HEAD, "kid": "k" * 100}, good),
        "crit": signed({**HEAD, "crit": ["exp"]}, good),
        "crit unknown": signed({**HEAD, "crit": ["x"], "x": 1}, good),
        "unencoded payload (b64)": signed({**HEAD, "b64": False, "crit": ["b64"]}, good),
        "compressed": signed({**HEAD, "zip": "DEF"}, good),
        "another type": signed({**HEAD, "typ": "logout+jwt"}, good),
        "expired": signed(HEAD, claims(issuer, exp=now - 600)),
        "expired long ago": signed(HEAD, claims(issuer, exp=1)),
        "not yet": signed(HEAD, claims(issuer, nbf=now + 10**6)),
        "from the future": signed(HEAD, claims(issuer, iat=now + 10**6)),
        "no exp": signed(HEAD, claims(issuer, exp=None)),
        "exp a text": signed(HEAD, claims(issuer, exp="never")),
        "exp huge": signed(HEAD, claims(issuer, exp=10**300)),
        "exp negative": signed(HEAD, claims(issuer, exp=-1)),
        "exp NaN": signed(HEAD, json.dumps(claims(issuer, exp=float("nan"))).encode()),
        "another audience": signed(HEAD, claims(issuer, aud="billing")),
        "audiences of others": signed(HEAD, claims(issuer, aud=["a", "b"])),
        "audience a part of ours": signed(HEAD, claims(issuer, aud="sto")),
        "audience longer than ours": signed(HEAD, claims(issuer, aud="stoa.evil.example")),
        "audience in capitals": signed(HEAD, claims(issuer, aud="STOA")),
        "no audience": signed(HEAD, claims(issuer, aud=None)),
        "another issuer": signed(HEAD, claims("https://evil.example")),
        "an issuer to be asked": signed(HEAD, claims(canary)),
        "an issuer that begins like ours": signed(HEAD, claims(issuer + ".evil.example")),
        "issuer with a slash": signed(HEAD, claims(issuer + "/")),
        "no issuer": signed(HEAD, claims(None)),
        "no subject": signed(HEAD, claims(issuer, sub=None)),
        "subject empty": signed(HEAD, claims(issuer, sub="")),
        "subject a list": signed(HEAD, claims(issuer, sub=["adam"])),
        "claims a list": signed(HEAD, [good]),
        "claims a text": signed(HEAD, b'"admin"'),
        "two audiences by name": signed(HEAD, json.dumps(claims(issuer, aud="billing")).replace('"aud":', '"aud": "stoa", "aud":').encode()),
        "two alg": f'{part(b"""{"alg":"none","alg":"RS256","kid":"1"}""")}.{body}.',
        "encrypted (JWE)": ".".join([part({"alg": "RSA-OAEP", "enc": "A256GCM"})] + ["AAAA"] * 4),
        "nested": nested(good, 3),
        "deep head and claims": f'{part(b"[" * 800)}.{part(b"[" * 800)}.AAAA',
        "deep claims, signed": signed(HEAD, b'{"a":' * 400 + b"1" + b"}" * 400),
        "not base64": "!!!.###.$$$",
        "padding": f"{head}==.{body}==.{signature}==",
        "blanks between": f"{head}. {body}.{signature}",
        "empty parts": "..",
        "one dot": "a.b",
        "many dots": ".".join(["AAAA"] * 100),
        "only dots": "." * 200,
        "garbage": "\x80\x81\xfe\xff",
        "huge": "eyJ" + "A" * 12_000,
        "huge, signed": signed(HEAD, claims(issuer, groups=["g" * 100] * 1000)),
    }


WRONG_SCHEMES = ["Basic {key}", "Token {key}", "{key}", "Bearer", "Bearer ", "Bearer{key}", "Bearer  ", "Bearer\t{key}", "bearer=:{key}", "Negotiate {key}", "Bearer null", "Bearer undefined", "Bearer {{}}", "Bearer Bearer {key}", "Basic OnNrLXN0b2E="]


def ask(world, method, path, token):
    return raw(world.server.port, f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\nAuthorization: Bearer ".encode() + token.encode("latin-1") + b"\r\n\r\n")


def whoami(world, token):
    reply = ask(world, "GET", "/v1/stoa/whoami", token)
    return statuses(reply)[0], json.loads(reply.partition(b"\r\n\r\n")[2] or b"{}")


def test_a_good_token_gives_what_the_operator_said(world, issuer):
    """And not what the token says of itself: the others below are refused for what is wrong with them alone."""
    status, who = whoami(world, signed(HEAD, claims(issuer.url)))
    assert (status, who["user"], who["role"], who["tenant_name"]) == (200, "greta", "viewer", "default")
    assert statuses(ask(world, "GET", "/v1/stoa/audit", signed(HEAD, claims(issuer.url)))) == [403]


@pytest.mark.parametrize("kind", [*forged("http://x"), "a link to a document"])
def test_forged_tokens_are_refused(world, issuer, canary, kind):
    token = world.link.partition("token=")[2] if kind == "a link to a document" else forged(issuer.url, canary.url)[kind]
    for method, path in (("GET", "/v1/files"), ("GET", fill("/v1/files/{file}", world.things)), ("POST", "/v1/stoa/keys")):
        reply = ask(world, method, path, token)
        if kind in ("garbage", "huge", "huge, signed"):  # not even HTTP, or larger than a head may be
            assert statuses(reply) in ([400], [401], [431]), reply[:300]
            continue
        # Signed by the provider, but for nobody: known, and not let in.
        assert statuses(reply) == [403 if "subject" in kind and statuses(reply) == [403] else 401], reply[:300]
        assert b"OpenSSL" not in reply and b"evil" not in reply.partition(b"\r\n\r\n")[2], "how it failed is no business of the one who asks"
    assert canary.visits == []


def test_nobody_takes_a_name(world, issuer):
    """A user of the provider who is called like somebody here is somebody else; so is one with the name of another subject."""
    for name in ("adam", "olga", "greta"):
        assert whoami(world, signed(HEAD, claims(issuer.url, sub="evil-" + name, preferred_username=name)))[0] == 403, name
    for name in ("ADAM", "local-operator"):  # names that nobody here has: users like any other
        status, who = whoami(world, signed(HEAD, claims(issuer.url, sub="evil-" + name, preferred_username=name)))
        assert status == 200 and who["role"] == "viewer" and who["principal"].startswith("user_"), (name, status, who)


def test_a_token_ends_with_its_user(world, issuer):
    token = signed(HEAD, claims(issuer.url, sub="gone", preferred_username="gone"))
    assert whoami(world, token)[0] == 200
    world.adam.ok("POST", "/v1/stoa/users/gone/disable")
    assert whoami(world, token)[0] == 401, "replayed"
    assert whoami(world, signed(HEAD, claims(issuer.url, sub="gone", preferred_username="other-name")))[0] == 401, "under another name"
    assert world.boris.call("POST", "/v1/stoa/users/gone/enable").status == 404
    assert whoami(world, token)[0] == 401


def test_lent_rights_are_no_more_than_that(world):
    """A token that a job was given: for what it names, by nobody else, as long as its lender has the right."""
    olga = world.olga
    made = olga.ok("POST", "/v1/stoa/tokens", {"name": "job", "grants": [f"dataset.read dataset {world.things['dataset']}"], "seconds": 300})
    job = world.add_caller("job", made["token"])
    assert job.call("GET", fill("/v1/stoa/datasets/{dataset}/rows", world.things)).status == 200
    for path in ("/v1/stoa/datasets", "/v1/files", "/v1/vector_stores", "/v1/stoa/traces", "/v1/stoa/ratings", "/v1/stoa/tokens", "/v1/models", "/v1/stoa/keys", "/v1/stoa/documents/{document}"):
        assert job.call("GET", fill(path, world.things)).status == 403, path
    assert job.call("POST", "/v1/stoa/tokens", {"name": "more", "grants": [f"dataset.read dataset {world.things['dataset']}"], "seconds": 300}).status == 403
    for grants in (["key.manage key"], ["*"], ["audit.read audit log"], [f"dataset.read dataset {'x' * 5000}"], [], "dataset.read"):
        assert olga.call("POST", "/v1/stoa/tokens", {"name": "more", "grants": grants, "seconds": 300}).status in (400, 403), grants
    assert olga.call("POST", "/v1/stoa/tokens", {"name": "long", "grants": [f"dataset.read dataset {world.things['dataset']}"], "seconds": 10**9}).status == 400
    head, _, rest = made["token"].partition(".")
    for bad in (made["token"][:-2], head + "." + rest.swapcase(), made["token"] + "A"):
        assert whoami(world, bad)[0] == 401
    for caller, status in ((world.boris, 404), (world.dora, 404), (world.vera, 403)):
        assert caller.call("DELETE", f"/v1/stoa/tokens/{made['id']}").status == status
    olga.ok("DELETE", f"/v1/stoa/tokens/{made['id']}")
    assert job.call("GET", fill("/v1/stoa/datasets/{dataset}/rows", world.things)).status == 401, "replayed after its end"


@pytest.mark.parametrize("scheme", WRONG_SCHEMES)
def test_only_bearer_is_a_scheme(world, scheme):
    answer = world.stranger.call("GET", "/v1/files", headers={"Authorization": scheme.format(key=world.olga.key)})
    assert answer.status == 401, answer


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "BeArEr"])
def test_the_scheme_has_no_case(world, scheme):
    """RFC 9110, 11.1: so nobody gets around a filter that knows one spelling, and no client is refused for another."""
    assert world.stranger.call("GET", "/v1/models", headers={"Authorization": f"{scheme} {world.olga.key}"}).status == 200


def test_two_credentials_are_none(world):
    """A proxy may look at one and the server at the other."""
    pairs = [(world.olga.key, world.adam.key), ("sk-stoa-x", world.olga.key), (world.olga.key, "sk-stoa-x"), (world.olga.key, world.olga.key)]
    for first, second in pairs:
        reply = raw(world.server.port, f"GET /v1/files HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {first}\r\nAuthorization: Bearer {second}\r\n\r\n".encode())
        assert statuses(reply) in ([400], [401]), reply[:300]
    head = "GET /v1/files HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    for first, second in pairs:
        assert statuses(raw(world.server.port, f"{head}X-Api-Key: {first}\r\nX-Api-Key: {second}\r\n\r\n".encode())) == [400]
        if first != second:
            assert statuses(raw(world.server.port, f"{head}Authorization: Bearer {first}\r\nX-Api-Key: {second}\r\n\r\n".encode())) == [401]

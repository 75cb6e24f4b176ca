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


def part(value):
    return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).rstrip(b"=").decode()


def claims(**changes):
    now = int(time.time())
    return {"iss": "https://issuer.example", "aud": "stoa", "sub": "adam", "groups": ["admin"], "role": "admin", "tenant": "default", "iat": now, "exp": now + 3600, **changes}


def signed(head, body, sign):
    text = f"{part(head)}.{part(body)}"
    return f"{text}.{part(sign(text.encode()))}"


def rs256(text):
    return KEY.sign(text, padding.PKCS1v15(), hashes.SHA256())


def hs256(secret):
    return lambda text: hmac.new(secret, text, hashlib.sha256).digest()


def nested(depth):
    token = signed({"alg": "RS256", "typ": "JWT"}, claims(), rs256)
    for _ in range(depth):
        token = signed({"alg": "RS256", "typ": "JWT", "cty": "JWT"}, token.encode(), rs256)
    return token


HEAD = {"alg": "RS256", "typ": "JWT", "kid": "1"}
JWTS = {
    "alg none": f'{part({"alg": "none", "typ": "JWT"})}.{part(claims())}.',
    "alg None": f'{part({"alg": "None", "typ": "JWT"})}.{part(claims())}.',
    "alg nOnE, a signature": f'{part({"alg": "nOnE", "typ": "JWT"})}.{part(claims())}.{part(b"x" * 32)}',
    "no alg": signed({"typ": "JWT"}, claims(), rs256),
    "alg a list": signed({"alg": ["RS256"]}, claims(), rs256),
    "key of nobody": signed(HEAD, claims(), rs256),
    "key of its own (jwk)": signed({**HEAD, "jwk": {"kty": "RSA", "n": part(KEY.public_key().public_numbers().n.to_bytes(256, "big")), "e": "AQAB"}}, claims(), rs256),
    "key from afar (jku)": signed({**HEAD, "jku": "http://127.0.0.1:1/keys"}, claims(), rs256),
    "key from afar (x5u)": signed({**HEAD, "x5u": "http://127.0.0.1:1/cert"}, claims(), rs256),
    "certificate of its own (x5c)": signed({**HEAD, "x5c": [base64.b64encode(PUBLIC).decode()]}, claims(), rs256),
    "HMAC with the public key": signed({"alg": "HS256", "kid": "1"}, claims(), hs256(PUBLIC)),
    "HMAC with nothing": signed({"alg": "HS256"}, claims(), hs256(b"")),
    "HMAC with 'secret'": signed({"alg": "HS256"}, claims(), hs256(b"secret")),
    "kid leads to an empty file": signed({"alg": "HS256", "kid": "../../../../../../dev/null"}, claims(), hs256(b"")),
    "kid leads to a secret": signed({"alg": "HS256", "kid": "secrets/api-keys"}, claims(), hs256(b"")),
    "kid with SQL": signed({"alg": "HS256", "kid": "x' UNION SELECT '' --"}, claims(), hs256(b"")),
    "kid with NUL": signed({**HEAD, "kid": "1\u0000"}, claims(), rs256),
    "kid a number": signed({**HEAD, "kid": 1}, claims(), rs256),
    "kid long": signed({**HEAD, "kid": "k" * 100}, claims(), rs256),
    "crit": signed({**HEAD, "crit": ["exp"]}, claims(), rs256),
    "crit unknown": signed({**HEAD, "crit": ["x"], "x": 1}, claims(), rs256),
    "expired": signed(HEAD, claims(exp=1), rs256),
    "not yet": signed(HEAD, claims(nbf=int(time.time()) + 10**6), rs256),
    "no exp": signed(HEAD, {key: value for key, value in claims().items() if key != "exp"}, rs256),
    "exp a text": signed(HEAD, claims(exp="never"), rs256),
    "exp huge": signed(HEAD, claims(exp=10**300), rs256),
    "exp NaN": f'{part(HEAD)}.{part(json.dumps(claims(exp=float("nan"))).encode())}.{part(b"x" * 256)}',
    "another audience": signed(HEAD, claims(aud="somebody-else"), rs256),
    "audience a list of others": signed(HEAD, claims(aud=["a", "b"]), rs256),
    "another issuer": signed(HEAD, claims(iss="https://evil.example"), rs256),
    "encrypted (JWE)": ".".join([part({"alg": "RSA-OAEP", "enc": "A256GCM"})] + ["AAAA"] * 4),
    "compressed": signed({**HEAD, "zip": "DEF"}, claims(), rs256),
    "unencoded payload (b64)": signed({**HEAD, "b64": False, "crit": ["b64"]}, claims(), rs256),
    "nested": nested(3),
    "nested deep JSON": f'{part(b"[" * 3000)}.{part(b"[" * 3000)}.AAAA',
    "deep claims": f'{part(HEAD)}.{part(b"{" + b"a".join([b"1"] * 5) + b"}")}.AAAA',
    "two alg": f'{part(b"""{"alg":"none","alg":"RS256"}""")}.{part(claims())}.',
    "not base64": "!!!.###.$$$",
    "padding": f"{part(HEAD)}==.{part(claims())}==.AAAA==",
    "empty parts": "..",
    "one dot": "a.b",
    "many dots": ".".join(["AAAA"] * 100),
    "only dots": "." * 200,
    "garbage": "\x80\x81\xfe\xff",
    "huge": "eyJ" + "A" * 12_000,
    "a document link": None,
}
WRONG_SCHEMES = ["Basic {key}", "Token {key}", "{key}", "Bearer", "Bearer ", "Bearer{key}", "Bearer  ", "Bearer\t{key}", "bearer=:{key}", "Negotiate {key}", "Bearer null", "Bearer undefined", "Bearer {{}}", "Bearer Bearer {key}", "Basic OnNrLXN0b2E="]


@pytest.mark.parametrize("kind", JWTS)
def test_forged_tokens_are_refused(world, kind):
    token = JWTS[kind] if JWTS[kind] is not None else world.link.partition("token=")[2]
    for method, path in (("GET", "/v1/files"), ("GET", fill("/v1/files/{file}", world.things)), ("POST", "/v1/stoa/keys")):
        request = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\nAuthorization: Bearer ".encode() + token.encode("latin-1") + b"\r\n\r\n"
        reply = raw(world.server.port, request)
        assert statuses(reply) in ([401], [400], [431]), reply[:300]  # not even HTTP, or larger than a head may be
        if kind not in ("garbage", "huge"):
            assert statuses(reply) == [401], reply[:300]
            assert b"RSA" not in reply.partition(b"\r\n\r\n")[2] and b"OpenSSL" not in reply, "how it failed is no business of the one who asks"


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

# SPDX-License-Identifier: Apache-2.0
"""A provider of identities that is made up here: discovery, keys that can be rotated, and tokens with whatever a test
wants in them."""

import base64
import json
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from test_gateway import Service

DIGESTS = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}


def encoded(data):
    data = json.dumps(data).encode() if isinstance(data, dict) else data
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, size=None):
    return encoded(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


class Key:
    def __init__(self, kid, algorithm):
        self.kid, self.algorithm = kid, algorithm
        if algorithm == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
        elif algorithm == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
        else:
            self.private = rsa.generate_private_key(65537, 2048)

    def jwk(self):
        public = self.private.public_key()
        jwk = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        if self.algorithm == "EdDSA":
            from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
            return {**jwk, "kty": "OKP", "crv": "Ed25519",
                    "x": encoded(public.public_bytes(Encoding.Raw, PublicFormat.Raw))}
        numbers = public.public_numbers()
        if self.algorithm == "ES256":
            return {**jwk, "kty": "EC", "crv": "P-256", "x": number(numbers.x, 32), "y": number(numbers.y, 32)}
        return {**jwk, "kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}

    def sign(self, text):
        if self.algorithm == "EdDSA":
            return self.private.sign(text)
        digest = DIGESTS[self.algorithm[2:]]()
        if self.algorithm == "ES256":
            r, s = utils.decode_dss_signature(self.private.sign(text, ec.ECDSA(digest)))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        pad = padding.PKCS1v15() if self.algorithm[0] == "R" else padding.PSS(
            padding.MGF1(digest), digest.digest_size)
        return self.private.sign(text, pad, digest)


class Provider:
    """`answer` may be replaced to break it; `cache_control` is what its keys come with."""

    def __init__(self, algorithm="RS256", port=0):
        self.keys = [Key("first", algorithm)]
        self.cache_control = "max-age=3600"
        self.service = Service(self.answer, port)
        self.port = self.service.port
        self.issuer = f"http://127.0.0.1:{self.port}"

    def answer(self, method, target, headers, body):
        if target == "/.well-known/openid-configuration":
            return 200, {}, {"issuer": self.issuer, "jwks_uri": self.issuer + "/keys"}
        if target == "/keys":
            return 200, {"Cache-Control": self.cache_control}, {"keys": [key.jwk() for key in self.keys]}
        return 404, {}, {}

    def fetched(self):
        """How often its keys were."""
        return self.service.targets().count("/keys")

    def token(self, key=None, header=None, **claims):
        key = key or self.keys[-1]
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "shop", "sub": "alice", "iat": now, "exp": now + 600, **claims}
        header = {"alg": key.algorithm, "kid": key.kid, "typ": "JWT", **(header or {})}
        text = f"{encoded(header)}.{encoded({k: v for k, v in claims.items() if v is not None})}"
        return f"{text}.{encoded(key.sign(text.encode()))}"

    def close(self):
        self.service.close()

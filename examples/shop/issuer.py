# SPDX-License-Identifier: Apache-2.0
"""Issues the tokens that the shop's gateway takes. It stands in for the provider of identities that a real shop has:
it signs as such a provider does, and asks nobody for a password. So whoever can read its key is anybody.

The key pair is in the folder .login, made when the shop is built and never committed: `key.json` is the private half
and closed to others, `keys.json` is the set of public keys that freehold.yaml names. Used by `login`, `import`, `demo`
and the tests."""

import base64
import fcntl
import json
import os
import pathlib
import time

try:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519
except ImportError:
    raise SystemExit("The shop's tokens are signed with python3-cryptography, which is missing:"
                     " run `make deps`.") from None

FOLDER = pathlib.Path(__file__).resolve().parent / ".login"
ISSUER, AUDIENCE = "shop-login", "shop"  # as in freehold.yaml
LIFE_S = 3600
RENEWED_S = 600  # a token that ends within this time is not used any more


class Unusable(Exception):
    """The key can't be made or read: the message says why."""


def encoded(data):
    if not isinstance(data, bytes):
        data = json.dumps(data, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def write_whole(path, content, mode):
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.write("\n")
    draft.rename(path)


def new_pair(folder):
    """The public half first: where the private one is, both are."""
    key = ed25519.Ed25519PrivateKey.generate()
    raw = serialization.Encoding.Raw
    public = encoded(key.public_key().public_bytes(raw, serialization.PublicFormat.Raw))
    private = encoded(key.private_bytes(raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()))
    shared = {"kty": "OKP", "crv": "Ed25519", "kid": public[:8], "use": "sig", "alg": "EdDSA", "x": public}
    write_whole(folder / "keys.json", {"keys": [shared]}, 0o644)
    write_whole(folder / "key.json", {**shared, "d": private}, 0o600)


def make_keys(folder=FOLDER):
    """Makes the pair unless it is there. Two that do so at once make one."""
    lock = -1
    try:
        folder.mkdir(mode=0o755, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "key.json").exists() or not (folder / "keys.json").exists():
            new_pair(folder)
    except FileExistsError:
        raise Unusable(f"{folder} is a file: expected a folder, or nothing") from None
    except OSError as error:
        raise Unusable(f"{error.filename or folder}: {error.strerror}") from None
    finally:
        if lock >= 0:
            os.close(lock)


class Issuer:
    """`token` of a user is what a client sends as `Authorization: Bearer TOKEN`."""

    def __init__(self, folder=FOLDER):
        make_keys(folder)
        path = folder / "key.json"
        try:
            jwk = json.loads(path.read_bytes())
            secret = base64.urlsafe_b64decode(jwk["d"] + "=")
            self.key, self.kid = ed25519.Ed25519PrivateKey.from_private_bytes(secret), jwk["kid"]
        except OSError as error:
            raise Unusable(f"{path}: {error.strerror}; whoever has built the shop can log in") from None
        except (ValueError, KeyError, TypeError):
            raise Unusable(f"{path} is not a private key that was made here: remove the folder {folder} and build again,"
                           " and a new one is made") from None
        self.known = {}  # (subject, roles) -> (when it ends, token)

    def token(self, subject, *roles):
        """For the user with this id: 7, or "7"; with roles such as "staff"."""
        now, who = int(time.time()), (str(subject), roles)
        ends, token = self.known.get(who, (0, ""))
        if ends - now < RENEWED_S:
            ends, token = now + LIFE_S, self.sign(who[0], roles, now)
            self.known[who] = ends, token
        return token

    def sign(self, subject, roles, now):
        head = {"alg": "EdDSA", "typ": "JWT", "kid": self.kid}
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + LIFE_S}
        if roles:
            claims["roles"] = list(roles)
        text = f"{encoded(head)}.{encoded(claims)}"
        return f"{text}.{encoded(self.key.sign(text.encode()))}"

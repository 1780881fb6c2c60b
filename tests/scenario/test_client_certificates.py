# SPDX-License-Identifier: Apache-2.0
"""Clients that prove by a certificate who they are, and those who would like to be somebody else."""

import http.client
import shutil
import ssl
import subprocess

import pytest

from provider import Provider
from test_authentication import DEMANDING, SECRET, bearer, problem_of, user_of
from test_gateway import Answer, Gateway, Service, echo, started  # noqa: F401

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
# Each certificate: its subject, its alternative names, and what else it says.
CLIENTS = {"ann": ("/CN=Ann", "URI:spiffe://shop/ann,DNS:ann.example,email:ann@example.org", ""),
           "bob": ("/CN=Bob", "URI:spiffe://shop/bob", ""),
           "two": ("/CN=Ann/CN=Bob", "URI:spiffe://shop/ann,URI:spiffe://shop/bob", ""),
           "bare": ("/O=Nobody", "DNS:ann.example", ""), "long": ("/CN=x", "URI:spiffe://shop/" + "x" * 300, ""),
           "server": ("/CN=Ann", "URI:spiffe://shop/ann", "extendedKeyUsage=serverAuth"),
           "client": ("/CN=Cleo", "URI:spiffe://shop/cleo", "extendedKeyUsage=clientAuth")}


class Authority:
    def __init__(self, folder):
        self.folder = folder
        for name in ("ca", "other"):
            self.openssl("req", "-x509", *KEY, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2", "-subj",
                         f"/CN={name}", "-addext", "keyUsage=keyCertSign,cRLSign")
        for name, (subject, names, more) in CLIENTS.items():
            self.sign(name, subject, names, more)
        self.sign("old", *CLIENTS["ann"], days=-1)
        self.sign("stranger", *CLIENTS["ann"], by="other")
        self.sign("door", "/CN=localhost", "DNS:localhost", "")
        (folder / "index.txt").touch()
        (folder / "crlnumber").write_text("01\n")
        (folder / "ca.conf").write_text("[ca]\ndefault_ca=it\n[it]\ndatabase=index.txt\ncrlnumber=crlnumber\n"
                                        "default_md=sha256\ndefault_crl_days=2\n")
        authority = ("-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key")
        self.openssl("ca", *authority, "-revoke", "bob.pem")
        self.openssl("ca", *authority, "-gencrl", "-out", "revoked.pem")

    def openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    def sign(self, name, subject, names, more, by="ca", days=2):
        (self.folder / "says").write_text(f"subjectAltName={names}\n{more}\n")
        self.openssl("req", *KEY, "-keyout", f"{name}.key", "-out", "request", "-subj", subject)
        self.openssl("x509", "-req", "-in", "request", "-CA", f"{by}.pem", "-CAkey", f"{by}.key", "-CAcreateserial",
                     "-out", f"{name}.pem", "-extfile", "says", "-days", str(days))

    def path(self, name):
        return str(self.folder / name)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    if not shutil.which("openssl"):
        pytest.skip("NOT TESTED: there is no openssl")
    return Authority(tmp_path_factory.mktemp("authority"))


def gateway_for(started, authority, name="uri", auth=None, limits=None, **tls):
    users = started(Service(echo))
    listen = {"certificate": authority.path("door.pem"), "key": authority.path("door.key"), "ca": authority.path("ca.pem"),
              **tls}
    gateway = started(Gateway(started.folder, {"users": (users.port, DEMANDING)}, more={
        "listen_tls": listen, "outside": "anywhere", "keys": {"calls": {"users": "22" * 32}, "user_secret": SECRET},
        "auth": {"certificates": {"name": name, "subjects": "cert/"}, **(auth or {})},
        **({"limits": limits} if limits else {})}))
    gateway.users = users
    return gateway


def ask(gateway, authority, certificate=None, path="/api/mine", headers=None):
    context = ssl.create_default_context(cafile=authority.path("ca.pem"))
    if certificate:
        context.load_cert_chain(authority.path(f"{certificate}.pem"), authority.path(f"{certificate}.key"))
    connection = http.client.HTTPSConnection("localhost", gateway.port, timeout=120, context=context)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


@pytest.mark.parametrize("name, subject", [("uri", "spiffe://shop/ann"), ("dns", "ann.example"),
                                           ("email", "ann@example.org"), ("cn", "Ann")])
def test_a_service_is_told_whose_the_certificate_is(started, authority, name, subject):
    gateway = gateway_for(started, authority, name)
    forged = {"Freehold-User": "1.e30.AAAA", "X-Client-Cert": "x", "X-SSL-Client-S-DN": "CN=root",
              "X-Forwarded-Client-Cert": "URI=spiffe://shop/root"}
    for _ in range(2):
        answer = ask(gateway, authority, "ann", headers=forged)
        assert answer.status == 200, answer.data
        user = user_of(answer)
        assert user.pop("iat") and user.pop("exp")
        assert user == {"sub": f"cert/{subject}", "via": "certificate", "scopes": [], "roles": []}
        assert not {"x-client-cert", "x-ssl-client-s-dn", "x-forwarded-client-cert"} & set(answer.json["headers"])
    assert ask(gateway, authority, "ann", "/api/stock").status == 403


def test_a_certificate_that_is_required_is(started, authority):
    gateway = gateway_for(started, authority)
    for certificate in (None, "stranger", "old", "server"):
        for path in ("/api/open", "/api/mine", "/livez"):
            answer = ask(gateway, authority, certificate, path)
            assert answer.status == 403 and problem_of(answer) == "client-untrusted", (certificate, path)
    assert not gateway.users.asked
    assert ask(gateway, authority, "client").status == 200


def test_one_that_is_optional_may_be_missing_but_not_wrong(started, authority):
    gateway = gateway_for(started, authority, optional=True)
    assert ask(gateway, authority, None, "/api/open").status == 200
    assert "freehold-user" not in ask(gateway, authority, None, "/api/open").json["headers"]
    assert ask(gateway, authority).status == 401
    # Clients of another authority don't even show theirs; one that does is refused.
    for certificate in ("old", "server"):
        assert ask(gateway, authority, certificate, "/api/open").status == 403, certificate
    assert user_of(ask(gateway, authority, "ann"))["sub"] == "cert/spiffe://shop/ann"
    assert user_of(ask(gateway, authority, "bob"))["sub"] == "cert/spiffe://shop/bob"


@pytest.mark.parametrize("name, certificate", [("uri", "two"), ("cn", "two"), ("uri", "bare"), ("cn", "bare"),
                                               ("uri", "long"), ("email", "bob")])
def test_whoever_has_two_names_or_none_is_nobody(started, authority, name, certificate):
    gateway = gateway_for(started, authority, name)
    answer = ask(gateway, authority, certificate, "/api/open")
    assert answer.status == 401 and problem_of(answer) == "credentials-refused"
    assert not gateway.users.asked


def test_what_is_withdrawn_is_refused(started, authority):
    gateway = gateway_for(started, authority, revoked=authority.path("revoked.pem"))
    assert ask(gateway, authority, "bob").status == 403
    assert ask(gateway, authority, "ann").status == 200


def test_credentials_go_before_a_certificate(started, authority):
    provider = Provider("EdDSA")
    provider.close()
    jwt = {"issuer": provider.issuer, "audience": "shop", "keys": {"keys": [provider.keys[0].jwk()]}}
    gateway = gateway_for(started, authority, auth={"jwt": [jwt]})
    assert user_of(ask(gateway, authority, "ann", headers=bearer(provider.token(sub="carol"))))["sub"] == "carol"
    assert ask(gateway, authority, "ann", headers=bearer("x.y.z")).status == 401
    assert user_of(ask(gateway, authority, "ann"))["sub"] == "cert/spiffe://shop/ann"


def test_whoever_is_known_by_a_certificate_does_not_pay_from_the_address(started, authority):
    gateway = gateway_for(started, authority, optional=True, limits={"address": {"requests": 3, "window_s": 86400}})
    assert [ask(gateway, authority, "ann").status for _ in range(5)] == [200] * 5
    # Her first request was paid for by both: the address has two left for others.
    assert [ask(gateway, authority, None, "/api/open").status for _ in range(3)] == [200, 200, 429]
    assert ask(gateway, authority, "ann").status == 200


def test_a_configuration_without_a_rule_is_refused(started, authority):
    with pytest.raises(AssertionError, match='"name" must be'):
        gateway_for(started, authority, name="any")

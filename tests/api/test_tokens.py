"""Which tokens speak for somebody (CONTRACT section 2): one algorithm, one key, all claims."""

import base64
import hashlib
import hmac
import json
import re
import time
import uuid

import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.conf import settings as django_settings

from tcmpay.accounts.authentication import LEEWAY_SECONDS
from tcmpay.accounts.services.tokens import token_issue
from tcmpay.common.actor import Role
from tcmpay.common.errors import TokenProblem
from tests.api.kit import nothing_moves

USER = "0192f0c1-2345-7abc-8def-0123456789ab"


def claims(**changes) -> dict:
    now = int(time.time())
    everything = {"sub": USER, "role": "admin", "iat": now, "exp": now + 600} | changes
    return {name: value for name, value in everything.items() if value is not ...}


def signed(payload=None, *, key=None, algorithm="HS256", headers=None) -> str:
    """A token put together by hand, so that nothing stops us from signing nonsense."""
    head = {"alg": algorithm, "typ": "JWT"} | (headers or {})
    body = payload if isinstance(payload, bytes) else json.dumps(payload or claims()).encode()
    content = f"{b64(json.dumps(head).encode())}.{b64(body)}"
    secret = (key or django_settings.JWT_SECRET).encode()
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
    mac = hmac.new(secret, content.encode(), digest.get(algorithm, hashlib.sha256)).digest()
    return f"{content}.{b64(mac)}"


def b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def pem_pair(private) -> tuple[str, str]:
    return (
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    )


@pytest.fixture(scope="module")
def rsa_pair() -> tuple[str, str]:
    return pem_pair(rsa.generate_private_key(public_exponent=65537, key_size=2048))


@pytest.fixture(scope="module")
def ec_pair() -> tuple[str, str]:
    return pem_pair(ec.generate_private_key(ec.SECP256R1()))


def ask(api, authorization: str):
    with nothing_moves():
        return api.get("orders", headers={"Authorization": authorization})


def refuses(api, token: str, reason: str = "") -> None:
    answer = ask(api, f"Bearer {token}").refused(401, "UNAUTHENTICATED")
    assert answer.message == "未授权"
    problem = TokenProblem(answer.body["reason"])
    assert problem == (reason or problem), answer.body
    # RFC 6750, section 3: its three parameters, and only letters that may stand in them.
    challenge = f'Bearer realm="tcmpay", error="invalid_token", error_description="{problem.told}"'
    assert answer.headers["WWW-Authenticate"] == challenge
    assert re.fullmatch(r"[ !#-\[\]-~]+", problem.told)
    for secret in (django_settings.JWT_SECRET, django_settings.JWT_PUBLIC_KEY):
        assert not secret or secret not in str(answer.body) + challenge


def test_a_token_signed_by_hand_is_taken(api):
    ask(api, f"Bearer {signed()}").accepted()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_written_in_any_case(api, scheme):
    ask(api, f"{scheme} {signed()}").accepted()


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Token x",
        "{token}",
        "Bearer: {token}",
        "Bearer,{token}",
    ],
)
def test_another_scheme_is_401(api, authorization):
    ask(api, authorization.format(token=signed())).refused(401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [("", "missing"), ("Basic YTpi", "scheme"), ("{token}", "scheme"), ("Bearer: x", "scheme")],
)
def test_where_no_bearer_token_came_nothing_is_said_about_one(api, authorization, reason):
    answer = ask(api, authorization.format(token=signed())).refused(401, "UNAUTHENTICATED")
    assert answer.body["reason"] == reason
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tcmpay"'


def test_no_header_is_401(api):
    answer = api.get("orders").refused(401, "UNAUTHENTICATED")
    assert answer.body["reason"] == "missing"
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tcmpay"'


def test_a_mistake_is_told_of_a_rightly_signed_token_alone(api):
    """Whoever guesses learns nothing about what a token should say."""
    wrong = claims(exp=1, role="root", sub="x")
    refuses(api, signed(wrong, key="another key of more than thirty-two bytes"), "signature")
    refuses(api, signed(wrong, algorithm="HS512"), "algorithm")


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a.b",
        "a.b.c",
        "..",
        "a.b.c.d",
        "null",
        "\u4ee4\u724c",
        "%00",
        "x" * 5000,
        "." * 4000,
        "x" * 1_048_576,
    ],
    ids=lambda token: token[:12],
)
def test_garbage_is_401(api, token):
    refuses(api, token, "malformed")


def test_three_parts_that_nobody_signed_are_401(api):
    refuses(api, "e30.e30.", "algorithm")
    refuses(api, "eyJhbGciOiJIUzI1NiJ9.bm90IGpzb24.AAAA", "signature")


def test_a_megabyte_of_well_signed_token_is_401(api):
    refuses(api, signed(claims(padding="x" * 1_048_576)), "malformed")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, 1, ["HS256"]])
def test_no_algorithm_is_401_signed_or_not(api, algorithm):
    token = signed(headers={"alg": algorithm})
    refuses(api, token)
    refuses(api, token.rpartition(".")[0] + ".")


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_of_the_same_key_is_401(api, algorithm):
    refuses(api, signed(algorithm=algorithm), "algorithm")


def test_another_key_is_401(api):
    refuses(api, signed(key="another key of more than thirty-two bytes"), "signature")
    refuses(api, signed(key="\x00"), "signature")


def test_a_changed_token_is_401(api):
    head, body, mac = signed(claims(role="patient")).split(".")
    refuses(api, f"{head}.{b64(json.dumps(claims(role='admin')).encode())}.{mac}")
    refuses(api, f"{head}.{body}.{'A' if mac[0] != 'A' else 'B'}{mac[1:]}")
    refuses(api, f"{head}.{body}.")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        pytest.param(claims(sub=...), "claims", id="no sub"),
        pytest.param(claims(role=...), "claims", id="no role"),
        pytest.param(claims(exp=...), "claims", id="no exp"),
        pytest.param(claims(iat=...), "claims", id="no iat"),
        pytest.param(claims(sub=None), "claims", id="sub null"),
        pytest.param(claims(sub=7), "subject", id="sub a number"),
        pytest.param(claims(sub=[USER]), "subject", id="sub a list"),
        pytest.param(claims(sub=""), "subject", id="sub empty"),
        pytest.param(claims(sub="admin"), "subject", id="sub no UUID"),
        pytest.param(claims(sub=USER.replace("-", "")), "subject", id="sub without hyphens"),
        pytest.param(claims(sub=USER.replace("-", "_")), "subject", id="sub with underscores"),
        pytest.param(claims(sub=f"{{{USER[:-2]}}}"), "subject", id="sub in braces"),
        pytest.param(claims(sub=f"+{USER[1:]}"), "subject", id="sub with a sign"),
        pytest.param(claims(role=None), "claims", id="role null"),
        pytest.param(claims(role=""), "role", id="role empty"),
        pytest.param(claims(role=["admin"]), "role", id="role a list"),
        pytest.param(claims(role={"admin": True}), "role", id="role an object"),
        pytest.param(claims(role=True), "role", id="role a boolean"),
        pytest.param(claims(role="Admin"), "role", id="role in capitals"),
        pytest.param(claims(role="admin "), "role", id="role with a space"),
        pytest.param(claims(role="root"), "role", id="role unknown"),
        # Ours, and not the platform's to give:
        pytest.param(claims(role="staff"), "role", id="role staff"),
        pytest.param(claims(role="system"), "role", id="role system"),
        pytest.param(claims(role="gateway"), "role", id="role gateway"),
        pytest.param(claims(exp=int(time.time()) - 60), "expired", id="expired"),
        pytest.param(claims(exp=0), "expired", id="expired in 1970"),
        pytest.param(claims(exp=-1), "expired", id="exp negative"),
        pytest.param(claims(exp=None), "claims", id="exp null"),
        pytest.param(claims(exp="never"), "claims", id="exp text"),
        pytest.param(claims(exp=[2**40]), "claims", id="exp a list"),
        pytest.param(claims(exp=float("inf")), "claims", id="exp infinite"),
        pytest.param(claims(exp=float("nan")), "claims", id="exp not a number"),
        pytest.param(claims(exp=True), "expired", id="exp a boolean"),
        pytest.param(claims(iat=int(time.time()) + 600), "not_yet_valid", id="issued later"),
        pytest.param(claims(iat="now"), "claims", id="iat text"),
        pytest.param(claims(nbf=int(time.time()) + 600), "not_yet_valid", id="not valid yet"),
        pytest.param(b"[]", "claims", id="a list"),
        pytest.param(b"null", "claims", id="null"),
        pytest.param(b'"text"', "claims", id="text"),
        pytest.param(b"", "claims", id="nothing"),
        pytest.param(b"\xff", "claims", id="no UTF-8"),
        pytest.param(b"[" * 2500, "claims", id="a depth bomb"),
    ],
)
def test_wrong_claims_are_401_though_well_signed(api, payload, reason):
    refuses(api, signed(payload), reason)


def test_a_token_that_was_taken_before_is_401_from_its_end_on(api):
    token = signed(claims(exp=int(time.time()) + 600))
    headers = {"Authorization": f"Bearer {token}"}
    assert api.get("orders", headers=headers).status == 200
    with time_machine.travel(time.time() + 600 + LEEWAY_SECONDS - 2, tick=False):
        assert api.get("orders", headers=headers).status == 200
    with time_machine.travel(time.time() + 600 + LEEWAY_SECONDS + 1, tick=False):
        api.get("orders", headers=headers).refused(401, "UNAUTHENTICATED")


def test_a_token_taken_before_is_401_under_another_key(api, settings):
    headers = {"Authorization": f"Bearer {signed()}"}
    assert api.get("orders", headers=headers).status == 200
    settings.JWT_SECRET = "another-secret-of-more-than-thirty-two-bytes"
    api.get("orders", headers=headers).refused(401, "UNAUTHENTICATED")


def test_a_role_is_what_the_token_says_and_no_more(api):
    body = {"config_key": "app_id", "config_value": "wx1"}
    for role in ("patient", "doctor", "service"):
        token = signed(claims(role=role, is_admin=True, roles=["admin"], scope="admin"))
        headers = {"Authorization": f"Bearer {token}"}
        api.put("admin/config/wechat", body, by=None, headers=headers).refused(403, "FORBIDDEN")


@pytest.mark.parametrize(
    "headers",
    [
        {"kid": "../../../../dev/null"},
        {"kid": "' UNION SELECT 'key"},
        {"jku": "https://evil.test/keys.json"},
        {"x5u": "https://evil.test/cert.pem"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_a_key_that_the_token_itself_names_is_never_used(api, headers):
    """Neither instead of our key, nor in addition to it; and nothing is fetched."""
    for stolen in ("", "key", "\x00"):
        refuses(api, signed(key=stolen or "evil" * 10, headers=headers))


def test_a_key_that_the_token_itself_brings_is_never_used(api, rsa_pair):
    private, public = rsa_pair
    jwk = json.loads(
        jwt.algorithms.RSAAlgorithm.to_jwk(serialization.load_pem_public_key(public.encode()))
    )
    refuses(api, jwt.encode(claims(), private, algorithm="RS256", headers={"jwk": jwk}))
    octets = {"kty": "oct", "k": b64(b"evil" * 10)}
    refuses(api, signed(key="evil" * 10, headers={"jwk": octets}))


# --- where tokens name whom they are for --------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "claims"),
        ({"aud": "tcmpay"}, "claims"),
        ({"iss": "platform"}, "claims"),
        ({"aud": "clinic", "iss": "platform"}, "audience"),
        ({"aud": ["clinic"], "iss": "platform"}, "audience"),
        ({"aud": "tcmpay", "iss": "somebody"}, "issuer"),
        ({"aud": "", "iss": ""}, ""),
        ({"aud": 7, "iss": "platform"}, "audience"),
        ({"aud": "tcmpay", "iss": 7}, "issuer"),
    ],
)
def test_a_token_for_somebody_else_is_401(api, settings, changes, reason):
    settings.JWT_AUDIENCE, settings.JWT_ISSUER = "tcmpay", "platform"
    refuses(api, signed(claims(**changes)), reason)


@pytest.mark.parametrize("audience", ["tcmpay", ["clinic", "tcmpay"]])
def test_a_token_for_us_is_taken(api, settings, audience):
    settings.JWT_AUDIENCE, settings.JWT_ISSUER = "tcmpay", "platform"
    ask(api, f"Bearer {signed(claims(aud=audience, iss='platform'))}").accepted()


def test_our_own_tokens_name_us(api, settings):
    settings.JWT_AUDIENCE, settings.JWT_ISSUER = "tcmpay", "platform"
    token = token_issue(user_id=uuid.UUID(USER), role=Role.ADMIN, ttl_seconds=60)
    ask(api, f"Bearer {token}").accepted()


# --- with the platform's public key -----------------------------------------------------------


@pytest.fixture(params=["RS256", "ES256"])
def key_pair(request, settings, rsa_pair, ec_pair):
    """(private, public, algorithm) of a deployment that knows only the public key."""
    private, public = rsa_pair if request.param == "RS256" else ec_pair
    settings.JWT_PUBLIC_KEY, settings.JWT_ALGORITHM = public, request.param
    settings.JWT_SECRET = ""
    return private, public, request.param


def test_a_token_of_the_platforms_private_key_is_taken(api, key_pair):
    private, _public, algorithm = key_pair
    token = jwt.encode(claims(sub=str(uuid.uuid4())), private, algorithm=algorithm)
    ask(api, f"Bearer {token}").accepted()


def test_the_public_key_is_no_shared_secret(api, key_pair):
    """HS/RS confusion: the public key, which everybody has, used as an HMAC secret."""
    _private, public, _algorithm = key_pair
    for secret in (public, public.strip(), public + "\n"):
        refuses(api, signed(key=secret))


def test_the_other_public_key_algorithm_is_401(api, key_pair, rsa_pair, ec_pair):
    _private, _public, algorithm = key_pair
    private, other = (ec_pair[0], "ES256") if algorithm == "RS256" else (rsa_pair[0], "RS256")
    refuses(api, jwt.encode(claims(), private, algorithm=other))


def test_a_stranger_with_the_same_algorithm_is_401(api, key_pair):
    _private, _public, algorithm = key_pair
    stranger = (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        if algorithm == "RS256"
        else ec.generate_private_key(ec.SECP256R1())
    )
    refuses(api, jwt.encode(claims(), stranger, algorithm=algorithm))


def test_wrong_claims_are_401_with_a_public_key_too(api, key_pair):
    private, _public, algorithm = key_pair
    for wrong in (claims(exp=...), claims(role="root"), claims(exp=1), claims(sub="x")):
        refuses(api, jwt.encode(wrong, private, algorithm=algorithm))


def test_no_algorithm_is_401_with_a_public_key_too(api, key_pair):
    refuses(api, jwt.encode(claims(), None, algorithm="none"))

"""The site of deploy/nginx: nginx itself reads it, and what it lets in fits the product."""

import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.conf import settings

from backoffice.site.uploads import UPLOAD_BYTES_MAX

ROOT = Path(settings.BASE_DIR)
SITE = ROOT / "deploy/nginx/tcmpay.conf"
HOSTS = [ROOT / "deploy/nginx/tcmpay-host.conf", ROOT / "deploy/container/nginx-host.conf"]
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


def make_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pay.example.cn")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@pytest.mark.skipif(not NGINX, reason="nginx is not installed")
@pytest.mark.parametrize("host", HOSTS, ids=lambda path: path.parent.name)
def test_nginx_takes_the_site(tmp_path: Path, host: Path):
    make_certificate(tmp_path)
    for path in (SITE, host):
        text = path.read_text(encoding="utf-8")
        text = text.replace("/etc/ssl/tcmpay", str(tmp_path))
        text = text.replace("/var/log/nginx", str(tmp_path))
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    main = tmp_path / "nginx.conf"
    paths = "".join(
        f"{name}_temp_path {tmp_path}/{name};" for name in ("client_body", "proxy", "fastcgi")
    )
    main.write_text(
        f"pid {tmp_path}/pid;\nerror_log {tmp_path}/errors;\nevents {{}}\n"
        f"http {{ {paths} include {tmp_path}/{host.name}; include {tmp_path}/{SITE.name}; }}\n"
    )
    told = subprocess.run(
        [str(NGINX), "-t", "-c", str(main), "-p", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert "[warn]" not in told.stderr


def test_it_lets_in_what_the_product_takes_and_waits_as_long():
    text = SITE.read_text(encoding="utf-8")
    sizes = [int(size) for size in re.findall(r"client_max_body_size (\d+)m;", text)]
    assert sizes[0] << 20 >= settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert sizes[1] << 20 > UPLOAD_BYTES_MAX, "with the rest of the form"
    read = re.search(r"proxy_read_timeout (\d+)s;", text)
    assert int(read[1]) > 2 * settings.DATABASES["default"].get("OPTIONS", {}).get(
        "read_timeout", 30
    )
    assert "proxy_next_upstream error timeout;" in text, "never non_idempotent"


@pytest.mark.parametrize("host", HOSTS, ids=lambda path: path.parent.name)
def test_as_delivered_nobody_from_elsewhere_reaches_the_back_office(host: Path):
    """Behind a load balancer everybody comes from its address, which is a private one."""
    text = host.read_text(encoding="utf-8")
    geo = re.search(r"geo \$tcmpay_is_office \{(.*?)\}", text, re.DOTALL)[1]
    assert re.findall(r"^\s*([\d.]+/\d+)\s+1;", geo, re.MULTILINE) == ["127.0.0.0/8"]
    assert "# set_real_ip_from" in text


@pytest.mark.parametrize("host", HOSTS, ids=lambda path: path.parent.name)
def test_a_cashiers_link_stays_out_of_the_log(host: Path):
    text = host.read_text(encoding="utf-8")
    pattern = re.search(r'"~(\^/pay/\S+)"', text)[1].replace("?<rest>", "?P<rest>")
    found = re.match(pattern, "/pay/eyJsaW5rIjoxfQ:1abc:sig/state?token=x")
    assert found
    assert found["rest"] == "/state"
    assert "$request_uri" not in re.search(r"log_format.*?;", text, re.DOTALL)[0]

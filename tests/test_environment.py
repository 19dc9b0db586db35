"""What the environment may say, and how: run as processes of their own, as at a real start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

PRINT = "from django.conf import settings as s; print(s.DATABASES['default']['ENGINE'])"


def start(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DATABASE_URL", "CACHE_URL"}
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=settings.BASE_DIR,
        env={**clean, "DJANGO_SETTINGS_MODULE": "tcmpay.settings", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
def test_a_database_address_may_come_from_a_file(tmp_path: Path, scheme: str):
    address = tmp_path / "database"
    address.write_text(f"{scheme}://tcm_user:x@127.0.0.1/tcm_telemedicine\n")
    answer = start(PRINT, DATABASE_URL_FILE=str(address))
    assert answer.stdout.strip() == "django.db.backends.mysql", answer.stderr


PRODUCTION = {
    "DEBUG": "off",
    "ALLOWED_HOSTS": "pay.tcm.test",
    "SECRET_KEY": "k3x9Qw7Lz2Vb8Nc5Mf1Rt6Yp4Hs0Jd3Ga9Te7Uo2Ki",
    "JWT_SECRET": "p8Vn2Xc6Zr4Wq9Lk1Bt7Ym5Hs3Jd0Fg8Ra6Te4Uo2I",
}


def test_it_starts_with_production_settings():
    answer = start(PRINT, **PRODUCTION)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MOCK_CALLBACKS", "on"),
        ("WECHATPAY_BASE_URL", "http://127.0.0.1:1"),
        ("ALIPAY_GATEWAY_URL", "http://127.0.0.1:1"),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "changeme-changeme-changeme-changeme-changeme"),
        ("JWT_SECRET", "your-jwt-secret-your-jwt-secret-your-jwt"),
        ("ALLOWED_HOSTS", ""),
        ("ORDER_EXPIRE_MINUTES", "0"),
        ("ORDER_PRICE_POLICY", "free"),
        ("LATE_PAYMENT_POLICY", "keep"),
        ("REFUND_SECOND_APPROVAL_OVER", "-1"),
        ("JWT_ALGORITHM", "none"),
    ],
)
def test_it_refuses_to_start_and_says_why(name: str, value: str):
    answer = start(PRINT, **{**PRODUCTION, name: value})
    assert answer.returncode != 0
    assert name in answer.stderr.splitlines()[-1]


def test_a_missing_secret_file_is_named():
    answer = start(PRINT, **{**PRODUCTION, "SECRET_KEY": "", "SECRET_KEY_FILE": "/nowhere/key"})
    assert answer.returncode != 0
    assert "SECRET_KEY_FILE" in answer.stderr

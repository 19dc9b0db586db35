import pytest


@pytest.fixture(autouse=True)
def _quick_passwords(settings) -> None:
    """What a hash costs is Django's to test; here many are made."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

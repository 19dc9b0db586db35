from config.tests.conftest import (  # noqa: F401
    _empty_cache,
    platform_pem,
    private_pem,
    rsa_key,
    staff,
)

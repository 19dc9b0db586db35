from config.conftest import _empty_cache, platform_pem, private_pem, rsa_key, staff  # noqa: F401

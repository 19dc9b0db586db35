from config.tests.conftest import _empty_cache, staff  # noqa: F401

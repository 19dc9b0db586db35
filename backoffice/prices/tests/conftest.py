from config.conftest import _empty_cache, staff  # noqa: F401

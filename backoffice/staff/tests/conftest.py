# Signing in is slow and counted: the same here as where accounts are tested.
from tcmpay.accounts.tests.conftest import _counters_from_zero  # noqa: F401

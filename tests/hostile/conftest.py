"""The stage of the API's tests, for whatever a stranger may send."""

from tests.api.conftest import (  # noqa: F401
    _demo_switches,
    admin,
    api,
    clock,
    doctor,
    other_patient,
    patient,
    rich_patient,
    service,
    still_window,
    story,
)

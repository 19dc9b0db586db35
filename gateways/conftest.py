import os

import django
import pytest
from django.conf import settings

from gateways.tests.kit import StandIn

# The texts for staff are lazy translations, which need Django set up, but no database; without
# the product's settings any will do.
if not settings.configured and "DJANGO_SETTINGS_MODULE" not in os.environ:
    settings.configure(USE_I18N=False)
django.setup()


@pytest.fixture(scope="session")
def _server():
    with StandIn() as server:
        yield server


@pytest.fixture
def stand_in(_server):
    return _server.begin()

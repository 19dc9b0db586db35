"""The WSGI application that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tcmpay.settings")

application = get_wsgi_application()

# Imported once Django is set up.
from tcmpay.common.database_session import require_sound_database  # noqa: E402

require_sound_database()

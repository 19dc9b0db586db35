"""``manage.py check --database default`` and ``migrate`` say what the database lacks."""

from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError

from tcmpay.common.database_session import durability_warnings, session_problems


@register(Tags.database)
def database_is_fit_for_money(
    app_configs: Any = None, databases: Any = None, **kwargs: Any
) -> list[CheckMessage]:
    if "default" not in (databases or []):
        return []
    try:
        problems, warnings = session_problems(), durability_warnings()
    except DatabaseError as error:
        return [Warning(f"the database could not be looked at: {error}", id="guard.W001")]
    return [
        *(Error(problem, id="guard.E001") for problem in problems),
        *(Warning(warning, id="guard.W002") for warning in warnings),
    ]

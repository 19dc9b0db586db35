"""``manage.py check --deploy`` says what the doctor finds without asking any other program.

As warnings: it runs before an upgrade has collected its static files, and stops none.
"""

from typing import Any

from django.core.checks import CheckMessage, Warning, register

from backoffice.ops.doctor.rounds import HERE, found

TAG = "deployment"


@register(TAG, deploy=True)
def deployment_is_sound(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    return [
        Warning(f"{one.key}: {one.message}", hint=str(one.fix), id=f"doctor.{part}")
        for part, (_title, look) in HERE.items()
        for one in found(part, look)
        if one.level != "ok"
    ]

"""Who sits at the machine: commands are not run by "the system", and the trail says by whom."""

import os
import pwd
from pathlib import Path
from uuid import UUID

from django.core.management.base import CommandError

from tcmpay.common.actor import Actor, Role

_LOGIN_UID = Path("/proc/self/loginuid")
_NOBODY_LOGGED_IN = 2**32 - 1


def operator_actor() -> Actor:
    """The account that the process runs as and, where another one logged in, that one first.

    Taken from the system, never from the environment, which whoever types a command can set.
    """
    account = _name_of(os.getuid())
    login = _login_name()
    name = f"{login} as {account}" if login and login != account else account
    return Actor(id=None, role=Role.SYSTEM, name=f"os:{name}")


def user_argument(text: str) -> UUID:
    """A command's ``--user``. Raises CommandError."""
    try:
        return UUID(text)
    except ValueError as error:
        raise CommandError(f"--user 不是有效的 UUID / not a UUID: {text}") from error


def _login_name() -> str:
    """Who logged in before any ``sudo`` or ``su``; empty where the kernel does not know."""
    try:
        uid = int(_LOGIN_UID.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return ""
    return "" if uid == _NOBODY_LOGGED_IN else _name_of(uid)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's account without a name
        return str(uid)

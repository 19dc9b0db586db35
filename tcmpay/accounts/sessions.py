"""Staff sessions whose rows open nothing: the database knows a session by the hash of its cookie.

SESSION_ENGINE names this module. Django's own keeps the cookie's value itself, so that whoever
reads the table (a backup, a replica, an injection) is signed in as everybody in it.
"""

from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore
from django.utils import timezone
from django.utils.crypto import salted_hmac

# What the column holds: 160 bits, in hexadecimal.
KEPT_KEY_LENGTH = 40
SALT = "tcmpay.accounts.sessions"


def kept_key(cookie: str) -> str:
    """The primary key of the session whose cookie says ``cookie``.

    Under SECRET_KEY, so that who can only write to the database makes no session either.
    """
    return salted_hmac(SALT, cookie, algorithm="sha256").hexdigest()[:KEPT_KEY_LENGTH]


class SessionStore(DatabaseSessionStore):
    """Django's, with the key hashed, and the content signed together with the key.

    Content that was copied into another session's row by SQL reads as an empty session there.
    """

    # Django's asynchronous ones reach for the row by the cookie; these call the ones below.
    aexists = SessionBase.aexists
    acreate = SessionBase.acreate
    asave = SessionBase.asave
    adelete = SessionBase.adelete
    aload = SessionBase.aload

    @property
    def key_salt(self) -> str:
        return f"{SALT}.{kept_key(self.session_key or '')}"

    def exists(self, session_key: str) -> bool:
        return super().exists(kept_key(session_key))

    def load(self) -> dict[str, Any]:
        row = self.model.objects.filter(
            session_key=kept_key(self.session_key or ""), expire_date__gt=timezone.now()
        ).first()
        if row is None:
            self._session_key = None
            return {}
        return self.decode(row.session_data)

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        row = super().create_model_instance(data)
        row.session_key = kept_key(self.session_key or "")
        return row

    def delete(self, session_key: str | None = None) -> None:
        cookie = session_key or self.session_key
        if cookie:
            self.model.objects.filter(session_key=kept_key(cookie)).delete()

"""How large a file may be that staff send: a page must not fill a disk."""

from typing import Any

from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest

# A bill of a million lines is a third of this, packed as gateways pack it.
UPLOAD_BYTES_MAX = 64 << 20
_REFUSED = "tcmpay.upload_refused"


class BoundedUpload(FileUploadHandler):
    """Stops taking a request's files where they come to more than the bound; the rest of the
    request is read and forgotten, so that its page can say so."""

    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self._bytes = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        self._bytes += len(raw_data)
        if self._bytes > UPLOAD_BYTES_MAX:
            if self.request is not None:
                self.request.META[_REFUSED] = True
            raise StopUpload(connection_reset=False)
        return raw_data

    def file_complete(self, file_size: int) -> Any:
        return None  # the next handler keeps it


def is_too_large(request: HttpRequest) -> bool:
    """Whether a file of ``request`` was not taken. Its form has been read by then."""
    return _REFUSED in request.META

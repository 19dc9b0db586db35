"""For processes under libfaketime: its clock_nanosleep can't serve ``time.sleep``, select can."""

import select
import time
from typing import Any


def _sleep(seconds: Any) -> None:
    select.select([], [], [], seconds)


time.sleep = _sleep

"""Where the processes of one machine put what they count, so that whichever is asked tells of all.

Before anything imports prometheus_client, which decides by the variable how it counts.
"""

import os
import sys
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
SERVERS = frozenset({"gunicorn", "celery"})


def share_figures() -> None:
    """For web and worker processes: the folder that the deployment names, or one of this user's.

    Files of processes that ended stay while another one lives, or counters would run backwards.
    """
    if _program() not in SERVERS:
        return
    if named := os.environ.get(FOLDER_VARIABLE):
        with suppress(OSError):
            _begin_anew(Path(named))
        return
    place = sha256(str(Path(__file__).parent).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"tcmpay-metrics-{os.getuid()}-{place}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()
        if folder.is_symlink() or about.st_uid != os.getuid() or about.st_mode & 0o077:
            return  # somebody else's: each process counts for itself
        _begin_anew(folder)
        os.environ[FOLDER_VARIABLE] = str(folder)


def _program() -> str:
    path = Path(sys.argv[0] if sys.argv else "")
    return path.parent.name if path.name == "__main__.py" else path.name


def _begin_anew(folder: Path) -> None:
    """Empty ``folder`` of what ended processes counted, once none of them is left."""
    files = list(folder.glob("*.db"))
    if any(_is_running(file.stem.rpartition("_")[2]) for file in files):
        return
    for file in files:
        file.unlink(missing_ok=True)


def _is_running(number: str) -> bool:
    if not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True

"""What the backup script refuses before it reads or writes anything."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.programs import ROOT

SCRIPT = ROOT / "deploy" / "backup" / "backup.sh"


@pytest.fixture
def run(tmp_path: Path):
    (tmp_path / "dumps").mkdir()
    # Tools that only have to be there: nothing is run before the refusal.
    (tmp_path / "bin").mkdir()
    for name in ("age", "zstd", "mariadb-dump"):
        (tmp_path / "bin" / name).symlink_to("/bin/false")
    (tmp_path / "recipients").write_text("age1none")
    (tmp_path / "conf").write_text(
        f"BACKUP_DIR={tmp_path}/dumps\nBACKUP_RECIPIENTS={tmp_path}/recipients\n"
    )

    def script(*arguments: str, **changes: str) -> str:
        done = subprocess.run(
            [str(SCRIPT), *arguments],
            env={
                "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
                "TCMPAY_BACKUP_CONF": str(tmp_path / "conf"),
                **changes,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1, done.stderr
        return done.stderr

    return script


@pytest.mark.parametrize("name", ["CONFIG_ENCRYPTION_KEYS", "AUDIT_CHAIN_KEYS"])
def test_keys_are_kept_apart_from_dumps(run, tmp_path: Path, name: str):
    assert "kept apart" in run("dump", **{name: "x"})
    assert "keep keys apart" in run("dump", **{f"{name}_FILE": str(tmp_path / "dumps" / "key")})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes", "AUDIT_CHAIN_KEYS=x"),
        ("notes", "AGE-SECRET-KEY-1AAAA"),
        (".env", ""),
        ("tcmpay.CONFIG_ENCRYPTION_KEYS", ""),
    ],
)
def test_keys_beside_the_dumps_are_noticed(run, tmp_path: Path, name: str, content: str):
    (tmp_path / "dumps" / name).write_text(content)
    assert "keys lie beside the dumps" in run("dump")


def test_what_opens_the_dumps_does_not_lie_beside_them(run, tmp_path: Path):
    identity = tmp_path / "dumps" / "identity"
    identity.write_text("x")
    assert "keep it apart" in run("drill", "--identity", str(identity))
    assert "--identity FILE" in run("restore", "latest")


def test_a_moment_is_one_in_utc(run):
    assert "is a moment in UTC" in run("restore", "latest", "--until", "yesterday")

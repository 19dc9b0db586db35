"""What the backup script refuses, and what it keeps of a dump."""

import hashlib
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
        f"BACKUP_STAMP_FILE={tmp_path}/stamp.json\n"
    )

    def script(*arguments: str, code: int = 1, **changes: str) -> str:
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
        assert done.returncode == code, done.stderr
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


WHOLE = "-- data\n-- Dump completed on 2026-12-01  1:00:00\n"


@pytest.mark.parametrize(
    ("text", "code", "because"),
    [
        pytest.param("-- data\n", 3, "broke off", id="fails"),
        pytest.param(WHOLE, 3, "broke off", id="fails-after-its-end"),
        pytest.param("-- data\n", 0, "has no end", id="has-no-end"),
    ],
)
def test_a_dump_that_breaks_off_leaves_nothing(
    run, tmp_path: Path, text: str, code: int, because: str
):
    fake_tools(tmp_path / "bin", text, code)
    assert because in run("dump")
    assert list((tmp_path / "dumps").iterdir()) == []


def test_a_whole_dump_is_kept_with_its_facts(run, tmp_path: Path):
    fake_tools(tmp_path / "bin", WHOLE, 0)
    run("dump", code=0)
    [dump] = (tmp_path / "dumps").glob("*.sql.zst.age")
    assert dump.read_text() == WHOLE
    assert dump.with_name(dump.name.removesuffix(".sql.zst.age") + ".facts").exists()


def test_a_dump_without_facts_is_none(run, tmp_path: Path):
    (tmp_path / "dumps" / "tcm-20261201T010000Z.sql.zst.age").write_text("x")
    (tmp_path / "identity").write_text("x")
    assert "there is no dump" in run("drill", "--identity", str(tmp_path / "identity"))


@pytest.mark.parametrize(
    ("until", "because"),
    [
        ("2026-12-01 00:59:59", "before the dump's own moment"),
        ("2026-12-01 03:00:01", "beyond the kept logs"),
    ],
)
def test_a_moment_that_the_backups_do_not_hold_is_refused(
    run, tmp_path: Path, until: str, because: str
):
    name = "tcm-20261201T010000Z"
    dump = tmp_path / "dumps" / f"{name}.sql.zst.age"
    dump.write_text("x")
    digest = hashlib.sha256(b"x").hexdigest()
    dump.with_name(f"{dump.name}.sha256").write_text(f"{digest}  {dump.name}\n")
    (tmp_path / "dumps" / f"{name}.facts").write_text(
        "started=2026-12-01T01:00:00+00:00\nlog_folder=7\nlog_file=bin.000001\n"
    )
    (tmp_path / "dumps" / "logs" / "7").mkdir(parents=True)
    (tmp_path / "dumps" / "logs" / "7" / "covers").write_text("2026-12-01T03:00:00+00:00\n")
    (tmp_path / "identity").write_text("x")
    fake_tools(tmp_path / "bin", WHOLE, 0)
    to = ("--identity", str(tmp_path / "identity"), "--client", "none", "--database", "copy")
    assert because in run("restore", "latest", *to, "--until", until)


def fake_tools(folder: Path, text: str, code: int) -> None:
    """A mariadb-dump that writes ``text`` and ends with ``code``; nothing is packed or sealed."""
    scripts = {
        "mariadb": "case $* in *UTC_TIMESTAMP*) echo 2026-12-01T01:00:00+00:00;; *) echo 0;; esac",
        "mariadb-dump": f"printf '%s' '{text}'; exit {code}",
        "zstd": "cat",
        "age": 'while [ "$1" != --output ]; do shift; done; cat >"$2"',
    }
    for name, script in scripts.items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

"""The units of deploy/systemd: what systemd itself says about them, and what it can't know."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.conf import settings

from tcmpay.settings import env

ROOT = Path(settings.BASE_DIR)
UNITS = ROOT / "deploy/systemd"
COMMON = UNITS / "tcmpay-.service.d/tcmpay.conf"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
EXPOSURE_MAX = 3.0
SYSTEMD_FROM = 252
# What the reader was asked for as a secret while the settings were read.
SECRETS = frozenset(env.secret_names)


def systemd_version() -> int:
    if not shutil.which("systemd-analyze"):
        return 0
    told = subprocess.run(
        ["systemd-analyze", "--version"], capture_output=True, text=True, check=False
    ).stdout
    found = re.match(r"systemd (\d+)", told)
    return int(found[1]) if found else 0


with_systemd = pytest.mark.skipif(
    systemd_version() < SYSTEMD_FROM, reason=f"systemd {SYSTEMD_FROM} is not here"
)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units with programs that are there: who only reads them has no release laid down."""
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder)
    for path in folder.glob("*.service"):
        text = path.read_text(encoding="utf-8")
        path.write_text(re.sub(r"/srv/tcmpay/\S+/bin/\w+", "/bin/true", text))
    return folder


def analysed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        env={"SYSTEMD_UNIT_PATH": f"{folder}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@with_systemd
def test_systemd_finds_nothing_wrong(installed: Path):
    units = [str(path) for path in installed.iterdir() if path.is_file()]
    told = analysed(installed, "verify", "--man=no", *units)
    ours = [line for line in told.stderr.splitlines() if "tcmpay" in line]
    assert (ours, told.returncode) == ([], 0)


@with_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_can_do_little_more_than_its_work(installed: Path, name: str):
    unit = str(installed / name.replace("@.", "@1."))
    if "@" in name:
        shutil.copy(installed / name, unit)
    told = analysed(installed, "security", "--offline=true", unit)
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", told.stdout)
    assert exposure, told.stderr
    assert float(exposure[1]) <= EXPOSURE_MAX


def test_every_secret_of_the_settings_is_handed_over_as_a_credential():
    loaded = re.findall(r"^LoadCredential=(\w+):tcmpay\.(\w+)$", COMMON.read_text(), re.MULTILINE)
    assert {name for name, _source in loaded} == SECRETS
    assert all(name == source for name, source in loaded)


def test_what_the_product_writes_lies_in_folders_that_it_may_write():
    common = COMMON.read_text()
    may_write = re.findall(r"(\S+)", re.search(r"^StateDirectory=(.+)$", common, re.MULTILINE)[1])
    written = re.findall(r"(?:EXPORT_DIR|AUDIT_ROOT_FILE)=(/\S+)", common)
    beat = (UNITS / "tcmpay-beat.service").read_text()
    written += re.findall(r"--schedule (\S+)", beat)
    assert len(written) == 3
    for path in written:
        assert any(f"{path}/".startswith(f"/var/lib/{folder}/") for folder in may_write), path
    assert "ProtectSystem=strict" in common


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_one_that_the_common_part_applies_to(name: str):
    """By its name's beginning: User, secrets and limits stand there alone."""
    assert name.startswith("tcmpay-")
    assert not re.search(r"^(?:User|LoadCredential|ProtectSystem)=", (UNITS / name).read_text())


def test_both_web_services_share_one_socket_and_tell_when_they_serve():
    web = (UNITS / "tcmpay-web@.service").read_text()
    for line in ("Type=notify", "Sockets=tcmpay-web.socket", "ExecReload=/bin/kill -HUP $MAINPID"):
        assert line in web.splitlines()
    assert "--preload" in web, "READY=1 means: the product is loaded"
    assert "--bind" not in web, "the socket is systemd's: it outlives every restart"

"""What lies on this machine: static files, folders, and files that hold secrets."""

import json
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from backoffice.ops.doctor.findings import error, fine, warning
from gateways.findings import Finding

FREE_SHARE_WARNING = 0.1


@dataclass(frozen=True, slots=True)
class Static:
    """Names of our own static files that are not collected, or not as they are now."""

    is_served_from_folder: bool
    is_collected: bool
    stale: Sequence[str] = ()


def static_seen() -> Static:
    root = Path(settings.STATIC_ROOT)
    manifest = root / "staticfiles.json"
    try:
        names = json.loads(manifest.read_text(encoding="utf-8"))["paths"]
    except (OSError, ValueError, KeyError):
        return Static(not settings.DEBUG, False)
    stale = [
        str(file.relative_to(folder))
        for folder in settings.STATICFILES_DIRS
        for file in sorted(Path(folder).rglob("*"))
        if file.is_file() and not _is_same(file, root, str(file.relative_to(folder)), names)
    ]
    return Static(not settings.DEBUG, True, stale)


def _is_same(file: Path, root: Path, name: str, names: dict[str, str]) -> bool:
    try:
        return name in names and (root / name).read_bytes() == file.read_bytes()
    except OSError:
        return False


def static_files(seen: Static) -> Iterator[Finding]:
    fix = _("运行 manage.py collectstatic --noinput，然后重启 Web")
    if not seen.is_served_from_folder:
        yield fine("staticfiles", _("开发模式下直接读取"))
    elif not seen.is_collected:
        yield error("staticfiles", _("静态文件没有收集，页面打不开"), fix)
    elif seen.stale:
        text = _("%(count)d 个静态文件不是这个版本的，如 %(first)s")
        facts = {"count": len(seen.stale), "first": seen.stale[0]}
        yield error("staticfiles", text % facts, fix)
    else:
        yield fine("staticfiles", _("已收集"))


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that we write, or a file that we read, as this process sees it."""

    key: str
    path: str
    exists: bool
    is_reachable: bool = True
    mode: int = 0o700
    free_share: float = 1.0


def folder_seen(key: str, path: str) -> Place:
    """One that is made when it is first needed is seen as the folder that it will be made in."""
    nearest = next(one for one in (Path(path), *Path(path).parents) if one.is_dir())
    seen = _seen(key, str(nearest), os.W_OK | os.X_OK)
    if str(nearest) != path and seen.is_reachable:
        return Place(key, path, exists=True, free_share=seen.free_share)
    return seen if str(nearest) == path else Place(key, path, exists=False)


def _seen(key: str, path: str, wanted: int) -> Place:
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        space = os.statvfs(path)
    except OSError:
        return Place(key, path, exists=False)
    share = space.f_bavail / space.f_blocks if space.f_blocks else 1.0
    return Place(key, path, True, os.access(path, wanted), mode, share)


def folders_seen() -> list[Place]:
    """The folders that our processes write."""
    places = [folder_seen("EXPORT_DIR", settings.EXPORT_DIR)]
    if settings.AUDIT_ROOT_FILE:
        places.append(folder_seen("AUDIT_ROOT_FILE", str(Path(settings.AUDIT_ROOT_FILE).parent)))
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        places.append(folder_seen("PROMETHEUS_MULTIPROC_DIR", folder))
    return places


def folder(place: Place) -> Iterator[Finding]:
    facts = {"path": place.path, "mode": f"{place.mode:04o}"}
    if not place.exists:
        fix = _("建好这个文件夹，属主是运行 tcmpay 的用户，权限 0700")
        yield error(place.key, _("%(path)s 不存在") % facts, fix)
        return
    if not place.is_reachable:
        fix = _("chown 给运行 tcmpay 的用户；systemd 单元里把它写进 ReadWritePaths")
        yield error(place.key, _("%(path)s 不能写") % facts, fix)
    if place.mode & 0o007:
        text = _("%(path)s 其他人也能进（权限 %(mode)s）") % facts
        yield error(place.key, text, _("chmod 0700：里面有患者的订单和付款"))
    if place.free_share < FREE_SHARE_WARNING:
        text = _("%(path)s 所在的磁盘只剩 %(percent)d%%")
        filled = text % {**facts, "percent": place.free_share * 100}
        yield warning(place.key, filled, _("腾出空间：磁盘满了日志和导出都写不了"))
    if place.is_reachable and not place.mode & 0o007:
        yield fine(place.key, _("%(path)s 可写（权限 %(mode)s）") % facts)


def secret_files_seen() -> list[Place]:
    """The files that our environment was read from."""
    return [_seen(Path(path).name, path, os.R_OK) for path in settings.ENVIRONMENT_FILES]


def secret_file(place: Place) -> Iterator[Finding]:
    facts = {"path": place.path, "mode": f"{place.mode:04o}"}
    if place.exists and place.mode & 0o007:
        text = _("%(path)s 里有密钥，其他人也能读（权限 %(mode)s）") % facts
        yield error(place.key, text, _("chmod o= 这个文件，并更换其中的密钥"))
    elif place.exists and place.mode & 0o020:
        text = _("%(path)s 里有密钥，同组的人能改（权限 %(mode)s）") % facts
        yield warning(place.key, text, _("chmod g-w 这个文件"))
    else:
        yield fine(place.key, _("%(path)s 只有该读的人能读") % facts)

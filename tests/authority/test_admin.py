"""Who of the staff may open and do what: admin.txt, asked with real requests.

The standard pages of each model follow from its rights; every other page has lines of its own.
"""

import copy
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.utils import quote
from django.db import transaction
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from backoffice.site.admin_site import staff_site
from tcmpay.accounts.models import StaffUser
from tcmpay.accounts.roles import ROLES
from tests.api.kit import Api
from tests.api.story import Story
from tests.authority.bodies import FORMS
from tests.authority.staff import (
    ANONYMOUS,
    DIFFERENCE,
    NEWCOMER,
    NOWHERE,
    OUTSIDER,
    PASSWORD,
    PEOPLE,
    SUPERUSER,
    Desk,
    browser_of,
    person_make,
)
from tests.authority.tables import STAFF, Page, admin_table
from tests.writes import writes_seen

TABLE = admin_table()
STRANGERS = {ANONYMOUS, OUTSIDER}
SIGN_IN = "/admin/login/"
# Everybody's: the way in and the way out, and what is no page at all.
OPEN_TO_ALL = {"login", "logout"}
# The standard pages, by the ends of their addresses: (right, is about an object, status).
STANDARD = {
    "": ("see", False, 200),
    "add/": ("add", False, 200),
    "<path:object_id>/history/": ("see", True, 200),
    "<path:object_id>/delete/": ("delete", True, 200),
    "<path:object_id>/change/": ("see", True, 200),
    # Only shows the way to the one before, whoever asks.
    "<path:object_id>/": (STAFF, True, 302),
}
HOW = """
Add lines to tests/authority/admin.txt (its head explains them), for example:
"""


class Crowd:
    """One of each kind of person, signed in."""

    def __init__(self) -> None:
        self.people = {kind: person_make(kind) for kind in PEOPLE}
        self.browsers = {kind: browser_of(person) for kind, person in self.people.items()}

    def again(self) -> "Crowd":
        """The same, whatever became of their browsers and of what is in hand meanwhile."""
        crowd = copy.copy(self)
        crowd.people = copy.deepcopy(self.people)
        crowd.browsers = {kind: browser_of(None) for kind in self.browsers}
        for kind, browser in crowd.browsers.items():
            browser.cookies = copy.deepcopy(self.browsers[kind].cookies)
        return crowd


@pytest.fixture(scope="module")
def _crowd(lasting) -> Crowd:
    return Crowd()


@pytest.fixture
def crowd(_crowd, db) -> Crowd:
    return _crowd.again()


@pytest.fixture(scope="module")
def desk(lasting) -> Desk:
    desk = Desk(Story(Api()))
    desk.everything()
    return desk


class Findings(list[str]):
    def expect(self, is_true: object, text: str) -> None:
        if not is_true:
            self.append(text)

    def none(self) -> None:
        assert not self, "\n".join(self)


def is_shown_the_door(answer: Any) -> bool:
    return answer.status_code == 302 and SIGN_IN in answer.headers["Location"]


def ask(
    browser: Client, method: str, address: str, form: dict[str, Any] | None = None
) -> tuple[Any, set[str]]:
    """The answer and the tables written to; what was written is taken back."""
    before = transaction.savepoint()
    try:
        with writes_seen() as written:
            answer = browser.get(address) if method == "GET" else browser.post(address, form or {})
    finally:
        transaction.savepoint_rollback(before)
    return answer, written


def check(findings: Findings, kind: str, may: bool, what: str, answer: Any, status: int) -> None:
    if kind in STRANGERS:
        findings.expect(is_shown_the_door(answer), f"{what}: {kind} got {answer.status_code}")
    elif may:
        is_right = answer.status_code == status and not is_shown_the_door(answer)
        findings.expect(is_right, f"{what}: {kind} got {answer.status_code}, not {status}")
    else:
        is_refused = answer.status_code in (403, 404)
        findings.expect(is_refused, f"{what}: {kind} got {answer.status_code}")


# --- the standard pages of each model ---------------------------------------------------------


def label(model: Any) -> str:
    return f"{model._meta.app_label}.{model._meta.model_name}"


MODELS = {label(model): model_admin for model, model_admin in staff_site._registry.items()}


@pytest.mark.parametrize("model", sorted(set(MODELS) & set(TABLE.models)))
def test_a_models_pages_open_for_whom_the_table_says(crowd, desk, model):
    findings = Findings()
    options = MODELS[model].opts
    key = desk.of_model(MODELS[model].model)
    root = f"/admin/{options.app_label}/{options.model_name}/"
    for end, (right, is_of_one, status) in STANDARD.items():
        address = root + end.replace("<path:object_id>", quote(str(key)))
        for kind in PEOPLE:
            may = kind not in STRANGERS if right == STAFF else kind in TABLE.may(model, right)
            answer, written = ask(crowd.browsers[kind], "GET", address)
            # An empty table has no page to show: the way back to the start.
            is_missing = is_of_one and key == NOWHERE
            leads_on = is_missing or (is_of_one and model in TABLE.moved)
            is_told_nothing = is_missing and not may and answer.status_code == 302
            if not is_told_nothing or kind in STRANGERS:
                wanted = 302 if leads_on and may else status
                check(findings, kind, may, f"GET {address}", answer, wanted)
            findings.expect(not written, f"GET {address}: {kind} wrote to {sorted(written)}")
    findings.none()


@pytest.mark.parametrize("model", sorted(set(MODELS) & set(TABLE.models)))
def test_empty_and_forged_forms_save_nothing_at_a_models_pages(crowd, desk, model):
    """Whoever may gets the form back; all others are refused; nobody writes."""
    findings = Findings()
    options = MODELS[model].opts
    key = desk.of_model(MODELS[model].model)
    root = f"/admin/{options.app_label}/{options.model_name}/"
    one = root + quote(str(key))
    for address, right in (
        (f"{root}add/", "add"),
        (f"{one}/change/", "change"),
        (f"{one}/delete/", "delete"),
        (root, "see"),
    ):
        form = {"post": "yes", "action": "delete_selected", "_selected_action": str(key)}
        for kind in PEOPLE:
            may = kind in TABLE.may(model, right)
            answer, written = ask(crowd.browsers[kind], "POST", address, form)
            what = f"POST {address}"
            if not may or kind in STRANGERS:
                check(findings, kind, may, what, answer, 200)
            findings.expect(answer.status_code < 500, f"{what}: {kind} got {answer.status_code}")
            findings.expect(not written, f"{what}: {kind} wrote to {sorted(written)}")
    findings.none()


def test_a_lists_actions_run_for_whom_the_table_says(crowd, desk):
    findings = Findings()
    for model, model_admin in MODELS.items():
        root = f"/admin/{model.replace('.', '/')}/"
        key = desk.of_model(model_admin.model)
        for action in TABLE.actions(model):
            form = {"action": action, "_selected_action": str(key), "select_across": "0"}
            for kind in PEOPLE:
                answer, written = ask(crowd.browsers[kind], "POST", root, form)
                check_action(findings, kind, model, action, answer, written)
    findings.none()


def check_action(
    findings: Findings, kind: str, model: str, action: str, answer: Any, written: set[str]
) -> None:
    what = f"{model} {action}"
    if kind in TABLE.may(model, f"action:{action}"):
        findings.expect(answer.status_code < 400, f"{what}: {kind} got {answer.status_code}")
    elif kind in STRANGERS or kind not in TABLE.may(model, "see"):
        check(findings, kind, False, what, answer, 403)
    else:
        # Django sends them back to the list: for them there is no such action.
        has_run = written or answer.headers.get("Content-Disposition")
        findings.expect(not has_run, f"{what}: {kind} could run it")


# --- pages of their own -----------------------------------------------------------------------


@pytest.mark.parametrize("page", TABLE.pages, ids=str)
def test_a_page_opens_for_whom_the_table_says(crowd, desk, page: Page):
    findings = Findings()
    for kind in PEOPLE:
        person, browser = crowd.people[kind], crowd.browsers[kind]
        may = kind in page.who or (STAFF in page.who and kind not in STRANGERS)
        before = transaction.savepoint()
        address = address_of(page, desk, person)
        form = None
        if page.method == "POST":
            form = filled(FORMS[page.body], person)
        answer, written = ask(browser, page.method, address, form)
        transaction.savepoint_rollback(before)
        what = f"{page.where} ({page})"
        check(findings, kind, may, what, answer, page.status)
        is_let_in = may and kind not in STRANGERS
        if page.writes and is_let_in:
            findings.expect(written, f"{what}: {kind} was let in, but nothing was written")
        else:
            findings.expect(not written, f"{what}: {kind} wrote to {sorted(written)}")
    findings.none()


def filled(form: dict[str, str], person: StaffUser | None) -> dict[str, str]:
    """A form with its writer's own words in it."""
    words = {
        "{password}": PASSWORD,
        "{self}": str(person.pk) if person else NOWHERE,
        "{new}": str(uuid.uuid4()),
        "{difference}": DIFFERENCE,
        "{difference}=record": f"{DIFFERENCE}=record",
    }
    return {name: words.get(value, value) for name, value in form.items()}


def address_of(page: Page, desk: Desk, reader: StaffUser | None) -> str:
    """The page's address, about the object that its line names."""
    resolver, name = resolver_of(page.name)
    names = places(resolver, page.name)
    keys = desk.key(page.object, reader) if names else ()
    # One place for one key; an object that needs several says them all.
    arguments = list(keys) if isinstance(keys, tuple) else [keys] * len(names)
    return reverse(name, args=[str(argument) for argument in arguments])


def resolver_of(page: str) -> tuple[URLResolver, str]:
    """Where a page's name is known, and its whole name: the admin's own or one beside it."""
    root = get_resolver()
    admins = root.namespace_dict["admin"][1]
    if page in admins.reverse_dict:
        return admins, f"admin:{page}"
    return root, page


def places(resolver: URLResolver, page: str) -> list[str]:
    """The variable parts of a page's address."""
    possibilities = resolver.reverse_dict.getlist(page)
    assert possibilities, f"tests/authority/admin.txt: there is no page {page}"
    return list(possibilities[0][0][0][1])


# --- the table knows all ----------------------------------------------------------------------


def patterns(entries: list[Any], prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in entries:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from patterns(entry.url_patterns, route)
        else:
            yield route, entry


def model_of(route: str) -> tuple[str, str] | None:
    """The model and the end of an address below /admin/APP/MODEL/."""
    found = re.fullmatch(r"admin/(\w+)/(\w+)/(.*)", route)
    name = f"{found[1]}.{found[2]}" if found else ""
    return (name, found[3]) if found and name in MODELS else None


def test_every_page_has_a_line():
    known = {page.name for page in TABLE.pages} | OPEN_TO_ALL
    missing = []
    for route, entry in patterns(get_resolver().url_patterns):
        if not route.startswith("admin/") or route == "admin/(?P<url>.*)$":
            continue
        standard = model_of(route)
        if standard and standard[1] in STANDARD:
            if standard[0] not in TABLE.models:
                missing.append(f"model  {standard[0]}  see  readers")
        elif entry.name not in known:
            about = "OBJECT" if "<" in route else "-"
            missing.append(
                f"page  {entry.name}  GET  {about}  200  nothing  WHO…   # for /{route}\n"
                f"page  {entry.name}  POST=BODY  {about}  302  writes  WHO…   # if it takes forms"
            )
    assert not missing, HOW + "\n".join(dict.fromkeys(missing))
    unknown = set(TABLE.models) - set(MODELS)
    assert not unknown, f"tests/authority/admin.txt speaks of models without pages: {unknown}"


def test_a_page_without_a_form_line_takes_no_form(desk):
    posted = {page.name for page in TABLE.pages if page.method == "POST"}
    reader = person_make(SUPERUSER)
    browser = browser_of(reader)
    missing = []
    for page in TABLE.pages:
        if page.name in posted:
            continue
        _answer, written = ask(browser, "POST", address_of(page, desk, reader))
        if written:
            missing.append(f"page  {page.name}  POST=BODY  {page.object}  302  writes  WHO…")
    assert not missing, HOW + "\n".join(missing)


def test_every_action_of_a_list_has_a_line(rf: RequestFactory, db):
    request: Any = rf.get("/admin/")
    request.user = person_make(SUPERUSER)
    missing = [
        f"model  {name}  action:{action}  WHO…"
        for name, model_admin in MODELS.items()
        for action in model_admin.get_actions(request)
        if action not in TABLE.actions(name)
    ]
    assert not missing, HOW + "\n".join(missing)


def test_every_role_has_a_place_in_the_table():
    unplaced = set(ROLES) - TABLE.named_roles()
    assert not unplaced, (
        f"{sorted(unplaced)}: add them to the groups and lines of tests/authority/admin.txt "
        "where they may"
    )
    known = {*PEOPLE, STAFF}
    strange = TABLE.named_roles() - known
    assert not strange, f"tests/authority/admin.txt names {strange}; there are {sorted(known)}"


def test_every_model_with_a_page_is_ours():
    """What a library registers by itself would be a page that nobody thought about."""
    ours = {config.label for config in apps.get_app_configs() if "site-packages" not in config.path}
    foreign = {name for name in MODELS if name.partition(".")[0] not in ours}
    assert foreign <= {"auth.group"}, foreign


# --- what a table can't say -------------------------------------------------------------------


def test_no_form_is_taken_without_its_token(desk):
    """A page of another site can't make a signed-in browser post: every address refuses."""
    browser = browser_of(person_make(SUPERUSER), enforce_csrf_checks=True)
    findings = Findings()
    for route, _entry in patterns(get_resolver().url_patterns):
        if not route.startswith("admin/") or route.startswith("admin/^"):
            continue
        address = "/" + re.sub(r"<[^>]+>", NOWHERE, route).replace("(?P<url>.*)$", "x")
        answer, written = ask(browser, "POST", address, {"post": "yes"})
        findings.expect(answer.status_code in (403, 405), f"{address}: {answer.status_code}")
        findings.expect(not written, f"{address} wrote to {sorted(written)}")
    findings.none()


def test_an_administrator_makes_nobody_a_superuser(crowd):
    administrator = crowd.browsers["administrator"]
    person = person_make(NEWCOMER)
    address = reverse("admin:accounts_staffuser_change", args=[person.pk])
    assert administrator.post(address, FORMS["promote"]).status_code == 302
    person.refresh_from_db()
    assert person.last_name == "李", "the form was taken"
    assert not person.is_superuser


def test_nobody_gives_themself_another_role_or_locks_themself_out(crowd):
    person = crowd.people["administrator"]
    address = reverse("admin:accounts_staffuser_change", args=[person.pk])
    before = set(person.groups.values_list("name", flat=True))
    crowd.browsers["administrator"].post(address, {"username": person.username, "groups": []})
    person.refresh_from_db()
    assert set(person.groups.values_list("name", flat=True)) == before
    assert person.is_staff
    assert person.is_active


def test_an_account_that_is_switched_off_is_out_at_once(crowd, desk):
    person = crowd.people["finance"]
    browser = crowd.browsers["finance"]
    assert browser.get("/admin/payments/paymentorder/").status_code == 200
    StaffUser.objects.filter(pk=person.pk).update(is_active=False)
    assert is_shown_the_door(browser.get("/admin/payments/paymentorder/"))


def test_the_start_page_sends_strangers_to_the_sign_in_page_of_ours_only(db):
    browser = browser_of(person_make("finance"))
    for elsewhere in ("https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)"):
        answer = browser.get("/admin/login/", {"next": elsewhere})
        assert answer.status_code in (200, 302)
        assert "evil" not in answer.headers.get("Location", "")
        assert "javascript" not in answer.headers.get("Location", "")

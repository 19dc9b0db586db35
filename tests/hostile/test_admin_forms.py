"""The corpus against every form of the staff pages, and hostile text on every page that shows it.

The forms are those of the authority table's POST lines. `make test` tries a few values in each
field, which the seed chooses; HOSTILE_REQUESTS of 10,000 and more tries all.
"""

import os
import random
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.admin.utils import quote
from django.db import DatabaseError, transaction

from backoffice.demo.data import PATIENT_LI
from backoffice.site.admin_site import staff_site
from tcmpay.accounts.models import StaffUser
from tcmpay.common.actor import Role
from tests.api.kit import someone
from tests.authority.bodies import FORMS
from tests.authority.conftest import desk  # noqa: F401
from tests.authority.staff import SUPERUSER, browser_of, person_make
from tests.authority.tables import Page, admin_table
from tests.authority.test_admin import address_of
from tests.hostile.corpus import corpus, values
from tests.writes import writes_seen

IS_LONG = int(os.environ.get("HOSTILE_REQUESTS", "0")) >= 10_000
TRIED = 4
TEXTS = [value for value in values() if isinstance(value, str)] + ["\x00", "\ud800", "a\x00b"]
FORM_PAGES = list(
    {(page.name, page.body): page for page in admin_table().pages if page.method == "POST"}.values()
)


def chosen() -> list[str]:
    return TEXTS if IS_LONG else random.sample(TEXTS, TRIED)


@pytest.mark.parametrize("page", FORM_PAGES, ids=str)
def test_a_hostile_value_in_a_form_is_refused_or_is_only_text(desk, page: Page):  # noqa: F811
    reader = person_make(SUPERUSER)
    browser = browser_of(reader)
    address = address_of(page, desk, reader)
    for name in FORMS[page.body]:
        for value in chosen():
            form = FORMS[page.body] | {name: value.encode("utf-8", "surrogatepass")}
            before = transaction.savepoint()
            with writes_seen() as written:
                answer = browser.post(address, form)
            transaction.savepoint_rollback(before)
            what = f"{page} {name}={value[:60]!r}: {answer.status_code}"
            assert answer.status_code in (200, 302, 400, 403), what
            # A secret is shown by the answer itself, as the table says.
            is_done = answer.status_code == 302 or (page.writes and page.status == 200)
            if not is_done:
                assert not written, f"{what} wrote to {written}"


@pytest.fixture
def full_of_text(desk, story) -> Any:  # noqa: F811
    """The first of the texts wherever somebody can put text, and where only SQL can."""
    text = "".join(corpus("texts")["texts"])
    owner = someone(Role.PATIENT, PATIENT_LI)
    story.fund(owner, "90.00")
    order = story.paid_from_balance(owner, description=text, metadata={text: text})
    refund = story.refund(order, owner, "1.00", reason=text)
    story.review(refund, someone(Role.ADMIN), approved=False, notes=text)
    person = person_make("finance")
    StaffUser.objects.filter(pk=person.pk).update(
        username=text[:100], first_name=text[:100], last_name=text[:100]
    )
    for model in staff_site._registry:
        fill(model, text)
    return text


def fill(model: Any, text: str) -> None:
    """``text`` in each free text column of one row of ``model``."""
    row = model._default_manager.order_by("-pk").first()
    if row is None or model._meta.app_label in {"auth", "accounts"}:
        return
    for field in model._meta.concrete_fields:
        is_text = field.get_internal_type() in {"CharField", "TextField"}
        if not is_text or field.choices or field.unique or field.primary_key:
            continue
        # A constraint of the database may keep such text out of a column.
        with suppress(DatabaseError), transaction.atomic():
            value = text[: field.max_length or None]
            model._default_manager.filter(pk=row.pk).update(**{field.name: value})


def test_hostile_text_is_escaped_on_every_page(full_of_text):
    browser = browser_of(person_make(SUPERUSER))
    shown = 0
    for model in staff_site._registry:
        root = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        keys = list(model._default_manager.order_by("-pk").values_list("pk", flat=True)[:3])
        ends = ["", "?q=" + "%3Cscript%3Ealert(%27tcm%27)%3C%2Fscript%3E"]
        for key in keys:
            ends += [f"{quote(str(key))}/change/", f"{quote(str(key))}/history/"]
        for end in ends:
            answer = browser.get(root + end, follow=True)
            assert answer.status_code == 200, (root + end, answer.status_code)
            page = answer.content.decode()
            for markup in corpus("texts")["never_on_a_page"]:
                assert markup not in page, f"{root + end} shows {markup} as it is"
            shown += "alert(&#x27;tcm&#x27;)" in page
    assert shown > 10, "the text has to be somewhere, or nothing was tried"


def test_a_page_says_no_text_of_its_address_unescaped(db):
    browser = browser_of(person_make(SUPERUSER))
    for text in corpus("texts")["texts"]:
        for address in ("/admin/nothing/", "/admin/search/", "/admin/login/", "/admin/"):
            answer = browser.get(address, {"q": text, "s": text, "next": text, "e": text})
            assert answer.status_code in (200, 302, 404)
            for markup in corpus("texts")["never_on_a_page"]:
                assert markup not in answer.content.decode()

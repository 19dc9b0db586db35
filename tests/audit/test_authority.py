"""Who may do what, how gateways are spoken to and what things cost: changed by SQL, it shows."""

import copy
import json
import uuid
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from io import StringIO

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import CommandError, call_command
from django.db.transaction import atomic

from backoffice.ops.audit import check_configuration
from config.gateways.services import gateway_config_set
from config.models import (
    GatewayCertificate,
    PaymentConfig,
    PaymentConfigDraft,
    PaymentConfigVersion,
    PriceChangeRequest,
    PriceConfig,
)
from config.prices.plan import PriceChange
from config.prices.services import price_change
from tcmpay.accounts.invariants import check_rights_told
from tcmpay.accounts.models import RecoveryCode, StaffUser, TotpDevice
from tcmpay.accounts.rights import check_roles
from tcmpay.accounts.services.second_factor import recovery_codes_renew
from tcmpay.accounts.services.trail import staff_audit
from tcmpay.audit import marks
from tcmpay.audit.invariants import TRAIL
from tcmpay.audit.marks import check_marks, marks_begin
from tcmpay.audit.models import AuditEvent, TableMark
from tcmpay.audit.seals import chain_seal
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tcmpay.common.invariants import Scope, Violation
from tests.audit.books import audit, sql

pytestmark = pytest.mark.django_db

EDITOR = Actor(uuid.uuid4(), Role.STAFF, "钱价格")


def findings() -> list[Violation]:
    """What the checks of these tables say, without the others' time."""
    return [*check_marks(Scope()), *check_roles(Scope())]


@pytest.fixture(scope="module")
def _clinic(lasting):
    """An administrator and a reviewer, a configuration that was set twice, a price, a draft and a
    change of price that waits; all of it written by the product."""
    admin = StaffUser.objects.create_superuser("admin")
    reviewer = StaffUser.objects.create_user("reviewer", is_staff=True)
    reviewer.groups.set(Group.objects.filter(name="reviewer"))
    recovery_codes_renew(person=admin)
    device = TotpDevice(user=admin, name="app", confirmed=True)
    device.save()
    device.key_set(b"k" * 20)
    device.save()
    for value in ("1900000001", "1900000002"):
        gateway_config_set(actor=EDITOR, method="wechat", key="mch_id", value=value)
    change = PriceChange("massage", Decimal("80.00"), service_name="推拿")
    price_change(actor=EDITOR, change=change)
    draft = PaymentConfigDraft(payment_method="wechat", encrypted_values="{}", editors=["x"])
    draft.save()
    GatewayCertificate.objects.create(payment_method="alipay", serial="7", pem="-")
    PriceChangeRequest(
        service_type="massage",
        waiting_service="massage",
        wanted={"price": "90.00"},
        amount_before=Decimal("80.00"),
        amount_after=Decimal("90.00"),
        percent=Decimal("12.5"),
        reason="成本",
        requested_by=EDITOR.id,
        created_at=clock.now(),
    ).save()
    return reviewer


@pytest.fixture
def clinic(_clinic):
    return copy.deepcopy(_clinic)


def test_what_the_product_wrote_is_silent(clinic):
    assert [found for found in audit("--strict")[1] if found["kind"] != "notice"] == []


ROWS = {
    "payment_configs": lambda: PaymentConfig.objects.get(
        payment_method="wechat", config_key="mch_id"
    ),
    "payment_config_versions": lambda: PaymentConfigVersion.objects.latest("number"),
    "payment_config_drafts": PaymentConfigDraft.objects.get,
    "payment_gateway_certificates": GatewayCertificate.objects.get,
    "price_configs": lambda: PriceConfig.objects.get(service_type="massage"),
    "price_change_requests": PriceChangeRequest.objects.get,
    "staff_users": lambda: StaffUser.objects.get(username="reviewer"),
    "staff_totp_devices": TotpDevice.objects.get,
    "staff_recovery_codes": RecoveryCode.objects.first,
}
LATER = "'2027-01-01 00:00:00'"
SOMEBODY = "'0192f0c1-0000-7000-8000-000000000999'"
CHANGES = {
    "payment_configs": {
        "payment_method": "'alipay'",
        "config_key": "'made_up'",
        "config_value": "'wx-another'",
        "is_encrypted": "1 - is_encrypted",
        "description": "'x'",
        "created_at": LATER,
        "updated_at": LATER,
    },
    "payment_config_versions": {
        "payment_method": "'alipay'",
        "number": "number + 1",
        "encrypted_values": "'{}'",
        "digest": "'x'",
        "activated_at": LATER,
        "retired_at": LATER,
        "created_by": SOMEBODY,
        "reason": "'x'",
        "restored_from": "1",
        "revoked_at": LATER,
        "revoked_by": SOMEBODY,
        "revocation_reason": "'x'",
        "revocation_asked_at": LATER,
        "revocation_asked_by": SOMEBODY,
    },
    "payment_config_drafts": {
        "payment_method": "'alipay'",
        "encrypted_values": """'{"app_id": ""}'""",
        "revision": "revision + 1",
        "editors": "'[]'",
        "updated_by": SOMEBODY,
        "created_at": LATER,
        "updated_at": LATER,
        "tested_as": "'x'",
        "tested_at": LATER,
        "tested_by": SOMEBODY,
        "is_test_passed": "1",
        "test_findings": "'[1]'",
    },
    "payment_gateway_certificates": {
        "payment_method": "'wechat'",
        "serial": "'x'",
        "pem": "'x'",
        "fetched_at": LATER,
    },
    "price_configs": {
        "service_type": "'other'",
        "service_name": "'别的'",
        "order_type": "'prescription'",
        "price": "0.01",
        "discount_price": "0.01",
        "is_active": "0",
        "effective_date": "'2020-01-01'",
        "expiry_date": "'2099-01-01'",
        "description": "'x'",
        "created_at": LATER,
        "updated_at": LATER,
    },
    "price_change_requests": {
        "service_type": "'other'",
        "wanted": """'{"price": "0.01"}'""",
        "amount_before": "1",
        "amount_after": "1",
        "percent": "1",
        "reason": "'x'",
        "status": "'confirmed'",
        "waiting_service": "NULL",
        "requested_by": SOMEBODY,
        "decided_by": SOMEBODY,
        "decision_notes": "'x'",
        "created_at": LATER,
        "decided_at": LATER,
    },
    "staff_users": {
        "username": "'somebody'",
        "first_name": "'x'",
        "last_name": "'x'",
        "email": "'x@example.cn'",
        "password": "'x'",
        "is_active": "0",
        "is_staff": "0",
        "is_superuser": "1",
        "date_joined": LATER,
        "session_epoch": "session_epoch + 1",
        "must_change_password": "1",
    },
    "staff_totp_devices": {
        "user_id": "(SELECT id FROM staff_users WHERE username = 'reviewer')",
        "name": "'x'",
        "confirmed": "0",
        "created_at": LATER,
        "sealed_key": "'x'",
    },
    "staff_recovery_codes": {
        "user_id": "(SELECT id FROM staff_users WHERE username = 'reviewer')",
        "code_hash": "'x'",
        "used_at": LATER,
        "created_at": LATER,
    },
}
COLUMNS = [(table, column) for table, columns in CHANGES.items() for column in columns]


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_each_column_that_is_changed_shows(clinic, table, column):
    row = ROWS[table]()
    sql(f"UPDATE {table} SET {column} = {CHANGES[table][column]} WHERE id = %s", row.pk)
    found = [f for f in findings() if (f.object_type, f.object_id) == (table, str(row.pk))]
    assert found, findings()
    assert "由 SQL 修改" in str(found[0].message)


def test_the_columns_named_here_are_all_there_are():
    for table, make in ROWS.items():
        model = {m._meta.db_table: m for m in MODELS}[table]
        told = {
            field.column
            for field in model._meta.concrete_fields
            if not (field.generated or field.primary_key or field.name in model.UNMARKED)
        }
        assert told == set(CHANGES[table]), (table, make)


MODELS = (
    *(
        GatewayCertificate,
        PaymentConfig,
        PaymentConfigVersion,
        PaymentConfigDraft,
        PriceConfig,
        PriceChangeRequest,
    ),
    *(StaffUser, TotpDevice, RecoveryCode),
)


@pytest.mark.parametrize("table", ROWS)
def test_a_row_that_is_deleted_shows(clinic, table):
    row = ROWS[table]()
    if table == "staff_users":
        sql("DELETE FROM staff_users_groups WHERE staffuser_id = %s", row.pk)
    sql(f"DELETE FROM {table} WHERE id = %s", row.pk)
    assert ("E9", table, str(row.pk)) in [(f.code, f.object_type, f.object_id) for f in findings()]


@pytest.mark.parametrize("table", ["staff_recovery_codes", "payment_config_versions"])
def test_a_row_that_is_doubled_shows(clinic, table):
    row = ROWS[table]()
    unique = {"staff_recovery_codes": "code_hash", "payment_config_versions": "number"}[table]
    columns = ["id", *CHANGES[table]]
    values = ["%s", *("'9'" if column == unique else column for column in CHANGES[table])]
    new = str(uuid.uuid4())
    sql(
        f"INSERT INTO {table} ({', '.join(columns)})"
        f" SELECT {', '.join(values)} FROM {table} WHERE id = %s",
        new,
        row.pk,
    )
    (found,) = [f for f in findings() if f.object_id == new]
    assert "由 SQL 新增" in str(found.message)


def test_a_role_that_is_given_by_sql_shows(clinic):
    administrator = Group.objects.get(name="administrator")
    sql("UPDATE staff_users_groups SET group_id = %s", administrator.pk)
    assert [f.object_type for f in findings()] == ["staff_users"]


def test_a_role_that_is_taken_by_sql_shows(clinic):
    sql("DELETE FROM staff_users_groups WHERE staffuser_id = %s", clinic.pk)
    assert [f.object_type for f in findings()] == ["staff_users"]


def test_a_permission_that_is_given_by_sql_to_a_person_shows(clinic):
    permission = Permission.objects.get(codename="review_refund")
    sql(
        "INSERT INTO staff_users_user_permissions (staffuser_id, permission_id) VALUES (%s, %s)",
        clinic.pk,
        permission.pk,
    )
    assert [f.object_type for f in findings()] == ["staff_users"]


def test_a_permission_that_is_given_by_sql_to_a_role_shows(clinic):
    permission = Permission.objects.get(codename="change_staffuser")
    reviewer = Group.objects.get(name="reviewer")
    sql(
        "INSERT INTO auth_group_permissions (group_id, permission_id) VALUES (%s, %s)",
        reviewer.pk,
        permission.pk,
    )
    (found,) = findings()
    assert (found.object_type, found.object_id) == ("role", "reviewer")
    assert "accounts.change_staffuser" in str(found.message)


def test_a_permission_that_is_renamed_by_sql_shows(clinic):
    sql("UPDATE auth_permission SET codename = %s WHERE codename = 'view_signin'", "x")
    assert {f.object_type for f in findings()} == {"role"}


def test_a_role_that_is_renamed_by_sql_shows(clinic):
    sql("UPDATE auth_group SET name = %s WHERE name = 'reviewer'", "auditor2")
    assert {f.object_type for f in findings()} == {"role", "staff_users"}


def test_a_group_made_by_hand_that_may_more_by_sql_shows(clinic):
    group = Group.objects.create(name="night")
    clinic.groups.add(group)
    group.permissions.add(Permission.objects.get(codename="view_paymentorder"))
    assert findings() == []
    permission = Permission.objects.get(codename="review_refund")
    sql(
        "INSERT INTO auth_group_permissions (group_id, permission_id) VALUES (%s, %s)",
        group.pk,
        permission.pk,
    )
    assert [f.object_type for f in findings()] == ["staff_users"]


BROKEN_MARKS = {
    "a row is told of no more": "UPDATE table_marks SET `rows` = '{}' WHERE %s = %s",
    "its rows are a list": "UPDATE table_marks SET `rows` = '[1]' WHERE %s = %s",
    "its rows are no digests": "UPDATE table_marks SET `rows` = '{\"x\": 1}' WHERE %s = %s",
    "its rows are no JSON": "UPDATE table_marks SET `rows` = '{' WHERE %s = %s",
    "its number was changed": "UPDATE table_marks SET number = number + 1 WHERE %s = %s",
    "its digest was changed": "UPDATE table_marks SET mac = 'x' WHERE %s = %s",
    "it is gone": "DELETE FROM table_marks WHERE %s = %s",
}


def test_a_broken_mark_of_staff_is_taken_over_by_name(clinic):
    sql("UPDATE table_marks SET number = 9 WHERE table_name = %s", "staff_users")
    write_through_the_product(clinic)
    adopt("staff_users/mark")
    assert findings() == []


@pytest.mark.parametrize("name", BROKEN_MARKS)
def test_a_mark_that_is_changed_shows(clinic, name):
    sql(BROKEN_MARKS[name], 1, 1)
    assert {f.object_type for f in findings()} == {"table_mark"}


def test_a_mark_that_is_gone_is_not_begun_again_unseen(clinic):
    with clock.frozen(clock.now() - timedelta(hours=3)):
        gateway_config_set(actor=EDITOR, method="wechat", key="mch_id", value="1900000003")
    chain_seal(TRAIL)
    sql("DELETE FROM table_marks WHERE table_name = %s", "staff_users")
    with clock.frozen(clock.now() + timedelta(minutes=1)):
        marks_begin()
    (found,) = findings()
    assert (found.object_id, found.is_notice) == ("staff_users", True)


def test_a_change_through_the_product_does_not_launder_one_by_sql(clinic):
    sql("UPDATE staff_users SET is_superuser = 1 WHERE id = %s", clinic.pk)
    person = StaffUser.objects.get(pk=clinic.pk)
    person.email = "new@example.cn"
    person.save()
    (found,) = findings()
    assert "尚无人确认" in str(found.message)


def test_nor_does_a_change_of_many_rows(clinic):
    sql("UPDATE staff_users SET is_superuser = 1 WHERE id = %s", clinic.pk)
    StaffUser.objects.filter(pk=clinic.pk).update(must_change_password=True)
    (found,) = findings()
    assert "尚无人确认" in str(found.message)


def test_a_colleague_who_writes_meanwhile_makes_no_row_look_changed(clinic, monkeypatch):
    """Between looking at the mark and at the row, another process commits both."""
    holds, waiting = marks._holds, ["x"]

    def meanwhile(*args):
        if waiting:
            waiting.pop()
            StaffUser.objects.filter(pk=clinic.pk).update(email="meanwhile@example.cn")
            return False
        return holds(*args)

    monkeypatch.setattr(marks, "_holds", meanwhile)
    StaffUser.objects.filter(pk=clinic.pk).update(first_name="明")
    assert findings() == []


def test_signing_in_changes_nothing_that_is_marked(clinic):
    StaffUser.objects.filter(pk=clinic.pk).update(last_login=clock.now() + timedelta(days=1))
    assert findings() == []


# --- what the documents allow by SQL --------------------------------------------------------


def test_a_price_that_was_changed_by_sql_waits_for_somebody_and_is_no_violation(clinic):
    sql("UPDATE price_configs SET price = 81 WHERE service_type = %s", "massage")
    code, found = audit()
    assert (code, {f["kind"] for f in found}) == (0, {"unfinished"})
    assert audit("--strict")[0] == 1


def test_somebody_takes_over_what_was_changed_by_sql(clinic):
    price = PriceConfig.objects.get(service_type="massage")
    sql("UPDATE price_configs SET price = 81 WHERE service_type = %s", "massage")
    output = StringIO()
    call_command("adopt_outside_changes", "--reason", "电话确认", stdout=output)
    assert str(price.pk) in output.getvalue()
    assert findings() == []
    event = AuditEvent.objects.get(action="outside_change_adopted")
    assert (event.reason, event.details) == ("电话确认", {"row": str(price.pk)})
    assert event.actor_name.startswith("os:")


def test_a_fraction_that_sql_puts_into_json_is_told_like_any_change(clinic):
    row = PriceChangeRequest.objects.get()
    sql("UPDATE price_change_requests SET wanted = %s", '{"price": 0.5}')
    assert str(row.pk) in [found.object_id for found in findings()]


# --- whoever knows the key, or has the mark made anew ---------------------------------------


def marked_anew(table: str) -> None:
    TableMark.objects.filter(pk=table).delete()
    marks_begin()


def by_trail() -> list[tuple[str, bool]]:
    found = [*check_rights_told(Scope()), *check_configuration(Scope())]
    return [(f.object_id, f.is_unfinished) for f in found if "审计记录最后所述" in str(f.message)]


def told_of(person: StaffUser, **changes) -> None:
    with atomic():
        details = {"changes": {name: {"to": value} for name, value in changes.items()}}
        staff_audit(person, "staff_changed", actor=EDITOR, details=details)


RIGHTS = {
    "is_superuser": "UPDATE staff_users SET is_superuser = 1 WHERE id = %s",
    "is_staff": "UPDATE staff_users SET is_staff = 0 WHERE id = %s",
    "is_active": "UPDATE staff_users SET is_active = 0 WHERE id = %s",
    "roles": "DELETE FROM staff_users_groups WHERE staffuser_id = %s",
}


@pytest.mark.parametrize("name", RIGHTS)
def test_rights_are_compared_with_the_trail_though_they_are_marked(clinic, name):
    told_of(clinic, is_superuser=True, is_active=False)
    told_of(clinic, is_superuser=False, is_staff=True, is_active=True, roles=["reviewer"])
    assert by_trail() == []
    sql(RIGHTS[name], clinic.pk)
    marked_anew("staff_users")
    assert by_trail() == [(str(clinic.pk), False)]
    adopt_marked("staff_users", clinic.pk)
    assert by_trail() == []


def adopt_marked(table: str, key: object) -> None:
    """What is taken over counts from then on."""
    sql("UPDATE staff_users SET email = 'y@example.cn' WHERE id = %s", key)
    adopt(f"{table}/{key}")


@pytest.mark.parametrize("change", ["price = 0.01", "discount_price = 1", "is_active = 0"])
def test_prices_are_compared_with_the_trail_though_they_are_marked(clinic, change):
    price = PriceConfig.objects.get(service_type="massage")
    assert by_trail() == []
    sql(f"UPDATE price_configs SET {change} WHERE id = %s", price.pk)
    marked_anew("price_configs")
    assert by_trail() == [(str(price.pk), True)]


def adopt(*rows: str) -> None:
    options = [text for row in rows for text in ("--row", row)]
    call_command("adopt_outside_changes", "--reason", "恢复备份", *options, stdout=StringIO())


def test_staff_that_was_changed_by_sql_is_taken_over_row_by_row(clinic):
    other = StaffUser.objects.get(username="admin")
    sql("UPDATE staff_users SET email = 'x@example.cn'")
    adopt(f"staff_users/{clinic.pk}")
    assert [found.object_id for found in findings()] == [str(other.pk)]
    adopt(f"staff_users/{other.pk}")
    assert findings() == []
    events = AuditEvent.objects.filter(action="outside_change_adopted", object_id="staff_users")
    assert [event.details["row"] for event in events.order_by("version")] == [
        str(clinic.pk),
        str(other.pk),
    ]


def test_a_row_in_order_is_not_taken_over(clinic):
    with pytest.raises(CommandError, match="staff_users"):
        adopt(f"staff_users/{clinic.pk}")


def test_staff_that_was_changed_by_sql_is_not_taken_over_unnamed(clinic):
    sql("UPDATE staff_users SET is_superuser = 1 WHERE id = %s", clinic.pk)
    call_command("adopt_outside_changes", "--reason", "x", stdout=StringIO())
    assert [f.is_unfinished for f in findings()] == [False]


# --- what somebody may try who writes by SQL, and what the product then writes itself ----------


def unkeyed(table: str) -> None:
    """Make a mark's digest as anybody can who has no key."""
    mark = TableMark.objects.get(pk=table)
    content = json.dumps([mark.table_name, mark.number, mark.rows], sort_keys=True).encode()
    sql("UPDATE table_marks SET mac = %s WHERE table_name = %s", sha256(content).hexdigest(), table)


def write_through_the_product(person: StaffUser) -> None:
    person = StaffUser.objects.get(pk=person.pk)
    person.email = f"{uuid.uuid4()}@example.cn"
    person.save()


def test_a_mark_whose_digest_was_made_without_a_key_shows(clinic):
    unkeyed("staff_users")
    (found,) = findings()
    assert (found.object_type, found.object_id) == ("table_mark", "staff_users")


@pytest.mark.parametrize("name", BROKEN_MARKS)
def test_what_the_product_writes_next_does_not_mend_a_broken_mark(clinic, name):
    sql(BROKEN_MARKS[name], 1, 1)
    write_through_the_product(clinic)
    write_through_the_product(clinic)
    assert ("table_mark", "staff_users") in [(f.object_type, f.object_id) for f in findings()]


def test_nor_a_mark_whose_digest_was_made_without_a_key(clinic):
    sql("UPDATE staff_users SET is_superuser = 1 WHERE id = %s", clinic.pk)
    told = TableMark.objects.get(pk="staff_users").rows
    told.pop(str(clinic.pk))
    sql("UPDATE table_marks SET `rows` = %s WHERE table_name = 'staff_users'", json.dumps(told))
    unkeyed("staff_users")
    StaffUser.objects.filter(pk=clinic.pk).update(must_change_password=True)
    shown = {(f.object_type, f.object_id) for f in findings()}
    assert shown == {("table_mark", "staff_users"), ("staff_users", str(clinic.pk))}


def test_taking_away_that_a_row_was_found_changed_shows_for_good(clinic):
    sql("UPDATE staff_users SET is_superuser = 1 WHERE id = %s", clinic.pk)
    write_through_the_product(clinic)
    told = TableMark.objects.get(pk="staff_users").rows
    told[str(clinic.pk)] = told[str(clinic.pk)].removeprefix("!")
    sql("UPDATE table_marks SET `rows` = %s WHERE table_name = 'staff_users'", json.dumps(told))
    unkeyed("staff_users")
    for _time in range(2):
        write_through_the_product(clinic)
        shown = {(f.object_type, f.object_id) for f in findings()}
        assert shown == {("table_mark", "staff_users"), ("staff_users", str(clinic.pk))}


def test_a_role_given_by_the_product_does_not_launder_a_change_by_sql(clinic):
    sql("UPDATE staff_users SET is_superuser = 1 WHERE id = %s", clinic.pk)
    clinic.groups.set(Group.objects.filter(name="auditor"))
    (found,) = findings()
    assert "尚无人确认" in str(found.message)


def test_somebody_takes_over_a_broken_mark_of_prices(clinic):
    sql("UPDATE table_marks SET mac = 'x' WHERE table_name = %s", "price_configs")
    call_command("adopt_outside_changes", "--reason", "恢复备份", stdout=StringIO())
    assert findings() == []
    assert AuditEvent.objects.get(action="outside_change_adopted").object_id == "price_configs"

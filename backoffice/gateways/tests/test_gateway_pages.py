"""A gateway is configured in its page: draft, test, activate, roll back; no secret comes back."""

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from config.conftest import ADMIN
from config.gateways import drafts
from config.gateways.selectors import gateway_config_current
from config.gateways.services import gateway_configs_replace
from config.models import PaymentConfigDraft, PaymentConfigVersion
from gateways.findings import Finding
from gateways.tests.kit import (
    MERCHANT_SERIAL,
    bare,
    certificate_pem,
    private_pem,
    public_pem,
    wechat_values,
)
from tcmpay.accounts.models import StaffUser
from tcmpay.audit.models import AuditEvent

pytestmark = pytest.mark.django_db
PAGE = "/admin/config/paymentconfig/gateway/wechat/"
EDITOR = ("view_paymentconfig", "change_paymentconfig")
ACTIVATOR = (*EDITOR, "activate_paymentconfig")
NEW_SECRET = "CANARY" + "n" * 26


def person(name: str, *codenames: str) -> Client:
    user = StaffUser.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    client.user = user
    return client


@pytest.fixture(autouse=True)
def gateway(monkeypatch) -> list[Finding]:
    """What the gateway answers to a test; nothing leaves this process."""
    answers = [Finding("ok", "", "网关认可")]
    monkeypatch.setattr(drafts, "probe_values", lambda method, values, depth, ear: list(answers))
    return answers


@pytest.fixture(autouse=True)
def _configured():
    values = {
        **wechat_values(),
        "platform_cert": "",
        "notify_url": "https://pay.example.com/payment/callback/wechat",
    }
    gateway_configs_replace(actor=ADMIN, configs={"wechat": {k: v for k, v in values.items() if v}})


@pytest.fixture
def editor() -> Client:
    return person("editor", *ACTIVATOR)


def typed(**changes: Any) -> dict[str, Any]:
    """The form as the page sends it: what is shown, secrets empty."""
    values = gateway_config_current("wechat").values
    draft = PaymentConfigDraft.objects.filter(payment_method="wechat").first()
    if draft:
        values = {**values, **drafts.draft_changes(draft)}
    secrets = {"api_key", "api_v3_key", "private_key"}
    shown = {key: value for key, value in values.items() if key not in secrets}
    return {**shown, "revision": draft.revision if draft else 0, **changes}


def save(client: Client, **changes: Any) -> Any:
    return client.post(PAGE, typed(**changes))


def form_address(answer: Any) -> str:
    """Where a browser sends the form of the shown page."""
    form = re.search(r'<form id="gateway-form"[^>]*>', answer.content.decode())
    assert form
    action = re.search(r' action="([^"]*)"', form[0])
    return action[1] if action else answer.request["PATH_INFO"]


def activate(client: Client, reason: str = "换新密钥") -> Any:
    revision = PaymentConfigDraft.objects.get(payment_method="wechat").revision
    return client.post(f"{PAGE}activate/", {"revision": revision, "reason": reason}, follow=True)


def test_draft_test_activate_roll_back(editor):
    before = gateway_config_current("wechat")
    assert save(editor, api_v3_key=NEW_SECRET).status_code == 302
    assert gateway_config_current("wechat").version_id == before.version_id, "only a draft"
    assert "还没有通过测试" in activate(editor).content.decode()
    editor.post(f"{PAGE}test/")
    activate(editor)
    after = gateway_config_current("wechat")
    assert after.values["api_v3_key"] == NEW_SECRET
    assert not PaymentConfigDraft.objects.exists()
    version = PaymentConfigVersion.objects.get(id=after.version_id)
    assert (version.reason, version.created_by) == ("换新密钥", editor.user.pk)
    number = PaymentConfigVersion.objects.get(id=before.version_id).number
    shown = editor.get(f"{PAGE}versions/{number}/").content.decode()
    assert "已设置（不显示）" in shown
    editor.post(f"{PAGE}versions/{number}/", {"reason": "新密钥有误"})
    restored = gateway_config_current("wechat")
    assert restored.values == before.values
    assert PaymentConfigVersion.objects.get(id=restored.version_id).restored_from == number
    told = AuditEvent.objects.filter(object_id="wechat").values_list("action", "reason")
    assert list(told) == [
        ("config_draft_saved", ""),
        ("config_draft_test_passed", ""),
        ("config_activated", "换新密钥"),
        ("config_rolled_back", "新密钥有误"),
    ]


def test_a_secret_is_stored_sealed_and_never_rendered_back(editor):
    save(editor, api_v3_key=NEW_SECRET, private_key="CANARY unreadable")
    refused = save(editor, api_v3_key=NEW_SECRET, private_key="CANARY unreadable")
    assert refused.status_code == 200
    save(editor, api_v3_key=NEW_SECRET)
    stored = PaymentConfigDraft.objects.get().encrypted_values
    assert json.loads(stored)["api_v3_key"].startswith("enc:2:")
    editor.post(f"{PAGE}test/")
    number = PaymentConfigVersion.objects.get(payment_method="wechat", retired_at=None).number
    pages = [
        refused,
        editor.get(PAGE),
        editor.post(f"{PAGE}check/", typed(api_v3_key=NEW_SECRET, private_key="CANARY")),
        editor.get("/admin/config/paymentconfig/"),
    ]
    activate(editor)
    pages += [editor.get(PAGE), editor.get(f"{PAGE}versions/{number}/")]
    for answer in pages:
        text = answer.content.decode()
        assert answer.status_code == 200
        for hidden in ("CANARY", "enc:2:", "k" * 32, "BEGIN PRIVATE"):
            assert hidden not in text
    assert "CANARY" not in str(list(AuditEvent.objects.values_list("details", flat=True)))
    assert "已设置" in pages[-2].content.decode()
    assert "editor" in pages[-2].content.decode(), "by whom it was changed"


def test_an_error_elsewhere_says_that_the_secrets_have_to_be_entered_again(editor):
    certificate = SimpleUploadedFile("a.pem", certificate_pem("merchant", 9).encode())
    given = {"api_v3_key": NEW_SECRET, "merchant_cert_file": certificate}
    text = save(editor, notify_url="http://10.0.0.1/x", **given).content.decode()
    summary = re.search(r'<div class="tcm-errors".*?</div>', text, re.DOTALL)[0]
    assert "未保存：1 处错误" in summary
    assert 'href="#field-notify_url"' in summary
    for name in ("api_v3_key", "merchant_cert"):
        assert f'href="#field-{name}"' in summary.partition("密钥和文件没有保留")[2]
    assert 'href="#field-private_key"' not in summary, "it was left empty"
    field = re.search(r'<div[^>]* id="field-api_v3_key".*?tcm-said', text, re.DOTALL)[0]
    assert "刚才填写的没有保留" in field
    assert "留空表示不修改" not in field
    assert NEW_SECRET not in text


def test_an_error_without_a_secret_asks_for_none(editor):
    text = save(editor, notify_url="http://10.0.0.1/x").content.decode()
    assert "未保存：1 处错误" in text
    assert "没有保留" not in text


def test_an_empty_secret_keeps_it_and_clearing_is_asked_for(editor):
    save(editor, mch_id="1900000110")
    assert drafts.candidate_of("wechat").values["api_v3_key"] == "k" * 32
    save(editor, api_v3_key_clear="on")
    assert "api_v3_key" not in drafts.candidate_of("wechat").values
    save(editor, mch_id="1900000109", api_v3_key="k" * 32)
    assert not PaymentConfigDraft.objects.exists(), "nothing is different any more"


@pytest.mark.parametrize("form", ["pem", "bare", "crlf", "file", "der"])
def test_keys_are_normalised_whatever_their_form(editor, form):
    pem = certificate_pem("merchant", MERCHANT_SERIAL)
    given: dict[str, Any] = {"pem": {"merchant_cert": pem}, "bare": {"merchant_cert": bare(pem)}}
    given["crlf"] = {"merchant_cert": pem.replace("\n", "\r\n")}
    given["file"] = {"merchant_cert_file": SimpleUploadedFile("a.pem", pem.encode())}
    import base64

    der = base64.b64decode(bare(pem))
    given["der"] = {"merchant_cert_file": SimpleUploadedFile("a.crt", der)}
    assert save(editor, **given[form]).status_code == 302
    assert drafts.candidate_of("wechat").values["merchant_cert"] == pem


def test_the_same_key_in_another_form_is_no_change(editor):
    save(editor, private_key=bare(private_pem("merchant")), public_key=bare(public_pem("wechat")))
    assert not PaymentConfigDraft.objects.exists()


@pytest.mark.parametrize("deed", ["test/", "activate/"])
def test_what_is_typed_after_a_test_or_a_refused_activation_is_saved(editor, deed):
    if deed == "activate/":
        save(editor, api_v3_key=NEW_SECRET)
        editor.post(f"{PAGE}test/")
    shown = editor.post(PAGE + deed, {"revision": 1, "reason": ""})
    assert shown.status_code == 200
    editor.post(form_address(shown), typed(mch_id="1900000112"))
    assert drafts.candidate_of("wechat").values["mch_id"] == "1900000112"


def test_a_certificate_in_the_place_of_the_serial_gives_the_serial(editor):
    answer = editor.post(
        f"{PAGE}check/", typed(cert_serial_no=certificate_pem("merchant", MERCHANT_SERIAL))
    )
    assert answer.json()["normalised"] == {"cert_serial_no": f"{MERCHANT_SERIAL:X}"}


def test_the_doctor_answers_as_it_is_typed_and_nothing_is_saved(editor):
    def said(**changes: Any) -> dict[str, Any]:
        answer = editor.post(f"{PAGE}check/", typed(**changes))
        assert answer.status_code == 200
        return answer.json()["fields"]

    assert [line["level"] for line in said(private_key="x")["private_key"]] == ["error"]
    other = said(private_key=private_pem("other"), merchant_cert=certificate_pem("merchant", 9))
    messages = [line["message"] for line in other["private_key"]]
    assert any("不是一对" in message for message in messages)
    good = said(private_key=private_pem("merchant"))["private_key"]
    assert good == [{"level": "ok", "message": "RSA 2048 位私钥", "fix": ""}]
    assert said(notify_url="http://10.0.0.1/x")["notify_url"][0]["level"] == "error"
    assert not PaymentConfigDraft.objects.exists()


def test_what_the_gateway_refuses_is_not_activated(editor, gateway):
    gateway[:] = [Finding("error", "", "网关拒绝了配置：SIGN_ERROR", "核对密钥")]
    save(editor, api_v3_key=NEW_SECRET)
    shown = editor.post(f"{PAGE}test/", follow=True).content.decode()
    assert "SIGN_ERROR" in shown
    assert "核对密钥" in shown
    assert "还没有通过测试" in activate(editor).content.decode()
    assert gateway_config_current("wechat").values["api_v3_key"] == "k" * 32


def test_a_test_says_nothing_of_what_was_changed_after_it(editor):
    save(editor, api_v3_key=NEW_SECRET)
    editor.post(f"{PAGE}test/")
    gateway_configs_replace(
        actor=ADMIN,
        configs={"wechat": {**gateway_config_current("wechat").values, "mch_id": "1900000111"}},
    )
    assert "还没有通过测试" in activate(editor).content.decode()
    editor.post(f"{PAGE}test/")
    activate(editor)
    values = gateway_config_current("wechat").values
    assert (values["api_v3_key"], values["mch_id"]) == (NEW_SECRET, "1900000111")


def test_two_people_do_not_overwrite_each_others_draft(editor):
    stale = typed(mch_id="1900000112")
    save(editor, mch_id="1900000113")
    answer = person("b", *EDITOR).post(PAGE, stale)
    assert "刚刚被他人修改" in answer.content.decode()
    assert drafts.candidate_of("wechat").values["mch_id"] == "1900000113"


def test_a_second_person_activates_where_the_deployment_asks_for_it(editor, settings):
    settings.CONFIG_ACTIVATION_SECOND_PERSON = True
    save(editor, api_v3_key=NEW_SECRET)
    editor.post(f"{PAGE}test/")
    assert "需要第二人" in activate(editor).content.decode()
    activate(person("second", *ACTIVATOR))
    assert gateway_config_current("wechat").values["api_v3_key"] == NEW_SECRET


def test_an_earlier_version_is_brought_back_by_two_where_the_deployment_asks_for_it(
    editor, settings
):
    before = gateway_config_current("wechat")
    number = PaymentConfigVersion.objects.get(id=before.version_id).number
    save(editor, api_v3_key=NEW_SECRET, api_key="a" * 32)
    editor.post(f"{PAGE}test/")
    activate(editor)
    settings.CONFIG_ACTIVATION_SECOND_PERSON = True
    address = f"{PAGE}versions/{number}/"
    assert "由另一人启用" in editor.get(address).content.decode()
    told = editor.post(address, {"reason": "新密钥有误"}, follow=True).content.decode()
    assert "已存为草稿" in told
    assert gateway_config_current("wechat").values["api_v3_key"] == NEW_SECRET
    assert PaymentConfigDraft.objects.get().editors == [str(editor.user.pk)]
    event = AuditEvent.objects.filter(action="config_draft_saved").latest("created_at")
    assert (event.reason, event.details["to"]) == ("新密钥有误", number)
    editor.post(f"{PAGE}test/")
    assert "需要第二人" in activate(editor).content.decode()
    activate(person("second", *ACTIVATOR))
    assert gateway_config_current("wechat").values == before.values


def test_a_roll_back_by_two_overwrites_nobodys_draft(editor, settings):
    settings.CONFIG_ACTIVATION_SECOND_PERSON = True
    first = PaymentConfigVersion.objects.filter(payment_method="wechat").earliest("number")
    save(editor, mch_id="1900000112")
    address = f"{PAGE}versions/{first.number}/"
    posted = {"reason": "x", "is_known": "on"}
    told = person("b", *ACTIVATOR).post(address, posted, follow=True).content.decode()
    assert "已有一份未启用的草稿" in told
    assert drafts.candidate_of("wechat").changes == {"mch_id": "1900000112"}
    assert gateway_config_current("wechat").values["mch_id"] != ""


def test_an_unsound_version_is_brought_back_only_knowingly(editor):
    first = PaymentConfigVersion.objects.filter(payment_method="wechat").earliest("number")
    address = f"{PAGE}versions/{first.number}/"
    assert "先确认知道" in editor.post(address, {"reason": "x"}).content.decode()
    assert editor.post(address, {"reason": "x", "is_known": "on"}).status_code == 302
    assert gateway_config_current("wechat").values == {}


@pytest.mark.parametrize("deed", ["", "check/", "test/", "activate/", "discard/", "versions/1/"])
def test_each_deed_needs_its_permission(deed):
    reader = person("reader", "view_paymentconfig")
    assert reader.get(PAGE).status_code == 200
    assert reader.post(PAGE + deed, typed(reason="x")).status_code == 403
    stranger = person("stranger", "view_priceconfig")
    assert stranger.get(PAGE).status_code == 403
    if deed in ("activate/", "versions/1/"):
        assert person("b", *EDITOR).post(PAGE + deed, {"reason": "x"}).status_code == 403


def test_an_unknown_gateway_is_not_found(editor):
    assert editor.get(PAGE.replace("wechat", "paypal")).status_code == 404


def test_a_single_keys_page_leads_to_its_gateway(editor):
    from config.models import PaymentConfig

    row = PaymentConfig.objects.get(payment_method="alipay", config_key="app_id")
    answer = editor.get(f"/admin/config/paymentconfig/{row.pk}/change/")
    assert answer["Location"].endswith("/gateway/alipay/#field-app_id")
    assert editor.post(f"/admin/config/paymentconfig/{row.pk}/change/").status_code == 403
    assert editor.get("/admin/config/paymentconfig/add/").status_code == 403
    assert editor.post(f"/admin/config/paymentconfig/{row.pk}/delete/").status_code == 403


@pytest.mark.parametrize(("ticked", "depth"), [({}, "query"), ({"with_order": "1"}, "order")])
def test_a_real_order_is_made_only_where_it_was_ticked(editor, monkeypatch, ticked, depth):
    asked: list[str] = []
    said = Finding("ok", "", "查询被接受", unproved="AppID、通知地址")

    def answer(method: str, values: Any, wanted: Any, ear: Any) -> list[Finding]:
        asked.append(str(wanted))
        return [said]

    monkeypatch.setattr(drafts, "probe_values", answer)
    save(editor, api_v3_key=NEW_SECRET, test="1", **ticked)
    shown = editor.post(f"{PAGE}test/", ticked, follow=True).content.decode()
    assert asked == [depth, depth]
    assert "没有证明：AppID、通知地址" in shown
    event = AuditEvent.objects.filter(action="config_draft_test_passed").latest("created_at")
    assert event.details["depth"] == depth


def test_the_pages_tell_nothing_of_what_lies_at_a_path(editor, tmp_path):
    """A folder, a key, a text or nothing: the test of a draft says one and the same of each."""
    (tmp_path / "text").write_text("root:x:0:0")
    (tmp_path / "key").write_text(wechat_values()["private_key"])
    told = []
    for place in ("missing", "text", "key", "."):
        save(editor, cert_path=str(tmp_path / place))
        editor.post(f"{PAGE}test/")
        told.append(PaymentConfigDraft.objects.get().test_findings)
        save(editor, cert_path="/elsewhere")
    assert any("cert_path" in finding for finding in told[0])
    assert told == [told[0]] * 4

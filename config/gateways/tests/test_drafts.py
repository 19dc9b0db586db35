"""A draft holds what would be different, and nobody works on a draft that they did not see."""

import pytest

from config.conftest import ADMIN
from config.gateways.drafts import draft_changes, draft_discard, draft_save
from config.gateways.errors import DraftChanged, DraftEmpty
from config.gateways.services import gateway_configs_replace
from config.models import PaymentConfigDraft
from gateways.tests.kit import bare, private_pem, wechat_values

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _configured():
    values = {key: value for key, value in wechat_values().items() if value}
    gateway_configs_replace(actor=ADMIN, configs={"wechat": values})


def save(revision: int = 0, **values: str) -> bool:
    return draft_save(actor=ADMIN, method="wechat", values=values, revision=revision)


def draft() -> PaymentConfigDraft | None:
    return PaymentConfigDraft.objects.filter(payment_method="wechat").first()


def test_what_differs_is_kept_and_said():
    assert save(mch_id="1900000001") is True
    kept = draft()
    assert kept is not None
    assert draft_changes(kept) == {"mch_id": "1900000001"}


def test_what_is_in_force_already_makes_no_draft():
    assert save(mch_id=wechat_values()["mch_id"]) is False
    assert draft() is None


def test_the_same_key_in_another_form_makes_no_draft():
    """In force as one line of base64, typed as the form reads it: PEM."""
    key = private_pem("merchant")
    gateway_configs_replace(
        actor=ADMIN, configs={"wechat": {**wechat_values(), "private_key": bare(key)}}
    )
    assert save(private_key=key) is False
    assert save(private_key=private_pem("other")) is True


def test_a_draft_of_nothing_different_any_more_is_gone():
    save(mch_id="1900000001")
    assert save(revision=1, mch_id=wechat_values()["mch_id"]) is False
    assert draft() is None


def test_only_the_draft_that_was_seen_is_thrown_away():
    save(mch_id="1900000001")
    with pytest.raises(DraftChanged):
        draft_discard(actor=ADMIN, method="wechat", revision=2)
    draft_discard(actor=ADMIN, method="wechat", revision=1)
    assert draft() is None
    with pytest.raises(DraftEmpty):
        draft_discard(actor=ADMIN, method="wechat", revision=1)

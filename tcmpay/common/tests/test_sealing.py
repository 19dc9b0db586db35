"""Sealed values open where they were sealed for, and nowhere else."""

import pytest
from cryptography.fernet import Fernet

from tcmpay.common.sealing import (
    ConfigSecretUnreadable,
    Place,
    SealProblem,
    former_opened,
    former_seal,
    is_sealed,
    plain,
    seal,
    seal_problem,
    unseal,
)

HERE = Place("payment_configs", "wechat", "api_v3_key")
ELSEWHERE = [
    Place("payment_configs", "alipay", "api_v3_key"),
    Place("payment_configs", "wechat", "return_url"),
    Place("payment_config_drafts", "wechat", "api_v3_key"),
    # The same letters, parted elsewhere.
    Place("payment_configs", "wechatapi", "_v3_key"),
    Place("payment_configs:6", "wechat", "api_v3_key"),
]


def test_it_opens_in_its_place():
    assert unseal(seal("机密", HERE), HERE) == "机密"
    assert seal_problem(seal("", HERE), HERE) is None


@pytest.mark.parametrize("place", ELSEWHERE)
def test_it_opens_nowhere_else(place):
    with pytest.raises(ConfigSecretUnreadable):
        unseal(seal("机密", HERE), place)
    assert seal_problem(seal("机密", HERE), place) is SealProblem.MISPLACED


def test_the_same_text_is_never_sealed_alike():
    assert seal("机密", HERE) != seal("机密", HERE)


@pytest.mark.parametrize("change", [str.swapcase, lambda text: text[:-8], lambda text: text + "A"])
def test_an_altered_one_opens_not(change):
    prefix, _colon, text = seal("机密", HERE).rpartition(":")
    altered = f"{prefix}:{change(text)}"
    assert seal_problem(altered, HERE) is SealProblem.MISPLACED


@pytest.mark.parametrize(
    "text", ["enc:2:", "enc:2:abc", "enc:2::", "enc:2:zz:é", "enc:3:x", "plain"]
)
def test_whatever_else_is_no_seal_of_ours(text):
    with pytest.raises(ConfigSecretUnreadable):
        unseal(text, HERE)


def test_a_lost_key_is_told_from_a_moved_value(settings):
    sealed = seal("机密", HERE)
    settings.CONFIG_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    assert seal_problem(sealed, HERE) is SealProblem.KEY_MISSING


def test_every_key_opens_and_the_first_one_seals(settings):
    [former] = settings.CONFIG_ENCRYPTION_KEYS
    sealed, newest = seal("机密", HERE), Fernet.generate_key().decode()
    settings.CONFIG_ENCRYPTION_KEYS = [newest, former]
    assert unseal(sealed, HERE) == "机密"
    again = seal("机密", HERE)
    settings.CONFIG_ENCRYPTION_KEYS = [newest]
    assert unseal(again, HERE) == "机密"


def test_what_was_sealed_unbound_opens_nowhere_but_for_being_sealed_anew():
    former = former_seal("机密")
    assert is_sealed(former)
    with pytest.raises(ConfigSecretUnreadable):
        plain(former, HERE)
    assert seal_problem(former, HERE) is SealProblem.UNBOUND
    assert former_opened(former) == "机密"

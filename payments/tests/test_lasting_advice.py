"""What staff are told to do about a gateway that refuses lastingly."""

import pytest
from django.utils import translation

from payments.services.lasting_refusals import UNVERIFIED, advice

ADVICE = {
    sorted(UNVERIFIED)[0]: "签名的公钥",
    "INVALID_TIMESTAMP": "校准服务器时间",
    "SIGN_ERROR": "证书序列号",
    "isv.invalid-signature": "证书序列号",
    "NO_AUTH": "接口权限",
    "40006": "接口权限",
    "APPID_MCHID_NOT_MATCH": "接口权限",
    "SOMETHING_ELSE": "支付配置检查",
}


@pytest.mark.parametrize(("code", "said"), ADVICE.items(), ids=ADVICE)
def test_each_cause_has_its_advice(code, said):
    with translation.override("zh-hans"):
        assert said in advice(code)

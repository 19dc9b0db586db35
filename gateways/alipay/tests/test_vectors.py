"""The official test vectors of Alipay, through our own code."""

import pytest

from gateways import keys
from gateways.alipay.wire import top_level_texts, verify_notification
from gateways.errors import GatewayUntrusted
from gateways.tests.vectors import each


@each("alipay-notify")
def test_notification(vector):
    public_key = keys.load_public_key(vector["public_key"])
    if vector["valid"]:
        assert verify_notification(vector["params"], [public_key]) is public_key
        return
    with pytest.raises(GatewayUntrusted):
        verify_notification(vector["params"], [public_key])


@each("alipay-response-signed-text")
def test_answer_text(vector):
    assert top_level_texts(vector["raw"])[vector["response_key"]] == vector["signed_text"]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@each("alipay-cert-sn")
def test_certificate_name(vector, line_end):
    pem = vector["pem"].replace("\r\n", "\n").replace("\n", line_end)
    if vector["is_root"]:
        assert keys.alipay_root_sn(pem) == vector["sn"]
    else:
        assert keys.alipay_certificate_sn(keys.load_certificate(pem)) == vector["sn"]

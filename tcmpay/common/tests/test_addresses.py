import pytest

from tcmpay.common.addresses import AddressRefused, ensure_http_url, ensure_public_url

PUBLIC = [
    "https://yourdomain.com/payment/callback?method=wechat",
    "http://pay.example.com:8080/x",
    "https://8.8.8.8/x",
    "https://[2606:4700::1111]/x",
    "https://[2400:3200::1]/x",
    "https://[64:ff9b::808:808]/x",
    "https://[::ffff:8.8.8.8]/x",
]
PRIVATE = [
    "http://10.0.0.1/x",
    "http://172.16.0.1/x",
    "http://192.168.1.1/x",
    "http://169.254.169.254/latest/meta-data",
    "http://100.64.0.1/x",
    "http://0.0.0.0/x",
    "http://224.0.0.1/x",
    "http://[fe80::1]/x",
    "http://[fd00::1]/x",
    "http://[::ffff:10.0.0.1]/x",
    "http://[64:ff9b::a00:1]/x",
    "http://[2002:a00:1::]/x",
    "http://[::ffff:0:a00:1]/x",
    "http://[::ffff:0:808:808]/x",
    "http://[fec0::1]/x",
    "http://[feff::1]/x",
    "http://[5f00::1]/x",
    "http://[3fff::1]/x",
    "http://[2001:db8::1]/x",
    "http://[100::1]/x",
    "http://[2001::1]/x",
    "http://[64:ff9b:1::808:808]/x",
    "http://[4000::1]/x",
    "http://[::2]/x",
    "http://0xa000001/x",
    "http://167772161/x",
    "http://10.1/x",
    "http://intranet/x",
    "http://db.internal/x",
    "http://printer.local./x",
]
LOOPBACK = [
    "http://127.0.0.1:3000/x",
    "http://localhost:3000/x",
    "http://127.1/x",
    "http://2130706433/x",
    "http://0x7f000001/x",
    "http://[::1]/x",
]
BROKEN = [
    "",
    "yourdomain.com/x",
    "//yourdomain.com/x",
    "javascript:alert(1)",
    "ftp://a.example/x",
    "https://",
    "https:///x",
    "https://user@a.example/x",
    "https://user:pw@a.example/x",
    "https://a.example@10.0.0.1/x",
    "https://a.example/x#y",
    "https://a.example/\r\nX: y",
    "https://a.example/ x",
    "https://a.example\\@b.example/x",
    "https://a.example:99999/x",
    "https://a.example:0/x",
    "https://[::1/x",
    "https://例子.example/x",
    "https://a.example/" + "x" * 1100,
]


@pytest.mark.parametrize("url", PUBLIC)
def test_a_public_address_is_taken(url):
    ensure_public_url(url, is_loopback_allowed=False)


@pytest.mark.parametrize("url", PRIVATE)
@pytest.mark.parametrize("is_loopback_allowed", [True, False])
def test_a_private_address_is_refused_however_it_is_written(url, is_loopback_allowed):
    with pytest.raises(AddressRefused):
        ensure_public_url(url, is_loopback_allowed=is_loopback_allowed)


@pytest.mark.parametrize("url", LOOPBACK)
def test_loopback_is_for_development_only(url):
    ensure_public_url(url, is_loopback_allowed=True)
    with pytest.raises(AddressRefused):
        ensure_public_url(url, is_loopback_allowed=False)


@pytest.mark.parametrize("url", BROKEN)
def test_what_is_no_plain_http_address_is_refused(url):
    with pytest.raises(AddressRefused):
        ensure_http_url(url)
    with pytest.raises(AddressRefused):
        ensure_public_url(url, is_loopback_allowed=True)

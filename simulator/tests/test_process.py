"""The stand-in as its own process: starts, remembers, stops; and keeps to itself."""

import ast
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from simulator import keys
from simulator.tests.clients import Config, WechatClient, send, settled
from simulator.tests.running import running, started

ROOM = Path(__file__).resolve().parent.parent


@pytest.fixture
def directory(made_keys, tmp_path):
    import shutil

    return shutil.copytree(made_keys, tmp_path / "gateway")


def test_it_says_one_line_and_stops_on_sigterm(directory):
    process = started(directory, "--port=0")
    try:
        base_url = process.stdout.readline().split()[2]
        assert send(base_url, "GET", "/_control/books", timeout=60).status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stdout.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_it_says_so_when_the_port_is_taken(stand_in, directory):
    port = stand_in.base_url.rpartition(":")[2]
    command = [sys.executable, "-m", "simulator", "--port", port, "--dir", str(directory)]
    done = subprocess.run(command, cwd=ROOM.parent, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_a_restart_remembers_keys_payments_and_refunds(directory, listener):
    with running(directory, refund_delay_seconds=0.6, notify_factor=0.01) as first:
        wechat = WechatClient(first.config)
        url = listener.address((500, b""), (200, b""))
        order = wechat.order(notify_url=url)
        wechat.prepay(order)
        first.control("pay", channel="wechat", out_trade_no=order["out_trade_no"])
        listener.next(url)
        refund = wechat.refund_body(order, 1000)
        wechat.refund(refund)
        before = first.shown("books")
        config = json.loads((directory / "config.json").read_text())
    with running(directory, refund_delay_seconds=0.6, notify_factor=0.01) as second:
        wechat = WechatClient(second.config)
        assert second.shown("books")["payments"][0]["out_trade_no"] == order["out_trade_no"]
        assert second.shown("books")["totals"]["wechat"]["paid_fen"] == 3000
        assert before["totals"]["wechat"]["paid_fen"] == 3000
        now = json.loads((directory / "config.json").read_text())
        for config_ in (config, now):
            config_["wechat"].pop("base_url")
            config_["alipay"].pop("gateway_url")
        assert now == config
        listener.next(url)  # the notification that was still owed
        settled(wechat, refund)


@pytest.mark.parametrize("missing", ["wechat_platform_cert.pem", "alipay_next_private_key.pem"])
def test_a_missing_file_is_made_anew_and_the_rest_is_kept(directory, missing):
    """As in a folder of an earlier version, which knew fewer keys."""
    before = Config(directory)
    own_key = before.pem("wechat_merchant_private_key.pem")
    (directory / missing).unlink()
    with running(directory) as stand_in:
        assert stand_in.config.wechat["mchid"] == before.wechat["mchid"]
        serial = stand_in.config.wechat["merchant_serial_no"]
        assert serial == before.wechat["merchant_serial_no"]
        assert stand_in.config.pem("wechat_merchant_private_key.pem") == own_key
        assert (directory / missing).is_file()


def test_a_certificate_whose_key_was_lost_is_made_anew_with_it(directory):
    (directory / "alipay_root_private_key.pem").unlink()
    with running(directory) as stand_in:
        alipay, root = (
            x509.load_pem_x509_certificate(stand_in.config.pem(f"{name}_cert.pem"))
            for name in ("alipay", "alipay_root")
        )
        alipay.verify_directly_issued_by(root)


def test_config_has_the_shape_of_the_contract(stand_in):
    config = stand_in.config
    assert set(config.wechat) == {
        "mchid", "appid", "apiv3_key", "merchant_serial_no", "merchant_private_key_file",
        "public_key_id", "platform_public_key_file", "platform_serial_no", "platform_cert_file",
        "base_url", "sign_mode",
    }  # fmt: skip
    assert set(config.alipay) == {
        "app_id", "seller_id", "sign_type", "charset", "app_private_key_file",
        "alipay_public_key_file", "gateway_url",
    }  # fmt: skip
    assert len(config.wechat["apiv3_key"]) == 32
    assert config.wechat["sign_mode"] == "pubkey"


def test_it_listens_on_loopback_only(directory):
    """The rest of 127.0.0.0/8 reaches whoever listens everywhere."""
    with running(directory) as stand_in:
        port = int(stand_in.base_url.rpartition(":")[2])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=5)


def imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_it_imports_the_standard_library_a_few_packages_and_itself_only():
    allowed = set(sys.stdlib_module_names)
    allowed |= {"cryptography", "gunicorn", "jsonschema", "simulator"}
    django_may = ROOM / "management/commands/gateway_simulator.py"
    for file in ROOM.rglob("*.py"):
        if "tests" in file.parts or file.name == "conftest.py":
            continue
        extra = {"django"} if file == django_may else set()
        found = {name.partition(".")[0] for name in imports(file)}
        assert found <= allowed | extra, file


def test_modules_stay_short():
    for file in ROOM.rglob("*.py"):
        assert len(file.read_text().splitlines()) < 600, file


def test_config_json_is_never_seen_incomplete(tmp_path, monkeypatch):
    """Whoever waits for it reads it at once."""
    written = []
    write_file = keys.write_file

    def seen(path, content):
        written.append(path.name)
        write_file(path, content)

    monkeypatch.setattr(keys, "write_file", seen)
    keys.open_keys(tmp_path, "http://127.0.0.1:1", "pubkey")
    assert written.count("config.json") == 1
    assert written[-1] == "config.json"

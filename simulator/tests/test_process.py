"""The stand-in as its own process: starts, remembers, stops; and keeps to itself."""

import ast
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from simulator import keys
from simulator.tests.clients import Config, WechatClient, send
from simulator.tests.running import free_port, running

ROOM = Path(__file__).resolve().parent.parent


@pytest.fixture
def directory(made_keys, tmp_path):
    import shutil

    return shutil.copytree(made_keys, tmp_path / "gateway")


def test_it_says_one_line_and_stops_on_sigterm(directory):
    port = free_port()
    command = [sys.executable, "-m", "simulator", "--port", str(port), "--dir", str(directory)]
    process = subprocess.Popen(command, cwd=ROOM.parent, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert f"http://127.0.0.1:{port}/" in line
        assert send(f"http://127.0.0.1:{port}", "GET", "/_control/books").status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stdout.read() == ""
    finally:
        process.kill()
        process.wait()


def test_it_says_so_when_the_port_is_taken(stand_in, directory):
    port = stand_in.server.server_address[1]
    command = [sys.executable, "-m", "simulator", "--port", str(port), "--dir", str(directory)]
    done = subprocess.run(command, cwd=ROOM.parent, capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_connections_beyond_the_bound_are_turned_away(directory):
    # A stand-in of its own: with one slot, whoever comes next would be turned away, too.
    with running(directory) as narrow:
        narrow.server._slots = threading.Semaphore(1)
        with socket.create_connection(narrow.server.server_address) as first:
            first.sendall(b"GET /_control/faults HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert first.recv(12).startswith(b"HTTP/1.1 200")
            with socket.create_connection(narrow.server.server_address) as second:
                assert second.recv(1) == b""


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
        end = time.time() + 3
        number = refund["out_refund_no"]
        while wechat.query_refund(number).json["status"] != "SUCCESS" and time.time() < end:
            time.sleep(0.02)
        assert wechat.query_refund(number).json["status"] == "SUCCESS"


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
        found = stand_in.machine.keys.certificates
        found["alipay"].verify_directly_issued_by(found["alipay_root"])


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


def test_it_listens_on_loopback_only(stand_in):
    assert stand_in.server.server_address[0] == "127.0.0.1"


def imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_it_imports_the_standard_library_cryptography_and_itself_only():
    allowed = set(sys.stdlib_module_names) | {"cryptography", "simulator"}
    django_may = {ROOM / "apps.py", ROOM / "management/commands/gateway_simulator.py"}
    for file in ROOM.rglob("*.py"):
        if "tests" in file.parts or file.name == "conftest.py":
            continue
        extra = {"django"} if file in django_may else set()
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
    keys.open_keys(tmp_path, base_url="http://127.0.0.1:1", sign_mode="pubkey")
    assert written.count("config.json") == 1
    assert written[-1] == "config.json"

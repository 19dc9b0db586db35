"""A day of a million payments and WeChat Pay's bill of it, and what comparing the two can't cost
less than: each line split once, each payment once in a dict.

The payments lie in temporary tables, which shadow the product's for one connection, and everything
else in a transaction that is never committed: the books stay as they were.
"""

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import IO, Any

from benchmarks.floors import raw_connection

LINES = int(os.environ.get("BENCH_LINES", "1000000"))
DAY = date(2026, 3, 1)
MERCHANT, APP = "1900000109", "wx2421b1c4370ec43b"
HEADER = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,"
    "付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,"
    "退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注\n"
)
SUMMARY = (
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\n"
)
# The number, the second of the day and the fen of the ``seq``-th payment, here and in Python.
NUMBER = "CONCAT('WX20260301', LPAD(seq, 14, '0'))"
SECOND = "seq MOD 86400"
FEN = "1 + seq * 7919 MOD 999999"
_ORDER, _AMOUNT, _STATE, _WIDTH = 6, 24, 9, 27


def bill_written() -> IO[bytes]:
    """The bill as WeChat Pay writes it; made by a process of its own, whose memory is not ours."""
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115
    subprocess.run([sys.executable, "-m", "benchmarks.bills", file.name], check=True)
    return file


def main(path: str) -> None:
    """Write the bill to ``path``, in an order of its own; it adds up."""
    order = list(range(1, LINES + 1))
    random.Random(5).shuffle(order)
    total = 0
    with Path(path).open("wb") as file:
        file.write(f"\ufeff{HEADER}".encode())
        for number in order:
            fen = 1 + number * 7919 % 999_999
            total += fen
            file.write(_line(number, fen).encode())
        yuan = f"{total // 100}.{total % 100:02d}"
        fees = f"{total * 6 // 100_000}.{total * 6 % 100_000:05d}"
        file.write(f"{SUMMARY}`{LINES},`{yuan},`0.00,`0.00,`{fees},`{yuan},`0.00\n".encode())


def _line(number: int, fen: int) -> str:
    second, yuan = number % 86_400, f"{fen / 100:.2f}"
    moment = f"{DAY} {second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    return (
        f"`{moment},`{APP},`{MERCHANT},`0,`,`42000{number:020d},`WX20260301{number:014d},"
        f"`oUpF8uMuAJO_M2pxb1Q9z{number % 9973:07d},`JSAPI,`SUCCESS,`OTHERS,`CNY,`{yuan},`0.00,`0,"
        f"`0,`0.00,`0.00,`,`,`商品 {number % 100},`,`{fen * 6 / 100_000:.5f},`0.60%,"
        f"`{yuan},`0.00,`\n"
    )


# --- the floor ------------------------------------------------------------------------------------


def split_and_dict() -> Any:
    """One streamed SELECT into a dict, each line split once and looked up."""
    from MySQLdb.cursors import SSCursor

    database, file = raw_connection(), bill_written()
    database.cursor().execute(
        "CREATE TEMPORARY TABLE recon (id BIGINT AUTO_INCREMENT PRIMARY KEY,"
        " order_no VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,"
        " amount DECIMAL(14,2) NOT NULL, state VARCHAR(10) CHARACTER SET ascii NOT NULL)"
        f" SELECT {NUMBER} AS order_no, ({FEN}) / 100 AS amount, 'SUCCESS' AS state"
        f" FROM seq_1_to_{LINES}"
    )

    def compare() -> None:
        cursor = database.cursor(SSCursor)
        cursor.execute(
            "SELECT order_no, CAST(amount * 100 AS SIGNED) * 2 + (state = 'SUCCESS') FROM recon"
        )
        ours: dict[str, int] = {}
        while rows := cursor.fetchmany(5000):
            ours.update(rows)
        differing = 0
        for number, amount, state in _split(file):
            held = ours.pop(number.decode(), None)
            is_paid = state == b"SUCCESS"
            if held is None or held >> 1 != int(amount.replace(b".", b"")) or held & 1 != is_paid:
                differing += 1
        if differing or ours:
            raise RuntimeError(f"{differing} lines, {len(ours)} rows differ")

    return compare


def _split(file: IO[bytes]) -> Iterator[tuple[bytes, bytes, bytes]]:
    with Path(file.name).open("rb") as lines:
        next(lines)
        for line in lines:
            cells = line.split(b",`")
            if len(cells) < _WIDTH:
                break
            yield cells[_ORDER], cells[_AMOUNT], cells[_STATE]


# --- the product ----------------------------------------------------------------------------------


def reconciled() -> Any:
    """The kept bill against our books, as a run of the day reads both."""
    from django.db import connection

    from reconciliation.services.running import _Run

    connection.set_autocommit(False)
    merchant, version = _merchant()
    _payments_made(version)
    _bill_kept(merchant)

    def compare() -> None:
        figures = _Run(merchant, DAY).compare()
        if figures.found or figures.matched.lines != LINES or figures.books.payments:
            raise RuntimeError(f"{len(figures.found)} differences")

    return compare


def _merchant() -> tuple[Any, Any]:
    from config.gateways.merchants import Merchant
    from config.gateways.versions import rows_lock, version_append
    from config.models import PaymentConfig
    from tcmpay.common.actor import SYSTEM
    from tcmpay.common.db import money_unit

    for key, value in {"app_id": APP, "mch_id": MERCHANT}.items():
        PaymentConfig.objects.update_or_create(
            payment_method="wechat", config_key=key, defaults={"config_value": value}
        )

    @money_unit
    def append() -> Any:
        return version_append("wechat", rows_lock("wechat"), actor=SYSTEM).id

    return Merchant("wechat", MERCHANT), append()


def _payments_made(version: Any) -> None:
    from django.db import connection

    from payments.models import PaymentTransaction
    from tcmpay.common.clock import day_start
    from tcmpay.common.ids import new_id

    begins = connection.ops.adapt_datetimefield_value(day_start(DAY))
    milliseconds = f"LPAD(HEX(({day_start(DAY).timestamp():.0f} + {SECOND}) * 1000), 12, '0')"
    made = {
        # As ours are: version 7, of the second in which each was begun.
        "id": f"CONCAT(INSERT({milliseconds}, 9, 0, '-'), '-7000-8000-', LPAD(HEX(seq), 12, '0'))",
        "transaction_no": NUMBER,
        "order_id": f"'{new_id()}'",
        "payment_method": "'wechat'",
        "transaction_type": "'payment'",
        "amount": f"({FEN}) / 100",
        "status": "'success'",
        "out_trade_no": NUMBER,
        "external_transaction_id": NUMBER,
        "trade_no": NUMBER,
        "config_version_id": f"'{version}'",
        "disposition": "'applied'",
        "applied_order_id": "UUID()",
        "initiated_at": f"'{begins}'",
        "completed_at": f"'{begins}' + INTERVAL {SECOND} SECOND",
        "booked_at": f"'{begins}' + INTERVAL {SECOND} SECOND",
    }
    table = PaymentTransaction._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE shadow LIKE {table}")
        cursor.execute(f"ALTER TABLE shadow RENAME TO {table}")
        cursor.execute(f"SHOW INDEX FROM {table}")
        indexes: dict[str, set[str]] = {}
        for row in cursor.fetchall():
            indexes.setdefault(row[2], set()).add(row[4])
        for name, columns in indexes.items():  # those that nothing here reads by cost time alone
            if name != "PRIMARY" and "completed_at" not in columns:
                cursor.execute(f"DROP INDEX {name} ON {table}")
        cursor.execute("SET check_constraint_checks = 0")
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(made)})"
            f" SELECT {', '.join(made.values())} FROM seq_1_to_{LINES}"
        )


def _bill_kept(merchant: Any) -> None:
    from gateways.registry import open_bill
    from reconciliation.contents import parts_write
    from reconciliation.models import BillFile
    from reconciliation.services.importing import current_key
    from tcmpay.common import clock

    with bill_written() as file, Path(file.name).open("rb") as written:
        opened = open_bill(merchant.method, "trade", written)
        facts = {
            "payment_method": merchant.method,
            "merchant": merchant.number,
            "day": DAY,
            "bill_type": "trade",
            "sha256": opened.sha256,
        }
        bill = BillFile(**facts, source="fetched", lines=opened.lines, imported_at=clock.now())
        bill.current_key = current_key(facts)
        bill.save(force_insert=True)
        parts_write(bill, opened.file)
        opened.close()


if __name__ == "__main__":
    main(sys.argv[1])

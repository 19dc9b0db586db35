"""What beat and the worker do; and, once nothing is unfinished any more, the verdict."""

import io
import json
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core.management import call_command
from django.db import OperationalError, connections
from django.db.models import QuerySet

from payments.models import PaymentOrder, PaymentTransaction
from payments.selectors import surplus_payments
from payments.services.callbacks import refund_notices_waiting
from payments.services.endings import orders_expire
from payments.services.sweeping import attempts_sweep
from payments.states import OrderStatus, TransactionStatus
from refunds.models import Refund
from refunds.services.notices import notices_take
from refunds.services.submission import refunds_sweep
from refunds.services.surplus import surplus_sweep
from refunds.states import RefundStatus
from tests.trial.comparison import compare, figures, refunds_done
from tests.trial.stage import RESULT_FILE, Stage, StandInControl
from webhooks.services.dispatch import sequences_give

ROUND_SECONDS = 30.0  # of the trial's clock: the beat of the product
SWEEPERS = 2
SHOWN_MAX = 40
PROGRESS_SECONDS = 30.0


class Sweeper:
    """What beat and the worker do, by threads that know nothing of each other."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._control = StandInControl(stage.stand_in_port)
        self._is_settled = threading.Event()
        self._failures: list[str] = []
        self._postponed = 0

    def run(self) -> None:
        with ThreadPoolExecutor(SWEEPERS) as pool:
            sweeping = [pool.submit(self._sweep) for _sweeper in range(SWEEPERS)]
            self._wait_until_settled()
            self._is_settled.set()
            for done in sweeping:
                done.result()
        counted = figures(self._control) | {"sweeps that met a busy database": self._postponed}
        result = {"figures": counted, "differences": self._differences()}
        draft = self._stage.folder / "draft.json"
        draft.write_text(json.dumps(result, ensure_ascii=False))
        draft.rename(self._stage.folder / RESULT_FILE)

    def _sweep(self) -> None:
        sweeps = (
            *(attempts_sweep, orders_expire, notices_take, surplus_sweep, refunds_sweep),
            sequences_give,
        )
        while not self._is_settled.is_set():
            began = time.monotonic()
            for sweep in sweeps:
                try:
                    sweep()
                except OperationalError:
                    # Our database is busy, as on a loaded machine: the next round tries again.
                    self._postponed += 1
                except Exception:
                    # As a task would: the next round tries again. That it happened is a finding.
                    self._failures.append(f"{sweep.__name__}: {traceback.format_exc()}")
            pause = ROUND_SECONDS / self._stage.speed - (time.monotonic() - began)
            self._is_settled.wait(max(pause, 0.005))
        connections.close_all()

    def _wait_until_settled(self) -> None:
        deadline, told_at = None, time.monotonic()
        while True:
            time.sleep(0.2)
            if not self._stage.is_finishing:
                continue
            deadline = deadline or time.monotonic() + self._stage.plan.settle_seconds_max
            unfinished = next(self._unfinished(), None)
            if unfinished is None or time.monotonic() > deadline:
                return
            if time.monotonic() > told_at + PROGRESS_SECONDS:
                told_at = time.monotonic()
                sys.stdout.write(f"settling: {unfinished}\n")

    def _differences(self) -> list[str]:
        found = [*self._failures, *self._unfinished(), *compare(self._control.read("books"))]
        said = io.StringIO()
        try:
            call_command("audit_money", strict=True, stdout=said)
        except SystemExit:
            found += [line for line in said.getvalue().splitlines() if "[提示]" not in line]
        if len(found) > SHOWN_MAX:
            return [*found[:SHOWN_MAX], f"… {len(found) - SHOWN_MAX} more"]
        return found

    def _unfinished(self) -> Iterator[str]:
        """What is under way, here or at the stand-ins."""
        open_things: Mapping[str, QuerySet[Any]] = {
            "order": PaymentOrder.objects.filter(status=OrderStatus.PENDING),
            "attempt": PaymentTransaction.objects.filter(status=TransactionStatus.PENDING),
            "refund": Refund.objects.filter(
                status__in=(RefundStatus.PENDING, RefundStatus.PROCESSING)
            ),
            "surplus": surplus_payments(),
            "notice": refund_notices_waiting(),
        }
        for name, rows in open_things.items():
            for row in rows[:5]:
                yield f"unfinished {name}: {row} {getattr(row, 'status', '')}"
        for refund in Refund.objects.filter(status=RefundStatus.FAILED):
            if (
                refund.refund_amount
                <= refund.transaction.amount - refund.transaction.refund_reserved
            ):
                yield f"unfinished: {refund} failed, could be done: {refund.error_message}"
        books = self._control.read("books")
        for refund in books["refunds"]:
            if refund["status"] in ("PROCESSING", "ABNORMAL"):
                yield f"unfinished at the gateway: {refund['out_refund_no']} {refund['status']}"
        known = {number for _method, number in refunds_done()}
        for refund in books["refunds"]:
            if refund["outside"] and refund["out_refund_no"] not in known:
                yield f"not told yet: {refund['out_refund_no']}"

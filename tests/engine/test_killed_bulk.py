"""The worker of a bulk refund is killed (SIGKILL) in its middle, again and again: once each.

``BULK_ROWS`` says how many rows; `make test-long` takes a thousand on MariaDB.
"""

import os
import random
import signal

ROWS = int(os.environ.get("BULK_ROWS", "100"))
SEED = int(os.environ.get("TEST_SEED", "7"))
# A dead run's lease is two minutes.
LEASE_OVER = 121
KILLS = 6 if ROWS < 500 else 15


def test_each_order_is_refunded_once_whatever_is_killed_when(nursery):
    chance = random.Random(SEED)
    bulk = nursery.tell("bulk_prepare", rows=ROWS)["bulk"]
    ahead = 1
    for number in range(KILLS):
        # Its first COMMIT now and then, on the way otherwise; before it and after it.
        at = 1 if number < 2 else chance.randrange(1, 2 + ROWS // KILLS)
        told = nursery.tell(
            "bulk_run", bulk=bulk, dies_at=at, is_before=number % 2 == 0, ahead_seconds=ahead
        )
        assert told == {"signal": signal.SIGKILL}, (SEED, number, told)
        early = nursery.tell("bulk_run", bulk=bulk, ahead_seconds=ahead + 60)
        assert early == {"done": 0}, "its lease is not over: it may still be alive"
        ahead += LEASE_OVER
    assert nursery.tell("bulk_state", bulk=bulk)["status"] == "running", (SEED, "killed too late")
    nursery.tell("bulk_run", bulk=bulk, ahead_seconds=ahead)
    assert nursery.tell("bulk_state", bulk=bulk) == {
        "status": "finished",
        "outcomes": {"approved": ROWS},
        "states": {"success": ROWS},
        "most_of_an_order": 1,
        "orders_refunded": ROWS,
        "credits": ROWS,
    }
    assert nursery.tell("audit")["findings"] == []

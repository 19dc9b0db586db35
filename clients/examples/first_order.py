"""From an order to its refund, as a platform does it: its back end's token orders and asks for
money back, the patient's token pays.

    python clients/examples/first_order.py BASE SERVICE_TOKEN PATIENT_ID PATIENT_TOKEN
"""

import sys
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "python" / "src"))

from tcmpay_client import Refused, Tcmpay


def main(base: str, service_token: str, patient_id: str, patient_token: str) -> None:
    service, patient = Tcmpay(base, service_token), Tcmpay(base, patient_token)
    order = service.create_order(
        {"user_id": patient_id, "order_type": "consultation", "amount": Decimal("30.00")}
    )
    patient.pay_order({"order_id": order["id"], "payment_method": "balance"})
    paid = service.wait_for_order(order["id"])
    print(f"{paid['order_no']}: {paid['status']}, {paid['refundable_amount']} yuan may go back")

    refund = service.request_refund(
        {"order_id": order["id"], "refund_amount": Decimal("30.00"), "refund_reason": "未使用"}
    )
    print(f"{refund['refund_no']}: {refund['status']}")

    try:
        patient.pay_order({"order_id": order["id"], "payment_method": "balance"})
    except Refused as refused:
        if refused.code != "ORDER_NOT_PAYABLE":
            raise
        print(f"a second payment is refused: {refused.code}")
    for one in service.orders(user_id=patient_id, status="paid"):
        print(f"listed: {one['order_no']} {one['amount']}")
        break


if __name__ == "__main__":
    main(*sys.argv[1:])

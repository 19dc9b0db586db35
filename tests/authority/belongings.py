"""What the owner of the API's table has, made when a line names it."""

from typing import Any

from tcmpay.common.actor import Role
from tests.api.kit import someone
from tests.api.story import Story

NAMES = ("owner", "pending", "started", "paid", "refund", "bulk", "running_bulk", "paused_bulk")


class Belongings:
    def __init__(self, story: Story, role: Role) -> None:
        self.story = story
        self.owner = someone(role)
        self._made: dict[str, str] = {}

    def filled(self, value: Any) -> Any:
        """``value`` with the names of objects in it replaced by their ids."""
        if isinstance(value, dict):
            return {name: self.filled(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.filled(inner) for inner in value]
        if not isinstance(value, str):
            return value
        for name in NAMES:
            if f"{{{name}}}" in value:
                value = value.replace(f"{{{name}}}", self._id(name))
        return value

    def _id(self, name: str) -> str:
        if name not in self._made:
            self._made[name] = str(getattr(self, f"_make_{name}")())
        return self._made[name]

    def _make_owner(self) -> str:
        return self.owner.name

    def _make_pending(self) -> str:
        self.story.fund(self.owner, "30.00")
        return str(self.story.order(self.owner)["id"])

    def _make_started(self) -> str:
        order = self.story.order(self.owner)
        self.story.pay(order, self.owner, "wechat")
        return str(order["id"])

    def _make_paid(self) -> str:
        self.story.fund(self.owner, "30.00")
        return str(self.story.paid_from_balance(self.owner)["id"])

    def _make_refund(self) -> str:
        return str(self.story.refund({"id": self._id("paid")}, self.owner)["id"])

    def _make_bulk(self) -> str:
        body = {"refunds": [{"order_id": self._id("paid")}], "refund_reason": "医生停诊"}
        admin = someone(Role.ADMIN)
        return str(self.story.api.post("admin/refunds/bulk", body, by=admin).accepted(202)["id"])

    def _make_running_bulk(self) -> str:
        return self._put(self._id("bulk"), "review", {"approved": True})

    def _make_paused_bulk(self) -> str:
        return self._put(self._id("running_bulk"), "pause", {})

    def _put(self, bulk: str, step: str, body: dict[str, Any]) -> str:
        address = f"admin/refunds/bulk/{bulk}/{step}"
        self.story.api.put(address, body, by=someone(Role.ADMIN)).accepted()
        return bulk

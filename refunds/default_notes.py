"""The notes that came with the product (migration 0007), for as long as nobody has edited them."""

from refunds.models import RefundNote

NOTES = (
    ("approve", "核对无误，同意退款"),
    ("approve", "医生停诊或改期，同意退款"),
    ("approve", "处方缺药，同意退还差额"),
    ("reject", "服务已完成，不符合退款规则"),
    ("reject", "超出规则可退金额，请按规则金额重新申请"),
    ("reject", "重复申请，已在另一笔退款中处理"),
)

DEFAULT_IDS = frozenset(f"0192f0c2-0000-7000-8000-{n:012d}" for n in range(1, len(NOTES) + 1))


def came_with_the_product(note: RefundNote) -> bool:
    """Whether ``note`` is one of them, and still says what it said."""
    told = {
        f"0192f0c2-0000-7000-8000-{number:012d}": (decision, text, number * 10, True)
        for number, (decision, text) in enumerate(NOTES, start=1)
    }
    is_ = (note.decision, note.text, note.position, note.is_active)
    return told.get(str(note.pk)) == is_

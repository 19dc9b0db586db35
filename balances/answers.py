"""A ledger's entries as they are answered."""

from uuid import UUID

from balances.models import BalanceTransaction
from balances.serializers import BalanceTransactionSchema
from tcmpay.common.api.pages import Page
from tcmpay.common.api.presenters import field_names
from tcmpay.common.compiled import AnswersByKey

entries_told = AnswersByKey(BalanceTransaction.objects.all, field_names(BalanceTransactionSchema))


def entries_page(user_id: UUID, *, page: int, page_size: int) -> Page:
    """A page of the user's ledger, newest first.

    Entries are numbered without a gap: the newest's number is how many there are, and every page,
    however deep, is a stretch of numbers.
    """
    entries = BalanceTransaction.objects.filter(user_id=user_id).order_by("-sequence")
    total = entries.values_list("sequence", flat=True).first() or 0
    last = total - (page - 1) * page_size
    shown = entries.filter(sequence__lte=last, sequence__gt=last - page_size)
    return Page(entries_told(list(shown.values_list("pk", flat=True))), total, page, page_size)

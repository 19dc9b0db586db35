"""When a draft's test still says something about what would be activated."""

import pytest

from config.gateways.drafts import Candidate
from config.models import PaymentConfigDraft


@pytest.mark.parametrize(
    ("draft", "is_tested", "is_outdated"),
    [
        (None, False, False),
        (PaymentConfigDraft(tested_as="", is_test_passed=False), False, False),
        (PaymentConfigDraft(tested_as="this", is_test_passed=True), True, False),
        (PaymentConfigDraft(tested_as="this", is_test_passed=False), False, False),
        (PaymentConfigDraft(tested_as="former", is_test_passed=True), False, True),
    ],
)
def test_only_a_test_of_exactly_this_counts(draft, is_tested, is_outdated):
    candidate = Candidate("wechat", {}, {}, "this", draft)
    assert (candidate.is_tested, candidate.is_test_outdated) == (is_tested, is_outdated)

"""What staff may do about refunds, by the names of Django's permissions."""

REQUEST_PERMISSION = "refunds.request_refund"
REVIEW_PERMISSION = "refunds.review_refund"

"""What writes staff accounts, their second factors and the log of sign-ins; and tokens by hand."""

from tcmpay.accounts.services.tokens import CannotIssueToken, token_issue, token_issue_by_hand

__all__ = ["CannotIssueToken", "token_issue", "token_issue_by_hand"]

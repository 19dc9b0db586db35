"""What beat sends, and how often (seconds). Each task looks in the database for what is due."""

SCHEDULE = {
    "expire-orders": {"task": "payments.expire_orders", "schedule": 60.0},
    "sweep-attempts": {"task": "payments.sweep_attempts", "schedule": 30.0},
    "submit-refunds": {"task": "refunds.sweep", "schedule": 30.0},
    "sweep-events": {"task": "webhooks.sweep", "schedule": 15.0},
    "check-recent-laws": {"task": "backoffice.check_recent_laws", "schedule": 900.0},
    # At night, once; asked more often, as beat may rest.
    "check-all-laws": {"task": "backoffice.check_all_laws", "schedule": 1800.0},
    "watch-alarms": {"task": "backoffice.watch_alarms", "schedule": 60.0},
    "send-notifications": {"task": "notifications.send", "schedule": 60.0},
    "run-exports": {"task": "backoffice.run_exports", "schedule": 60.0},
    "keep-day-figures": {"task": "payments.keep_day_figures", "schedule": 300.0},
    "keep-refund-figures": {"task": "refunds.keep_day_figures", "schedule": 300.0},
    # Bills of the day before are there in the morning; asked for again until they are.
    "fetch-bills": {"task": "reconciliation.fetch_bills", "schedule": 1800.0},
    "download-bills": {"task": "reconciliation.download_bills", "schedule": 60.0},
    "compare-days": {"task": "reconciliation.compare_days", "schedule": 60.0},
    "import-uploads": {"task": "reconciliation.import_uploads", "schedule": 60.0},
    "keep-day-totals": {"task": "backoffice.keep_day_totals", "schedule": 600.0},
    "watch-closing": {"task": "reconciliation.watch_closing", "schedule": 3600.0},
    # An hour is sealed a quarter of an hour after it is over; asked more often, as beat may rest.
    "seal-trail": {"task": "audit.seal_trail", "schedule": 600.0},
    "seal-ledger": {"task": "balances.seal_ledger", "schedule": 600.0},
    "seal-logs": {"task": "payments.seal_logs", "schedule": 600.0},
    "seal-sign-ins": {"task": "accounts.seal_sign_ins", "schedule": 600.0},
    "purge-events": {"task": "webhooks.purge", "schedule": 86_400.0},
    "trim-callback-bodies": {"task": "payments.trim_callback_bodies", "schedule": 86_400.0},
    "purge-guard": {"task": "guard.purge", "schedule": 3600.0},
    "purge-sign-ins": {"task": "accounts.purge_sign_ins", "schedule": 86_400.0},
}

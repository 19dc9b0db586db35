"""Which guard is removed where, and which tests have to notice.

``old`` stands exactly once in its file. A mutant that survives asks for a better test, or for the
guard to go.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """``tests`` are arguments for pytest. ``on_mariadb``: SQLite has no row locks to remove."""

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]
    on_mariadb: bool = False


STALE = ("tests/guards/test_stale_rows.py",)
REFUSES = ("tests/guards/test_database_refuses.py",)
UNITS = ("tests/guards/test_units.py",)
STORIES = ("tests/stateful",)
PAYING = ("tests/api/test_paying.py",)
REFUNDS = ("tests/api/test_refunds.py",)
CALLBACKS = ("tests/api/test_callbacks.py",)
KEYS = ("tests/api/test_idempotency.py",)
AUDIT = ("tests/audit",)
AUTHORITY = ("tests/authority/test_api.py",)
BULKS = ("refunds/tests/test_bulks.py",)
SHORT_OF_FUNDS = ("refunds/tests/test_short_of_funds.py",)
SECOND_PERSON = ("tests/authority/test_second_person.py",)


CASHIER = ("payments/tests/test_cashier_links.py", "tests/api/test_cashier.py")


def races(names: str) -> tuple[str, ...]:
    return ("tests/races", "-k", names)


LOCKS = (
    Mutant(
        "lock: the order",
        "payments/services/orders.py",
        "order = lock(PaymentOrder, id=order_id)",
        "order = PaymentOrder.objects.filter(id=order_id).first()",
        races("eight or (callback and balance)"),
        on_mariadb=True,
    ),
    Mutant(
        "lock: what is locked with something beside it",
        "tcmpay/common/statements.py",
        'tail = " FOR UPDATE" if connection',
        'tail = " FOR UPDATE" if beside is None and connection',
        races("twelve or (freeze and money)"),
        on_mariadb=True,
    ),
    Mutant(
        "unit: durable",
        "tcmpay/common/db.py",
        "with atomic(durable=True):",
        "with atomic():",
        UNITS,
    ),
    Mutant(
        "unit: the trail in the same commit",
        "tcmpay/audit/services.py",
        "if not get_connection().in_atomic_block:",
        "if False:",
        UNITS,
    ),
)

STALE_ROWS = (
    Mutant(
        "from-state: orders, attempts, refunds",
        "tcmpay/audit/transitions.py",
        '{"pk": row.pk, "status": row.status}',
        '{"pk": row.pk}',
        STALE,
    ),
    Mutant(
        "sequence of the balance",
        "balances/services.py",
        '{"id": account.id, "sequence": account.sequence}',
        '{"id": account.id}',
        STALE,
    ),
    Mutant(
        "what refunds hold of a payment",
        "payments/services/refund_money.py",
        "id=payment.id, refund_reserved=payment.refund_reserved, status=",
        "id=payment.id, status=",
        STALE,
    ),
    Mutant(
        "one sweeper asks",
        "payments/services/sweeping.py",
        "id=attempt.id, checks=attempt.checks, next_check_at__lte=now",
        "id=attempt.id",
        STALE,
    ),
)

DATABASE = (
    Mutant(
        "CHECK: balance",
        "balances/migrations/0001_user_balances.py",
        "models.Q(('balance__gte', 0),",
        "models.Q(('balance__gte', -999999),",
        REFUSES,
    ),
    Mutant(
        "CHECK: frozen balance",
        "balances/migrations/0001_user_balances.py",
        "models.Q(('frozen_balance__gte', 0),",
        "models.Q(('frozen_balance__gte', -999999),",
        REFUSES,
    ),
    Mutant(
        "UNIQUE: one fact, one entry",
        "balances/migrations/0007_entries_once_an_occasion.py",
        'fields=("related_id", "related_type", "transaction_type", "occasion")',
        'fields=("related_id", "related_type", "transaction_type", "occasion", "id")',
        REFUSES,
    ),
    Mutant(
        "CHECK: only freezing comes again",
        "balances/migrations/0007_entries_once_an_occasion.py",
        "condition=models.Q(occasion=1)",
        "condition=models.Q(occasion__gte=1)",
        REFUSES,
    ),
    Mutant(
        "CHECK: top-ups from outside",
        "payments/migrations/0038_topup_orders.py",
        "models.Q(('order_type', 'topup'), _negated=True)",
        "models.Q(('order_type', 'x'), _negated=True)",
        REFUSES,
    ),
    Mutant(
        "UNIQUE: sequence",
        "balances/migrations/0002_balance_transactions.py",
        "fields=('user_id', 'sequence')",
        "fields=('user_id', 'sequence', 'id')",
        REFUSES,
    ),
    Mutant(
        "UNIQUE: one applied payment",
        "payments/migrations/0002_payment_transactions.py",
        "('applied_order_id', tcmpay.common.fields.UUIDTextField(blank=True, null=True, unique=True))",  # noqa: E501
        "('applied_order_id', tcmpay.common.fields.UUIDTextField(blank=True, null=True))",
        REFUSES,
    ),
    Mutant(
        "UNIQUE: number at the gateway",
        "payments/migrations/0002_payment_transactions.py",
        "fields=('payment_method', 'out_trade_no')",
        "fields=('payment_method', 'out_trade_no', 'id')",
        REFUSES,
    ),
    Mutant(
        "UNIQUE: number of the gateway",
        "payments/migrations/0002_payment_transactions.py",
        "fields=('payment_method', 'external_transaction_id')",
        "fields=('payment_method', 'external_transaction_id', 'id')",
        REFUSES,
    ),
    Mutant(
        "CHECK: refunds within the payment",
        "payments/migrations/0002_payment_transactions.py",
        "('refund_reserved__lte', models.F('amount'))",
        "('refund_reserved__lte', 99999)",
        REFUSES,
    ),
    Mutant(
        "UNIQUE: one live order of an appointment",
        "payments/migrations/0001_payment_orders.py",
        "('live_appointment_key', models.CharField(blank=True, max_length=64, null=True, unique=True))",  # noqa: E501
        "('live_appointment_key', models.CharField(blank=True, max_length=64, null=True))",
        REFUSES,
    ),
    Mutant(
        "UNIQUE: one approval each",
        "refunds/migrations/0002_refund_approvals.py",
        "fields=('refund', 'reviewer_id')",
        "fields=('refund', 'reviewer_id', 'id')",
        REFUSES,
    ),
    Mutant(
        "UNIQUE: versions of a trail",
        "tcmpay/audit/migrations/0001_audit_events.py",
        "fields=('object_type', 'object_id', 'version')",
        "fields=('object_type', 'object_id', 'version', 'id')",
        REFUSES,
    ),
    Mutant(
        "UNIQUE: idempotency key",
        "tcmpay/limits/migrations/0001_idempotency_keys.py",
        "fields=('caller_id', 'key_hash')",
        "fields=('caller_id', 'key_hash', 'id')",
        REFUSES,
    ),
)

MONEY = (
    Mutant(
        "enough money",
        "balances/services.py",
        """    locked = _lock_account(user_id)
    if locked.account.balance < amount:
        raise InsufficientBalance(available=locked.account.balance, needed=amount)
    return _append(locked, EntryType.EXPENSE""",
        """    locked = _lock_account(user_id)
    return _append(locked, EntryType.EXPENSE""",
        PAYING,
    ),
    Mutant(
        "enough frozen money",
        "balances/services.py",
        "if frozen < amount:",
        "if False:",
        STORIES,
    ),
    Mutant(
        "the ledger ends at the balance",
        "balances/services.py",
        "if at != ends_at or",
        "if False and",
        ("tests/api/test_balances.py", "tests/audit"),
    ),
    Mutant(
        "the ledger's chain",
        "balances/services.py",
        "previous_hash=locked.last_hash,",
        'previous_hash="",',
        AUDIT,
    ),
    Mutant(
        "the ledger's hash",
        "balances/ledger.py",
        "        format_money(entry.amount),\n",
        "",
        ("balances/tests/test_ledger_hash.py",),
    ),
    Mutant(
        "the trail's chain",
        "tcmpay/audit/services.py",
        "event.version, event.previous_hash = head.version + 1, head.hash",
        'event.version, event.previous_hash = head.version + 1, ""',
        AUDIT,
    ),
    Mutant(
        "only the owner pays",
        "payments/services/orders.py",
        "    if not actor.owns(order.user_id):\n        raise Forbidden()\n",
        "",
        AUTHORITY,
    ),
    Mutant(
        "not after its time",
        "payments/services/orders.py",
        "    if order.expire_time <= clock.now():\n        raise OrderExpired()\n",
        "",
        PAYING,
    ),
    Mutant(
        "a cashier's link is over after its order",
        "payments/cashier/links.py",
        "    if clock.now() >= ends_at + SHOWN_AFTER:\n        raise LinkInvalid()\n",
        "",
        CASHIER,
    ),
    Mutant(
        "a cashier's link is signed for nothing else",
        "payments/cashier/links.py",
        'Signer(salt=SALT, sep=".", algorithm="sha256")',
        'Signer(sep=".", algorithm="sha256")',
        CASHIER,
    ),
    Mutant(
        "no cashier for an order that can't be paid",
        "payments/views.py",
        "        orders.ensure_open(order)\n",
        "",
        CASHIER,
    ),
    Mutant(
        "a cashier only of one's own order",
        "payments/views.py",
        "ensure_may_see(actor_of(request), order.user_id)",
        "actor_of(request)",
        AUTHORITY,
    ),
    Mutant(
        "only the owner cancels",
        "payments/services/endings.py",
        "if actor.role not in ORDERERS_FOR_OTHERS and not actor.owns(order.user_id):",
        "if False:",
        ("tests/authority/test_api.py", "tests/api/test_orders.py"),
    ),
    Mutant(
        "orders for oneself",
        "payments/services/orders.py",
        "if actor.role not in ORDERERS_FOR_OTHERS and not actor.owns(command.user_id):",
        "if False:",
        AUTHORITY,
    ),
    Mutant(
        "an amount under priced orders",
        "payments/services/orders.py",
        'or (is_client and settings.ORDER_PRICE_POLICY == "priced")',
        "",
        ("tests/api/test_orders.py",),
    ),
    Mutant(
        "the price asked for",
        "payments/services/orders.py",
        "if command.amount is not None and command.amount != price.amount:",
        "if False:",
        ("tests/api/test_orders.py",),
    ),
    Mutant(
        "a service of the order's type",
        "payments/services/orders.py",
        'if price.order_type not in ("", command.order_type):',
        "if False:",
        ("tests/api/test_orders.py",),
    ),
    Mutant(
        "amounts: the pattern",
        "tcmpay/common/money.py",
        "if not isinstance(text, str) or not _AMOUNT.fullmatch(text):",
        "if not isinstance(text, str):",
        ("tests/api/test_money_input.py",),
    ),
    Mutant(
        "applied only while pending",
        "payments/services/settlement.py",
        "    if order.status == OrderStatus.PENDING:\n        return Disposition.APPLIED",
        "    if order.status != OrderStatus.PAID:\n        return Disposition.APPLIED",
        CALLBACKS,
    ),
    Mutant(
        "the callback's amount",
        "payments/services/settlement.py",
        "if report.amount != attempt.amount:",
        "if False:",
        CALLBACKS,
    ),
    Mutant(
        "a payment told twice",
        "payments/services/settlement.py",
        "if attempt.status == TransactionStatus.SUCCESS:",
        "if False:",
        CALLBACKS,
    ),
    Mutant(
        "paid wins over cancelling",
        "payments/services/endings.py",
        "objects.open().filter(order_id=order_id).exists()",
        "objects.none().exists()",
        races("start and cancel and not dead"),
    ),
)

GIVING_BACK = (
    Mutant(
        "only the owner asks for a refund",
        "refunds/services/requests.py",
        "if actor.role not in REQUESTERS_FOR_OTHERS and not actor.owns(order.user_id):",
        "if False:",
        AUTHORITY,
    ),
    Mutant(
        "refunds within the payment",
        "payments/services/refund_money.py",
        "if amount > available:",
        "if False:",
        REFUNDS,
    ),
    Mutant(
        "nobody approves their own",
        "refunds/services/approvals.py",
        "refund.ensure_may_answer(actor, refund.user_id, decided=RefundAlreadyReviewed, "
        "own=SelfReview)",
        "pass",
        REFUNDS,
    ),
    Mutant(
        "two different people",
        "refunds/services/approvals.py",
        "ensure_not_one_of(actor, *earlier, error=ApprovedByYouAlready)",
        "pass",
        REFUNDS,
    ),
    Mutant(
        "a second approval",
        "refunds/services/approvals.py",
        "return 2 if threshold is not None and reserved > threshold else 1",
        "return 1",
        REFUNDS,
    ),
    Mutant(
        "a bulk's second person",
        "refunds/services/bulks.py",
        "    bulk.ensure_may_answer(actor, decided=BulkAlreadyDecided, own=SelfReview)\n",
        "",
        BULKS,
    ),
    Mutant(
        "a bulk's row once",
        "refunds/services/bulk_runs.py",
        "if row.outcome != BulkOutcome.WAITING or not _runs(bulk.id):",
        "if False:",
        BULKS,
    ),
    Mutant(
        "a paused bulk stands still",
        "refunds/services/bulk_runs.py",
        "        if not _runs(bulk.id):\n            break\n",
        "",
        BULKS,
    ),
    Mutant(
        "who agreed to a bulk, of their own money",
        "refunds/services/bulk_runs.py",
        "if is_somebody_else(approver, refund.requested_by, refund.user_id):",
        "if True:",
        BULKS,
    ),
    Mutant(
        "a bulk as it was previewed",
        "refunds/services/bulks.py",
        "if seen and seen != plan.digest:",
        "if False:",
        BULKS,
    ),
    Mutant(
        "an order in one bulk at a time",
        "refunds/bulk_plan.py",
        "if order.id in elsewhere:",
        "if False:",
        BULKS,
    ),
    Mutant(
        "who may still agree to a bulk",
        "refunds/services/bulk_runs.py",
        "return (maker, approver) if maker and approver else None",
        "return maker, approver or maker",
        BULKS,
    ),
    Mutant(
        "waiting for funds ends nothing",
        "refunds/services/submission.py",
        "if is_short and refund.stopped_by is None and may_wait_for_funds(refund):",
        "if False:",
        SHORT_OF_FUNDS,
    ),
    Mutant(
        "a stopped refund waits for no funds",
        "refunds/services/submission.py",
        "if is_short and refund.stopped_by is None and may_wait_for_funds(refund):",
        "if is_short and may_wait_for_funds(refund):",
        SHORT_OF_FUNDS,
    ),
    Mutant(
        "money written off is not approved by a request from before",
        "refunds/services/requests.py",
        "ensure_not_given_back(payment)",
        "pass",
        ("refunds/tests/test_written_off.py",),
    ),
    Mutant(
        "whoever asked for a bulk resumes nobody else's pause",
        "refunds/services/bulks.py",
        "ensure_not_one_of(actor, *bulk.askers, error=BulkPausedByAnother)",
        "pass",
        SECOND_PERSON,
    ),
    Mutant(
        "reviewers alone pause and end a bulk",
        "refunds/services/bulks.py",
        """    _person(actor)
    bulk = bulk_lock(bulk_id)""",
        """    bulk = bulk_lock(bulk_id)""",
        SECOND_PERSON,
    ),
    Mutant(
        "waiting for funds has an end",
        "refunds/services/funds.py",
        "return since is None or clock.now() - since < WAITING_MAX",
        "return True",
        SHORT_OF_FUNDS,
    ),
    Mutant(
        "the sum again when a failed one is sent again",
        "refunds/services/retries.py",
        "ensure_approved_for_retry(actor, payment, refund, reason)",
        "pass",
        SECOND_PERSON,
    ),
    Mutant(
        "the sum again at the approval",
        "refunds/services/approvals.py",
        "return max(refund.approvals_needed, approvals_needed(reserved) - given)",
        "return refund.approvals_needed",
        SECOND_PERSON,
    ),
    Mutant(
        "nobody decides a case of their own order",
        "payments/services/exceptions.py",
        "ensure_not_one_of(actor, order.user_id, order.created_by, error=OwnCase)",
        "pass",
        SECOND_PERSON,
    ),
    Mutant(
        "no new service below what its orders cost",
        "config/prices/plan.py",
        "if cheapest is None or after >= cheapest:",
        "if True:",
        ("config/prices/tests/test_price_guard.py",),
    ),
    Mutant(
        "reviewed once",
        "tcmpay/common/second_person.py",
        "        if not self.is_waiting:\n            raise decided()\n"
        "        ensure_somebody_else(",
        "        ensure_somebody_else(",
        REFUNDS,
    ),
    Mutant(
        "withdrawn by whoever asked",
        "tcmpay/common/second_person.py",
        "if actor.id is None or self.asked_by != actor.id:",
        "if False:",
        REFUNDS,
    ),
    Mutant(
        "success wins",
        "refunds/services/submission.py",
        "    if refund.status == RefundStatus.SUCCESS:\n"
        "        return Told.CONTRADICTED if report.state in NOT_DONE else Told.AGREED\n",
        "",
        ("tests/guards/test_late_success.py",),
    ),
    Mutant(
        "a suffix only after CLOSED",
        "refunds/services/submission.py",
        "generation = refund.number_generation + 1",
        "generation = refund.number_generation",
        ("tests/gateways/test_refunds.py",),
    ),
    Mutant(
        "surplus goes back once",
        "refunds/services/surplus.py",
        "if payment.refund_reserved >= payment.amount or _was_tried(payment):",
        "if payment.refund_reserved >= payment.amount:",
        ("tests/api/test_surplus.py",),
    ),
)

STRANGERS = (
    Mutant(
        "WeChat: signature",
        "gateways/wechat/wire.py",
        "if not keys.is_signed_by(verifier, text, signature):",
        "if False:",
        ("gateways/wechat/tests/test_callbacks.py",),
    ),
    Mutant(
        "WeChat: freshness",
        "gateways/wechat/wire.py",
        "if not _is_fresh(timestamp, now):",
        "if False:",
        ("gateways/wechat/tests/test_callbacks.py",),
    ),
    Mutant(
        "WeChat: merchant",
        "gateways/wechat/gateway.py",
        'if resource.get("mchid") != self._config.mch_id:',
        "if False:",
        ("gateways/wechat/tests/test_callbacks.py",),
    ),
    Mutant(
        "WeChat: application",
        "gateways/wechat/gateway.py",
        'if "appid" in resource and resource["appid"] not in self._config.known_app_ids:',
        "if False:",
        ("gateways/wechat/tests/test_callbacks.py",),
    ),
    Mutant(
        "Alipay: signature",
        "gateways/alipay/wire.py",
        "if any(keys.is_signed_by(key, text, signature) for text in texts):",
        "if True:",
        ("gateways/alipay/tests/test_callbacks.py",),
    ),
    Mutant(
        "Alipay: application",
        "gateways/alipay/gateway.py",
        'if (is_trade or "app_id" in fields) and fields.get("app_id") != self._config.app_id:',
        "if False:",
        ("gateways/alipay/tests/test_callbacks.py",),
    ),
    Mutant(
        "Alipay: seller",
        "gateways/alipay/gateway.py",
        'if is_trade and self._config.seller_id not in ("", fields.get("seller_id")):',
        "if False:",
        ("gateways/alipay/tests/test_callbacks.py",),
    ),
    Mutant(
        "unsigned callbacks in the demo alone",
        "payments/callbacks.py",
        "if settings.MOCK_CALLBACKS and _looks_unsigned(incoming):",
        "if _looks_unsigned(incoming):",
        CALLBACKS,
    ),
    Mutant(
        "no mock without DEBUG",
        "tcmpay/settings.py",
        "    if _is_on and not DEBUG:\n",
        "    if False:\n",
        ("tests/test_environment.py",),
    ),
    Mutant(
        "tokens: one algorithm",
        "tcmpay/accounts/authentication.py",
        "algorithms=[algorithm],",
        'algorithms=["HS256", "HS384", "HS512", "none"],',
        ("tests/api/test_tokens.py",),
    ),
    Mutant(
        "tokens: claims",
        "tcmpay/accounts/authentication.py",
        '"require": list(REQUIRED_CLAIMS),',
        '"require": ["sub", "role"],',
        ("tests/api/test_tokens.py",),
    ),
    Mutant(
        "tokens: for whom they are",
        "tcmpay/accounts/authentication.py",
        '"verify_aud": bool(audience)},',
        '"verify_aud": False},',
        ("tests/api/test_tokens.py",),
    ),
    Mutant(
        "tokens: roles",
        "tcmpay/accounts/authentication.py",
        "role not in TOKEN_ROLES:",
        "False:",
        ("tests/api/test_tokens.py",),
    ),
    Mutant(
        "roles of an endpoint",
        "tcmpay/common/api/views.py",
        "return actor_of(request).role in view.roles_for(view.action)",
        "return True",
        ("tests/authority/test_api.py",),
    ),
    Mutant(
        "others' objects",
        "tcmpay/common/api/views.py",
        "if actor.role not in READERS and not actor.owns(user_id):",
        "if False:",
        ("tests/authority/test_api.py",),
    ),
    Mutant(
        "others' answers that are what they were",
        "payments/views.py",
        """            ensure_may_see(actor_of(request), as_uuid_or_text(row["user_id"]))
""",
        "",
        ("tests/api/test_etags.py",),
    ),
    Mutant(
        "what refunds hold is another answer",
        "payments/services/refund_marks.py",
        """F("refund_changes") + 1""",
        """F("refund_changes")""",
        ("tests/api/test_etags.py",),
    ),
    Mutant(
        "others' lists",
        "tcmpay/common/api/views.py",
        "if asked is not None and not actor.owns(asked):",
        "if False:",
        ("tests/authority/test_api.py",),
    ),
    Mutant(
        "return_url: origins",
        "payments/serializers.py",
        "return origin in settings.RETURN_URL_ORIGINS",
        "return True",
        PAYING,
    ),
    Mutant(
        "addresses that we are called at",
        "tcmpay/common/addresses.py",
        "    if not _is_public(host):\n",
        "    if False:\n",
        ("tcmpay/common/tests/test_addresses.py",),
    ),
    Mutant(
        "secrets are masked",
        "config/gateways/selectors.py",
        "config_value=STARS if row.config_value and is_write_only(row) else row.config_value",
        "config_value=row.config_value",
        ("config/gateways/tests/test_gateway_config_api.py",),
    ),
    Mutant(
        "secrets are sealed",
        "config/gateways/services.py",
        "row.config_value = seal(value, _place(row)) if value and is_to_seal else value",
        "row.config_value = value",
        ("config/gateways/tests/test_gateway_config_api.py",),
    ),
    Mutant(
        "duplicate keys",
        "tcmpay/common/api/parsers.py",
        "if len(result) != len(pairs):",
        "if False:",
        ("tests/hostile/test_corpus.py",),
    ),
    Mutant(
        "the size of a body",
        "tcmpay/common/api/middleware.py",
        "return int(length) > bound",
        "return False",
        ("tests/api/test_hostile_input.py", "tests/api/test_envelope.py"),
    ),
    Mutant(
        "rate limit",
        "tcmpay/limits/throttling.py",
        "return not tightest.is_exceeded",
        "return True",
        ("tests/api/test_rate_limit.py",),
    ),
    Mutant(
        "one key, one body",
        "tcmpay/limits/services.py",
        "if record.fingerprint != fingerprint:",
        "if False:",
        KEYS,
    ),
    Mutant(
        "one key, one holder",
        "tcmpay/limits/services.py",
        "if record.claimed_at > now - LEASE:",
        "if False:",
        KEYS,
    ),
    Mutant(
        "the dead holder's effect",
        "tcmpay/limits/idempotency.py",
        "if claim.is_takeover and (found := recover(claim.key_id)) is not None:",
        "if False and (found := recover(claim.key_id)) is not None:",
        KEYS,
    ),
)

TOPUPS = ("tests/api/test_topups.py",)
TOPUPS_BACK = ("tests/api/test_topups_given_back.py",)
TOPPING_UP = (
    Mutant(
        "a top-up of one's own",
        "payments/services/topups.py",
        "if not actor.owns(user_id):",
        "if False:",
        AUTHORITY,
    ),
    Mutant(
        "top-ups are off",
        "payments/services/topups.py",
        "if not settings.TOPUPS:",
        "if False:",
        TOPUPS,
    ),
    Mutant(
        "how much is topped up at once",
        "payments/services/topups.py",
        "if not least <= amount <= most:",
        "if False:",
        TOPUPS,
    ),
    Mutant(
        "how much is topped up in a day",
        "payments/services/topups.py",
        "if amount > left:\n        raise TopUpDayLimit",
        "if False:\n        raise TopUpDayLimit",
        TOPUPS,
    ),
    Mutant(
        "how much a balance holds after a top-up",
        "payments/services/topups.py",
        "if amount > left:\n        raise TopUpBalanceLimit",
        "if False:\n        raise TopUpBalanceLimit",
        TOPUPS,
    ),
    Mutant(
        "lock: the balance that is topped up",
        "payments/services/topups.py",
        "held = balance_lock(user_id).held",
        "held = ZERO",
        TOPUPS,
    ),
    Mutant(
        "no top-up from the balance",
        "payments/services/balance_payment.py",
        "if order.order_type == OrderType.TOPUP:",
        "if False:",
        TOPUPS,
    ),
    Mutant(
        "what a balance can't take goes back",
        "payments/services/topups.py",
        "if held + order.amount > most:",
        "if False:",
        TOPUPS,
    ),
    Mutant(
        "a paid top-up is credited",
        "payments/services/settlement.py",
        "topup_credit(order, told, actor)",
        "pass",
        TOPUPS,
    ),
    Mutant(
        "room for what is frozen",
        "balances/services.py",
        "if locked.figures.held + amount > MONEY_MAX:",
        "if locked.account.balance + amount > MONEY_MAX:",
        TOPUPS_BACK,
    ),
    Mutant(
        "what refunds hold is not released by hand",
        "balances/services.py",
        "frozen = account.frozen_balance - held_for_refunds(user_id)",
        "frozen = account.frozen_balance",
        TOPUPS_BACK,
    ),
    Mutant(
        "no more is held than is there",
        "balances/services.py",
        "locked = _lock_account(user_id)\n    if locked.account.balance < amount:\n        raise"
        " InsufficientBalance(available=locked.account.balance, needed=amount)\n    return"
        " _append_again",
        "locked = _lock_account(user_id)\n    return _append_again",
        TOPUPS_BACK,
    ),
    Mutant(
        "a hold is in the hash",
        "balances/ledger.py",
        "if entry.occasion != 1:",
        "if False:",
        ("balances/tests/test_ledger_hash.py",),
    ),
    Mutant(
        "what goes back of a top-up is held",
        "refunds/services/requests.py",
        "give_back_hold(LockedRefund(order, payment, refund), actor)",
        "pass",
        TOPUPS_BACK,
    ),
    Mutant(
        "what failed is free again",
        "refunds/services/submission.py",
        "give_back_release(LockedRefund(refund.order, payment, refund), actor)",
        "pass",
        TOPUPS_BACK,
    ),
    Mutant(
        "what is sent again is held again",
        "refunds/services/retries.py",
        "refund, reason)\n    give_back_hold(locked, actor)",
        "refund, reason)",
        TOPUPS_BACK,
    ),
    Mutant(
        "what went back has left the balance",
        "refunds/services/submission.py",
        "give_back_pay_out(locked, actor)",
        "pass",
        TOPUPS_BACK,
    ),
    Mutant(
        "what went back after all has to be there",
        "refunds/services/submission.py",
        "if not is_spent(refund) and is_short_for_give_back(order, payment, refund.refund_amount):",
        "if False:",
        TOPUPS_BACK,
    ),
    Mutant(
        "what was written off has left the balance",
        "refunds/services/cases.py",
        "give_back_write_off(locked, actor)",
        "pass",
        ("refunds/tests/test_give_backs_written_off.py",),
    ),
    Mutant(
        "what went back another way is not asked back",
        "refunds/services/own_cases.py",
        "if available < amount <= payment.amount - payment.refund_reserved:",
        "if False:",
        ("refunds/tests/test_written_off.py",),
    ),
    Mutant(
        "what went back in the console has to be there",
        "refunds/services/outside.py",
        "if is_short_for_give_back(order, payment, amount):",
        "if False:",
        TOPUPS_BACK,
    ),
    Mutant(
        "money twice in no statistics",
        "payments/day_figures.py",
        ".exclude(order_type=OrderType.TOPUP)",
        ".all()",
        TOPUPS,
    ),
    Mutant(
        "a top-up is no income",
        "reconciliation/vouchers.py",
        'return "balances" if order_type == OrderType.TOPUP else "receipts"',
        'return "receipts"',
        ("reconciliation/tests/test_topups_in_books.py",),
    ),
)

CLOSED_DAYS = ("payments/tests/test_closed_days.py",)
CLOSING = ("reconciliation/tests/test_closing.py",)
CLOSED = (
    Mutant(
        "lock: the watermark",
        "payments/services/closed_days.py",
        "rows = BookingWatermark.objects.select_for_update()",
        "rows = BookingWatermark.objects.all()",
        races("closing"),
        on_mariadb=True,
    ),
    Mutant(
        "late money leaves a closed day alone",
        "payments/services/closed_days.py",
        "return (day if through is None or day > through else through + ONE_DAY), moment",
        "return day, moment",
        CLOSED_DAYS,
    ),
    Mutant(
        "a day closes after its end",
        "payments/services/closed_days.py",
        "if clock.now() < closable_from(day):",
        "if False:",
        CLOSED_DAYS,
    ),
    Mutant(
        "days close in order",
        "payments/services/closed_days.py",
        "if watermark.closed_through not in (None, day - ONE_DAY):",
        "if False:",
        CLOSED_DAYS,
    ),
    Mutant(
        "nothing stands in the way of a close",
        "reconciliation/services/closing.py",
        "if found := list(blocks(day, figures)):",
        "if False:",
        CLOSING,
    ),
    Mutant(
        "signed is what was put forward",
        "reconciliation/services/closing.py",
        "if (close.figures, close.bills) != _looked_at(close.day):",
        "if False:",
        CLOSING,
    ),
    Mutant(
        "only the newest day opens again",
        "reconciliation/services/closing.py",
        "if watermark.closed_through != close.day:",
        "if False:",
        CLOSING,
    ),
)

OUTBOX = ("tests/events/test_outbox.py",)
DELIVERY = ("tests/events/test_delivery.py",)
ADDRESSES = ("tests/events/test_addresses.py",)
EVENT_LAWS = ("tests/events/test_invariants.py",)
FEED = ("tests/events/test_feed.py",)
EVENTS = (
    Mutant(
        "an order's change of state has its event",
        "payments/services/orders.py",
        "    told = transition(order, to_state, table=ORDER_TRANSITIONS, cause=cause, **changes)\n"
        "    order_announce(order, told)\n",
        "    told = transition(order, to_state, table=ORDER_TRANSITIONS, cause=cause, **changes)\n",
        OUTBOX,
    ),
    Mutant(
        "a refund's change of state has its event",
        "refunds/services/states.py",
        "    refund_announce(refund, told)\n",
        "",
        OUTBOX,
    ),
    Mutant(
        "a case has its event",
        "payments/services/exceptions.py",
        "        case_announce(case, told)\n",
        "",
        OUTBOX,
    ),
    Mutant(
        "nothing is promised outside of a unit",
        "webhooks/outbox.py",
        "if not get_connection().in_atomic_block:",
        "if False:",
        OUTBOX,
    ),
    Mutant(
        "an event waits for the earlier ones of its object",
        "webhooks/services/delivery.py",
        "due.filter(free, ~Exists(earlier))",
        "due.filter(free)",
        DELIVERY,
    ),
    Mutant(
        "a lease that somebody else holds is left alone",
        "webhooks/services/delivery.py",
        "due.filter(free, ~Exists(earlier))",
        "due.filter(~Exists(earlier))",
        DELIVERY,
    ),
    Mutant(
        "sequences follow versions",
        "webhooks/services/dispatch.py",
        "sorted(own, key=lambda event: event.object_version)",
        "own",
        ("tests/events/test_sequences.py",),
    ),
    Mutant(
        "events without a number are not listed",
        "webhooks/selectors.py",
        "WebhookEvent.objects.filter(sequence__gt=after, sequence__lte=last)",
        "WebhookEvent.objects.all()",
        FEED,
    ),
    Mutant(
        "a name is looked up when it is saved",
        "webhooks/services/endpoints.py",
        '    if is_cut:\n        raise EndpointAddressRefused(_("这个域名指向内网地址"))',
        '    if False:\n        raise EndpointAddressRefused(_("这个域名指向内网地址"))',
        ADDRESSES,
    ),
    Mutant(
        "calls go through the guard",
        "webhooks/services/sending.py",
        "return guard(pool, is_loopback_allowed=is_loopback_allowed)",
        "return pool",
        ADDRESSES,
    ),
    Mutant(
        "what is owed to an endpoint is kept",
        "webhooks/services/purging.py",
        "WebhookEvent.objects.filter(~Exists(owed), sequence__isnull=False)",
        "WebhookEvent.objects.filter(sequence__isnull=False)",
        EVENT_LAWS,
    ),
)

MUTANTS = (
    *(
        *LOCKS,
        *STALE_ROWS,
        *DATABASE,
        *MONEY,
        *GIVING_BACK,
        *TOPPING_UP,
        *CLOSED,
        *EVENTS,
        *STRANGERS,
    ),
)

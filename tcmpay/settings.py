"""Django settings, all from the environment. docs/configuration.md has the table."""

import logging
import re
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.urls import reverse_lazy

from backoffice.site.unfold import UNFOLD  # noqa: F401
from payments.cashier.ways import WAYS_BY_CODE
from tcmpay import api_enumerations, beat_schedule, cors
from tcmpay.common.content_policy import POLICY
from tcmpay.common.money import MoneyError, parse_money
from tcmpay.environment import Secrets, load_env
from tcmpay.logs import logging_of, logs_begin
from tcmpay.telemetry import read_telemetry
from tcmpay.version import __version__
from tcmpay.watching import is_http_address, read_watching

BASE_DIR = Path(__file__).resolve().parent.parent
env = load_env(BASE_DIR)

DEBUG: bool = env.bool("DEBUG", default=False)
secrets = Secrets(env, debug=DEBUG, development_file=BASE_DIR / ".dev-secrets.json")

SECRET_KEY = secrets.require("SECRET_KEY")
CONFIG_ENCRYPTION_KEYS: list[str] = [
    key.strip()
    for key in secrets.require("CONFIG_ENCRYPTION_KEYS", fernet=True).split(",")
    if key.strip()
]
# The audit's chains and digests; without them CONFIG_ENCRYPTION_KEYS stand in (audit/macs.py).
AUDIT_CHAIN_KEYS: list[str] = [
    key.strip() for key in secrets.optional("AUDIT_CHAIN_KEYS").split(",") if key.strip()
]
secrets.check_each("AUDIT_CHAIN_KEYS", AUDIT_CHAIN_KEYS)
# Where the roots of what was sealed are kept besides the log (audit/roots.py).
AUDIT_ROOT_FILE: str = env.str("AUDIT_ROOT_FILE", default="")
AUDIT_ROOT_URL: str = env.str("AUDIT_ROOT_URL", default="")
if AUDIT_ROOT_URL and not is_http_address(AUDIT_ROOT_URL, debug=DEBUG):
    secrets.complain("AUDIT_ROOT_URL must begin with https://")
NOTIFY, ALARMING, LIVENESS = read_watching(env, secrets, debug=DEBUG)
TELEMETRY = read_telemetry(env, secrets, debug=DEBUG)
# What the backup leaves behind when it is done (deploy/backup/): read by doctor and /metrics.
BACKUP_STAMP_FILE: str = env.str("BACKUP_STAMP_FILE", default="")

# --- who may call -----------------------------------------------------------------------------
JWT_PUBLIC_KEY = secrets.optional("JWT_PUBLIC_KEY", lines=True)
JWT_ALGORITHM: str = env.str("JWT_ALGORITHM", default="" if JWT_PUBLIC_KEY else "HS256")
JWT_SECRET = "" if JWT_PUBLIC_KEY else secrets.require("JWT_SECRET")
if JWT_PUBLIC_KEY and secrets.optional("JWT_SECRET"):
    secrets.complain("JWT_SECRET and JWT_PUBLIC_KEY are both set: one algorithm per key, unset one")
if JWT_PUBLIC_KEY and JWT_ALGORITHM not in {"RS256", "ES256"}:
    secrets.complain("JWT_PUBLIC_KEY needs JWT_ALGORITHM=RS256 or ES256")
if not JWT_PUBLIC_KEY and JWT_ALGORITHM != "HS256":
    secrets.complain("JWT_SECRET needs JWT_ALGORITHM=HS256; the others need JWT_PUBLIC_KEY")
if JWT_SECRET and len(JWT_SECRET.encode()) < 32:
    secrets.complain("JWT_SECRET must have at least 32 bytes")
if JWT_PUBLIC_KEY:
    # Used as it was checked: PEM, however it was written.
    JWT_PUBLIC_KEY = secrets.check_public_key("JWT_PUBLIC_KEY", JWT_PUBLIC_KEY, JWT_ALGORITHM)
# Where the platform's tokens name them: a token meant for another service is refused.
JWT_AUDIENCE: str = env.str("JWT_AUDIENCE", default="")
JWT_ISSUER: str = env.str("JWT_ISSUER", default="")
secrets.check_apart("SECRET_KEY", "JWT_SECRET", "CONFIG_ENCRYPTION_KEYS")

ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["*"] if DEBUG else [])
if not DEBUG and not ALLOWED_HOSTS:
    secrets.complain("ALLOWED_HOSTS is empty: name the hosts that the service answers to")
if not DEBUG and "*" in ALLOWED_HOSTS:
    secrets.complain("ALLOWED_HOSTS=* answers to every name: name the hosts")
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# Cookies that begin with __Host-, the policies by path and the gateways' callbacks need the root.
for _name in ("SCRIPT_NAME", "FORCE_SCRIPT_NAME"):
    if env.is_set(_name):
        secrets.complain(f"{_name} is set: tcmpay is served at the root of a host name of its own")

# --- the rules of the business ----------------------------------------------------------------
ORDER_EXPIRE_MINUTES: int = env.int("ORDER_EXPIRE_MINUTES", default=120)
if not 1 <= ORDER_EXPIRE_MINUTES <= 60 * 24 * 15:
    secrets.complain("ORDER_EXPIRE_MINUTES must lie between 1 and 21600 (15 days)")
ORDER_PRICE_POLICY: str = env.str("ORDER_PRICE_POLICY", default="open" if DEBUG else "priced")
if ORDER_PRICE_POLICY not in {"open", "priced"}:
    secrets.complain("ORDER_PRICE_POLICY must be open or priced")
APPOINTMENT_ORDERS_BY: str = env.str("APPOINTMENT_ORDERS_BY", default="anyone")
if APPOINTMENT_ORDERS_BY not in {"anyone", "service"}:
    secrets.complain("APPOINTMENT_ORDERS_BY must be anyone or service")
LATE_PAYMENT_POLICY: str = env.str("LATE_PAYMENT_POLICY", default="refund")
if LATE_PAYMENT_POLICY not in {"refund", "hold"}:
    secrets.complain("LATE_PAYMENT_POLICY must be refund or hold")
# Users may top their balances up (docs/finance.md says what that means for a clinic): by how
# much (yuan) at once and in a Shanghai day, and what the balance may hold afterwards.
TOPUPS: bool = env.bool("TOPUPS", default=False)
TOPUP_BOUNDS: dict[str, Decimal] = {}
for _name, _text in (
    ("TOPUP_AMOUNT_MIN", env.str("TOPUP_AMOUNT_MIN", default="1.00")),
    ("TOPUP_AMOUNT_MAX", env.str("TOPUP_AMOUNT_MAX", default="2000.00")),
    ("TOPUP_DAY_MAX", env.str("TOPUP_DAY_MAX", default="5000.00")),
    ("TOPUP_BALANCE_MAX", env.str("TOPUP_BALANCE_MAX", default="10000.00")),
):
    try:
        TOPUP_BOUNDS[_name] = parse_money(_text)
    except MoneyError:
        secrets.complain(f"{_name} must be an amount such as 500.00")
if list(TOPUP_BOUNDS.values()) != sorted(TOPUP_BOUNDS.values()):
    secrets.complain(" <= ".join(TOPUP_BOUNDS) + " must hold")
REFUND_SECOND_APPROVAL_OVER: Decimal | None = None
if _threshold := env.str("REFUND_SECOND_APPROVAL_OVER", default=""):
    try:
        REFUND_SECOND_APPROVAL_OVER = parse_money(_threshold)
    except MoneyError:
        secrets.complain("REFUND_SECOND_APPROVAL_OVER must be an amount such as 500.00")
# A change of price beyond so many percent, measured over the last days (config/prices/guard.py),
# waits for a second person; 0: never. The API is guarded
# too, but only where the deployment asked for it: its documented answer is the changed price.
PRICE_CHANGE_SECOND_PERSON_OVER_PERCENT: int = env.int(
    "PRICE_CHANGE_SECOND_PERSON_OVER_PERCENT", default=50
)
if PRICE_CHANGE_SECOND_PERSON_OVER_PERCENT < 0:
    secrets.complain("PRICE_CHANGE_SECOND_PERSON_OVER_PERCENT must be 0 (off) or more")
IS_PRICE_API_GUARDED: bool = (
    env.is_set("PRICE_CHANGE_SECOND_PERSON_OVER_PERCENT")
    and PRICE_CHANGE_SECOND_PERSON_OVER_PERCENT > 0
)
# Whoever edited a draft of the gateway configuration may not be the one who activates it.
CONFIG_ACTIVATION_SECOND_PERSON: bool = env.bool("CONFIG_ACTIVATION_SECOND_PERSON", default=False)
# From when (time of day in Asia/Shanghai) it is told that yesterday is not closed yet.
DAY_CLOSE_REMIND_AT: time = time(17)
if _text := env.str("DAY_CLOSE_REMIND_AT", default=""):
    try:
        DAY_CLOSE_REMIND_AT = time.fromisoformat(_text)
    except ValueError:
        secrets.complain("DAY_CLOSE_REMIND_AT must be a time of day such as 17:00")
# The first business day to be closed, where books from before are closed elsewhere.
DAY_CLOSE_FROM: date | None = None
if _text := env.str("DAY_CLOSE_FROM", default=""):
    try:
        DAY_CLOSE_FROM = date.fromisoformat(_text)
    except ValueError:
        secrets.complain("DAY_CLOSE_FROM must be a day such as 2026-12-01")
# Numbers of accounts in vouchers for a ledger system (reconciliation/vouchers.py has their names).
LEDGER_ACCOUNTS: dict[str, str] = {
    "wechat": "1012.01",
    "alipay": "1012.02",
    "topups": "1002",
    "openings": "1221",
    "balances": "2205",
    "surplus": "2241",
    "receipts": "6001",
    "fees": "6603",
    "coupons": "6601",
    "adjustments": "6711",
}
for _pair in env.list("LEDGER_ACCOUNTS", default=[]):
    _name, _colon, _number = _pair.partition(":")
    if _name not in LEDGER_ACCOUNTS or not re.fullmatch(r"[0-9A-Za-z.\-]{1,32}", _number):
        secrets.complain(
            "LEDGER_ACCOUNTS must be pairs such as wechat:1012.01, separated by commas; known: "
            + ", ".join(LEDGER_ACCOUNTS)
        )
        break
    LEDGER_ACCOUNTS[_name] = _number
# Raw messages of gateways name payers; their digests are kept for ever.
RETENTION_CALLBACK_BODY_DAYS: int = env.int("RETENTION_CALLBACK_BODY_DAYS", default=0)
if RETENTION_CALLBACK_BODY_DAYS and not 90 <= RETENTION_CALLBACK_BODY_DAYS <= 36_500:
    secrets.complain("RETENTION_CALLBACK_BODY_DAYS must be 0 (kept for ever) or 90 to 36500")
# Empty with DEBUG on: any https origin and localhost. Empty with DEBUG off: none.
RETURN_URL_ORIGINS: list[str] = env.list("RETURN_URL_ORIGINS", default=[])
# Empty: no page of another origin calls the API from a browser.
CORS_ALLOWED_ORIGINS: list[str] = env.list("CORS_ALLOWED_ORIGINS", default=[])
if _problem := cors.origins_problem(CORS_ALLOWED_ORIGINS, debug=DEBUG):
    secrets.complain(f"CORS_ALLOWED_ORIGINS {_problem}")
CORS_URLS_REGEX = cors.URLS_REGEX
CORS_ALLOW_METHODS = cors.METHODS
CORS_ALLOW_HEADERS = cors.REQUEST_HEADERS
CORS_EXPOSE_HEADERS = cors.EXPOSED_HEADERS
CORS_PREFLIGHT_MAX_AGE = cors.PREFLIGHT_SECONDS
# The cashier's ways to pay, where the merchant lacks the product of one; empty: all of them.
CASHIER_WAYS: list[str] = env.list("CASHIER_WAYS", default=[])
if set(CASHIER_WAYS) - set(WAYS_BY_CODE):
    secrets.complain("CASHIER_WAYS must be some of " + ", ".join(WAYS_BY_CODE))
# Where payers reach the cashier, if the platform's back end reaches the API by another name.
CASHIER_BASE_URL: str = env.str("CASHIER_BASE_URL", default="").rstrip("/")
if CASHIER_BASE_URL and not (
    re.fullmatch(r"https?://[^/?#@\s]+", CASHIER_BASE_URL)
    and (DEBUG or CASHIER_BASE_URL.startswith("https:"))
):
    secrets.complain("CASHIER_BASE_URL must be an address such as https://pay.example.com")
RATE_LIMIT_PER_MINUTE: int = env.int("RATE_LIMIT_PER_MINUTE", default=1200)
# Lower limits for one class of endpoints each; 0: only the common one.
RATE_LIMIT_SERVICE_PER_MINUTE: int = env.int("RATE_LIMIT_SERVICE_PER_MINUTE", default=12000)
RATE_LIMIT_READS_PER_MINUTE: int = env.int("RATE_LIMIT_READS_PER_MINUTE", default=0)
RATE_LIMIT_MONEY_PER_MINUTE: int = env.int("RATE_LIMIT_MONEY_PER_MINUTE", default=0)
RATE_LIMIT_SYNC_PER_MINUTE: int = env.int("RATE_LIMIT_SYNC_PER_MINUTE", default=0)
RATE_LIMIT_PUBLIC_PER_MINUTE: int = env.int("RATE_LIMIT_PUBLIC_PER_MINUTE", default=0)
# Callbacks whose signature does not verify, per address; those that verify are never limited.
RATE_LIMIT_FORGED_PER_MINUTE: int = env.int("RATE_LIMIT_FORGED_PER_MINUTE", default=300)
# Over one link of the cashier, its page's questions included.
RATE_LIMIT_CASHIER_PER_MINUTE: int = env.int("RATE_LIMIT_CASHIER_PER_MINUTE", default=120)
# How many proxies of ours stand in front and append to X-Forwarded-For.
TRUSTED_PROXY_HOPS: int = env.int("TRUSTED_PROXY_HOPS", default=0)
if not 0 <= TRUSTED_PROXY_HOPS <= 10:
    secrets.complain("TRUSTED_PROXY_HOPS must lie between 0 and 10")
# Who may read /metrics. Without it only this machine, and only directly.
METRICS_TOKEN = secrets.optional("METRICS_TOKEN")
if METRICS_TOKEN and len(METRICS_TOKEN.encode()) < 16:
    secrets.complain("METRICS_TOKEN must have at least 16 bytes")
# A second factor for every staff account; without it who wants one may have one.
STAFF_TOTP_REQUIRED: bool = env.bool("STAFF_TOTP_REQUIRED", default=not DEBUG)
STAFF_IDLE_MINUTES: int = env.int("STAFF_IDLE_MINUTES", default=30)
STAFF_SESSION_HOURS: int = env.int("STAFF_SESSION_HOURS", default=8)
if not 1 <= STAFF_IDLE_MINUTES <= 24 * 60:
    secrets.complain("STAFF_IDLE_MINUTES must lie between 1 and 1440")
if not 1 <= STAFF_SESSION_HOURS <= 24:
    secrets.complain("STAFF_SESSION_HOURS must lie between 1 and 24")
if not DEBUG and not STAFF_TOTP_REQUIRED:
    secrets.complain("STAFF_TOTP_REQUIRED can't be turned off with DEBUG off")
secrets.check_addresses()
MOCK_CALLBACKS: bool = env.bool("MOCK_CALLBACKS", default=False)
# Of stand-ins, in place of the configured addresses.
GATEWAY_BASE_URLS: dict[str, str] = {
    "wechat": env.str("WECHATPAY_BASE_URL", default=""),
    "alipay": env.str("ALIPAY_GATEWAY_URL", default=""),
}
for _name, _is_on in (
    ("MOCK_CALLBACKS", MOCK_CALLBACKS),
    ("WECHATPAY_BASE_URL", GATEWAY_BASE_URLS["wechat"]),
    ("ALIPAY_GATEWAY_URL", GATEWAY_BASE_URLS["alipay"]),
):
    if _is_on and not DEBUG:
        secrets.complain(f"{_name} is for development and can't be set with DEBUG off")

# --- Django -----------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "tcmpay.accounts",
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_structlog",
    "django_otp",
    "axes",
    "tcmpay.audit",
    "tcmpay.limits",
    "tcmpay.notifications",
    "webhooks",
    "config",
    "balances",
    "payments",
    "refunds",
    "reconciliation",
    "backoffice",
]
if DEBUG:
    # Whoever points a gateway's address at the stand-ins makes up payments.
    INSTALLED_APPS += ["simulator"]
MIDDLEWARE = [
    "tcmpay.common.headers.SecurityHeadersMiddleware",
    "tcmpay.common.api.metrics.RequestMetricsMiddleware",
    "tcmpay.audit.middleware.RequestIdMiddleware",
    "tcmpay.limits.middleware.RateLimitHeadersMiddleware",
    "tcmpay.common.api.middleware.ContractErrorMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "tcmpay.page_middleware.StaticFiles",
    "tcmpay.page_middleware.ContentPolicy",
    "tcmpay.page_middleware.Session",
    "django.middleware.locale.LocaleMiddleware",
    "tcmpay.page_middleware.Common",
    "django.middleware.csrf.CsrfViewMiddleware",
    "tcmpay.page_middleware.Authentication",
    "tcmpay.page_middleware.SecondFactor",
    "tcmpay.page_middleware.Messages",
    "tcmpay.page_middleware.StaffSession",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "tcmpay.limits.request_log.RequestLogMiddleware",
    "tcmpay.page_middleware.StrangerLimit",
    "axes.middleware.AxesMiddleware",
    "tcmpay.page_middleware.DirectionsShown",
]
if CORS_ALLOWED_ORIGINS:
    MIDDLEWARE = cors.with_cors(MIDDLEWARE)
ROOT_URLCONF = "tcmpay.urls"
WSGI_APPLICATION = "tcmpay.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # Before the libraries' own: each subject of the staff's room has its own beside its pages.
        "DIRS": [
            *sorted((BASE_DIR / "backoffice").glob("*/templates")),
            BASE_DIR / "payments" / "cashier" / "templates",
        ],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.StaffUser"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
_validators = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{_validators}.UserAttributeSimilarityValidator"},
    {"NAME": f"{_validators}.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": f"{_validators}.CommonPasswordValidator"},
    {"NAME": f"{_validators}.NumericPasswordValidator"},
]
# Wrong so often, from one address, and the account is locked for that address for so long.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "tcmpay.accounts.lockout.counted_address"
AXES_LOCKOUT_CALLABLE = "tcmpay.accounts.lockout.locked_answer"
AXES_SENSITIVE_PARAMETERS = ["username", "password", "code", "csrfmiddlewaretoken"]
# The log of sign-ins is our own: staff_sign_ins.
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
APPEND_SLASH = False
# Larger bodies are refused by our own middleware with the contract's answer.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
API_BODY_MAX_BYTES = 64 * 1024
# Calls that name thousands of orders, by their path.
API_LONG_BODIES = {"/api/v1/payment/admin/refunds/bulk": 1536 * 1024}
# Files come through the pages of staff alone, and not in any size.
FILE_UPLOAD_HANDLERS = [
    "backoffice.site.uploads.BoundedUpload",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]

# --- database ---------------------------------------------------------------------------------
MYSQL_SESSION = (
    "SET time_zone='+00:00', "
    "sql_mode='STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', "
    "innodb_lock_wait_timeout=10"
)


def database(options: dict[str, Any], *, snapshot: bool = False) -> dict[str, Any]:
    """The database of DATABASE_URL, set up so that money is safe in it.

    With ``snapshot`` the connection is for long consistent reads: REPEATABLE READ on
    MariaDB/MySQL, a deferred read transaction on SQLite.
    """
    result = dict(options)
    given = dict(result.get("OPTIONS") or {})
    if result["ENGINE"].endswith("mysql"):
        result["OPTIONS"] = {
            "charset": "utf8mb4",
            "isolation_level": "repeatable read" if snapshot else "read committed",
            "init_command": MYSQL_SESSION,
            "connect_timeout": 5,
            # A silent server or line must not hold a thread for ever. Longer than any lock wait;
            # reports read longer, and so may a migration: DATABASE_URL=…?read_timeout=3600.
            "read_timeout": 3600 if snapshot else 30,
            "write_timeout": 30,
            **given,
        }
    elif result["ENGINE"].endswith("sqlite3"):
        if result["NAME"] and result["NAME"] != ":memory:":
            # A relative name lies in the project's folder, wherever the command was started.
            result["NAME"] = str(BASE_DIR / result["NAME"])
        result["OPTIONS"] = {
            # IMMEDIATE: a transaction that will write takes its lock at once, instead of failing
            # with "database is locked" when it finds that another one wrote in between.
            "transaction_mode": "DEFERRED" if snapshot else "IMMEDIATE",
            "timeout": 20,
            # FULL: a commit that was answered survives a power cut.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
            **given,
        }
    result["CONN_MAX_AGE"] = env.int("DATABASE_CONN_MAX_AGE_SECONDS", default=60)
    result["CONN_HEALTH_CHECKS"] = True
    result["ATOMIC_REQUESTS"] = False
    is_mysql = result["ENGINE"].endswith("mysql")
    result["TEST"] = {"CHARSET": "utf8mb4"} if is_mysql else {}
    if snapshot:
        result["TEST"] = {"MIRROR": "default"}
    return result


_database_options = env.database("DATABASE_URL", default="sqlite:///db.sqlite3" if DEBUG else "")
if not _database_options:
    # Complained about: the process does not start, and nothing is ever asked of this one.
    _database_options = {"ENGINE": "django.db.backends.dummy", "NAME": ""}
SQLITE_IN_PRODUCTION: bool = env.bool("SQLITE_IN_PRODUCTION", default=False)
if not DEBUG and not SQLITE_IN_PRODUCTION and _database_options["ENGINE"].endswith("sqlite3"):
    secrets.complain("DATABASE_URL is SQLite: if that is meant, set SQLITE_IN_PRODUCTION=yes")
# A replica for reads that may lag; without it they go to the database itself.
IS_REPLICA_SET = bool(env.secret("DATABASE_REPLICA_URL"))
_replica_options = env.database("DATABASE_REPLICA_URL") if IS_REPLICA_SET else _database_options
if _replica_options and _replica_options["ENGINE"] != _database_options["ENGINE"]:
    secrets.complain("DATABASE_REPLICA_URL must be of the same kind as DATABASE_URL")
DATABASES = {
    "default": database(_database_options),
    "snapshot": database(_replica_options or _database_options, snapshot=True),
}
# The alias that audits and exports read through, and nothing that moves money.
SNAPSHOT_DATABASE = "snapshot"
DATABASE_ROUTERS = ["tcmpay.common.replica.NothingIsWrittenThere"]

# --- cache and queue --------------------------------------------------------------------------
CACHES = {"default": env.cache("CACHE_URL", default="locmemcache://tcmpay")}
if CACHES["default"]["BACKEND"].endswith("RedisCache"):
    # A cache that is away costs a moment, once: what it holds is in the database too.
    CACHES["default"]["BACKEND"] = "tcmpay.common.redis_cache.ImpatientRedisCache"
PRICE_CACHE_SECONDS = 30  # rows edited by SQL are seen within 60 seconds

CELERY_BROKER_URL: str = env.broker(
    "CELERY_BROKER_URL",
    default="filesystem://" if DEBUG else "redis://127.0.0.1:6379/0",
)
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
    "visibility_timeout": 120,
    # Longer than a worker's own waiting for the next task (one second).
    "socket_timeout": 3,
    "socket_connect_timeout": 2,
}
if urlsplit(CELERY_BROKER_URL).scheme == "filesystem":
    _broker_dir = Path(env.str("CELERY_FILESYSTEM_DIR", default=str(BASE_DIR / ".demo" / "broker")))
    # Nothing is made for settings that are refused.
    for _folder in () if env.problems else ("messages", "control"):
        try:
            (_broker_dir / _folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            secrets.complain(f"CELERY_FILESYSTEM_DIR can't be used as a folder ({error.strerror})")
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_broker_dir / "messages"),
        "data_folder_out": str(_broker_dir / "messages"),
        "control_folder": str(_broker_dir / "control"),
    }
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = 90
CELERY_TASK_TIME_LIMIT = 110
# A broker that is away must not hold up a payment: sweeps of the database find the work again.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "Asia/Shanghai"
CELERY_BEAT_SCHEDULER = "tcmpay.beat.Scheduler"
# (seconds) A clock that was turned back is noticed after so long.
CELERY_BEAT_MAX_LOOP_INTERVAL = 30
CELERY_BEAT_SCHEDULE = beat_schedule.SCHEDULE

# --- language and time ------------------------------------------------------------------------
LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
# Before the libraries' own.
LOCALE_PATHS = [BASE_DIR / "locale", BASE_DIR / "backoffice" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"

# --- API --------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["tcmpay.accounts.authentication.PlatformTokens"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["tcmpay.limits.throttling.RequestThrottle"],
    "DEFAULT_PARSER_CLASSES": ["tcmpay.common.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["tcmpay.common.api.renderers.FastJSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "tcmpay.common.api.schema.ContractSchema",
    "EXCEPTION_HANDLER": "tcmpay.common.api.exceptions.contract_exception_handler",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": True,
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
}
SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.1",  # 3.0 can't say that a reference may be null
    "TITLE": "tcmpay",
    "VERSION": __version__,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # The hundred kinds of answers stay folded under the calls.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "defaultModelsExpandDepth": 0},
    # What clients send and what we answer are classes of their own already.
    "COMPONENT_SPLIT_REQUEST": False,
    # The meanings stand with the enumeration itself.
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SCHEMA_PATH_PREFIX": "/api/v1/payment",
    "POSTPROCESSING_HOOKS": [
        "tcmpay.common.api.schema_parts.describe_shared",
        "payments.api_schema.describe_no_prepay",
        "payments.api_schema.describe_callbacks",
    ],
}
API_ENUMERATIONS = api_enumerations.ENUMERATIONS

# --- static files and security ----------------------------------------------------------------
# Lists that staff export; the web and the worker must both reach it. Nobody else may.
EXPORT_DIR: str = env.str("EXPORT_DIR", default=str(BASE_DIR / ".demo" / "exports"))
# What receipts and the back office are headed with.
CLINIC_NAME: str = env.str("CLINIC_NAME", default="中医远程诊疗平台")
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [
    BASE_DIR / "backoffice" / "static",
    BASE_DIR / "payments" / "cashier" / "static",
]
WHITENOISE_USE_FINDERS = DEBUG
if not DEBUG:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXY_HOPS else None
SECURE_SSL_REDIRECT: bool = env.bool("SECURE_SSL_REDIRECT", default=not DEBUG)
SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics$"]
SECURE_HSTS_SECONDS = 0 if DEBUG else 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = not DEBUG
SECURE_HSTS_PRELOAD = not DEBUG
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_ENGINE = "tcmpay.accounts.sessions"
SESSION_COOKIE_SECURE = not DEBUG
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = STAFF_SESSION_HOURS * 3600
CSRF_COOKIE_SECURE = not DEBUG
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
if not DEBUG:
    # Browsers keep such a cookie only when it is secure, for this host alone and for all paths.
    SESSION_COOKIE_NAME = "__Host-session"
    CSRF_COOKIE_NAME = "__Host-csrf"
LANGUAGE_COOKIE_SECURE = not DEBUG
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = POLICY

DEFAULT_EXCEPTION_REPORTER_FILTER = "tcmpay.common.error_reports.RedactingReporterFilter"

LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")

# --- logs -------------------------------------------------------------------------------------
LOG_LEVEL: str = env.str("LOG_LEVEL", default="INFO").upper()
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
    secrets.complain("LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL")

# For the doctor: where each value came from, and the files that may hold secrets.
ENVIRONMENT_SOURCES = env.sources
ENVIRONMENT_FILES = list(env.files)

# All that was read and found wrong, at once. Below nothing is read any more.
secrets.raise_problems()

# One line per request, at its end; LOG_LEVEL=DEBUG writes one at its start too.
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG
# By now the header carries our middleware's own or checked id: the log names a request by it.
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True

# Imported late on purpose: the Alipay SDK reconfigures logging when it is imported, so logging
# is configured by us, after everything else, and only once.
LOGGING_CONFIG = None
LOGGING = logging_of(LOG_LEVEL)
logs_begin(LOGGING)

"""Settings, all from the environment. Every variable read here has a line in .env.example; a test
compares them.
"""

from pathlib import Path

import environ
from csp.constants import NONCE, NONE, SELF

from portal import __version__

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="not-secret-development-only" if DEBUG else "")
# Keys for what is stored encrypted; the first encrypts, all decrypt. SECRET_KEY if there is none.
ENCRYPTION_KEYS = env.list("ENCRYPTION_KEYS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1"])
PORTAL_URL = env.str("PORTAL_URL", default="http://localhost:8000").rstrip("/")
CSRF_TRUSTED_ORIGINS = [PORTAL_URL]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "csp",
    "provisioning",
    "checks",
    "portal.people",
    "portal.requests",
    "portal.pages",
    "portal.retention",
    "portal.operations",
    "portal",
]

MIDDLEWARE = [
    "portal.access_log.log_requests",
    "portal.operations.pages.operations_pages",
    "portal.operations.http_metrics.measured",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "portal.middleware.private_pages",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "portal.middleware.limit_pages",
    "portal.middleware.page_for_method_not_allowed",
]

ROOT_URLCONF = "portal.urls"
ASGI_APPLICATION = "portal.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "portal.pages.context_processors.navigation",
            ],
        },
    },
]

FORM_RENDERER = "portal.pages.form_renderer.FormRenderer"

# PostgreSQL is the truth; connections live long and are checked before use, so a restart costs one
# query.
DATABASES = {
    "default": env.db_url("DATABASE_URL", default="postgres://portal@127.0.0.1:5432/portal")
}
DATABASES["default"]["CONN_MAX_AGE"] = 300
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# A server that does not answer is a 503 after ten seconds, a machine that is gone is noticed after
# thirty, and a process that was frozen within a transaction loses it, with its locks, after a
# minute. DATABASE_URL may say otherwise.
POSTGRES_PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "options": "-c idle_in_transaction_session_timeout=60s",
}
DATABASES["default"]["OPTIONS"] = POSTGRES_PATIENCE | DATABASES["default"].get("OPTIONS", {})
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Redis carries hints only (Celery messages and pokes). It may be emptied or away at any time.
REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_connect_timeout": 2}]},
    }
}
CELERY_BROKER_URL = REDIS_URL
# A worker for each queue: checks can wait minutes for silent sockets, and provisioning must never
# wait for checks.
CELERY_TASK_DEFAULT_QUEUE = "provisioning"
CELERY_TASK_ROUTES = {
    "checks.tasks.*": {"queue": "checks"},
    "provisioning.drift.tasks.*": {"queue": "checks"},
    "portal.retention.tasks.*": {"queue": "checks"},
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# The heart of provisioning. Intervals are those for real AWS; PROVISIONING_PACE divides them.
PROVISIONING_PACE = env.float("PROVISIONING_PACE", default=1.0)
PROVISIONING_TICK_SECONDS = env.float("PROVISIONING_TICK_SECONDS", default=1.0)
PROVISIONING_LEASE_SECONDS = env.float("PROVISIONING_LEASE_SECONDS", default=60.0)
PROVISIONING_SWEEP_SECONDS = env.float("PROVISIONING_SWEEP_SECONDS", default=15.0)
QUARANTINE_AFTER_LOST_LEASES = env.int("QUARANTINE_AFTER_LOST_LEASES", default=5)
"""A bad day of deployments can stop the workers of one step two or three times; more is the run."""
CLOUDFRONT_CALLS_PER_SECOND = env.float("CLOUDFRONT_CALLS_PER_SECOND", default=5.0)
PROVISIONING_OWNER = env.str("PROVISIONING_OWNER", default="edge-portal")

# The handshake check: where names lead, whom to trust, which private networks an administrator
# admits.
PROBE_CONNECT_TO = env.str("PROBE_CONNECT_TO", default="")
PROBE_CA_FILE = env.str("PROBE_CA_FILE", default="")
PROBE_ALLOWED_NETWORKS = env.list("PROBE_ALLOWED_NETWORKS", default=[])
PROBE_ROUTES = env.list("PROBE_ROUTES", default=[])  # name=wss://{name}.internal.example.com{path}
PROBE_ALLOW_PRIVATE = env.bool("PROBE_ALLOW_PRIVATE", default=False)
PROBE_IDLE_PACE = env.float("PROBE_IDLE_PACE", default=1.0)
CHECK_EVERY_MINUTES = env.int("CHECK_EVERY_MINUTES", default=15)
ENDPOINT_MAX_DAYS = env.int("ENDPOINT_MAX_DAYS", default=0)
HEAD_START_HOURS = env.int("HEAD_START_HOURS", default=0)
REMOVAL_GRACE_DAYS = env.int("REMOVAL_GRACE_DAYS", default=7)
TRANSFER_OFFER_DAYS = env.int("TRANSFER_OFFER_DAYS", default=14)
"""Two weeks outlast most absences of a small team; an offer shows the other team the endpoint."""

DRIFT_EVERY_MINUTES = env.int("DRIFT_EVERY_MINUTES", default=60)

# Privacy audits, and the key that signs what auditors keep.
PRIVACY_AUDIT_HOURS = env.int("PRIVACY_AUDIT_HOURS", default=24)
PRIVACY_EXCEPTION_DAYS = env.int("PRIVACY_EXCEPTION_DAYS", default=90)
EVIDENCE_KEY_FILE = env.str("EVIDENCE_KEY_FILE", default="")

# How many days what is kept; 0 is for ever (portal/retention).
RETAIN_TRANSCRIPTS_DAYS = env.int("RETAIN_TRANSCRIPTS_DAYS", default=3)
RETAIN_CHECKS_DAYS = env.int("RETAIN_CHECKS_DAYS", default=7)
RETAIN_HOURLY_CHECKS_DAYS = env.int("RETAIN_HOURLY_CHECKS_DAYS", default=90)
RETAIN_DAILY_CHECKS_DAYS = env.int("RETAIN_DAILY_CHECKS_DAYS", default=730)
RETAIN_FAILURES_DAYS = env.int("RETAIN_FAILURES_DAYS", default=90)
RETAIN_CHANGES_DAYS = env.int("RETAIN_CHANGES_DAYS", default=730)
RETAIN_PROBES_DAYS = env.int("RETAIN_PROBES_DAYS", default=90)
RETAIN_REMOVED_DAYS = env.int("RETAIN_REMOVED_DAYS", default=365)

# Who may read metrics from the web process, and where workers and the ticker serve theirs.
METRICS_ALLOWED_NETWORKS = env.list("METRICS_ALLOWED_NETWORKS", default=["127.0.0.1/32", "::1/128"])
METRICS_PORT = env.int("METRICS_PORT", default=0)

AUTH_USER_MODEL = "people.Person"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign-in"
CSRF_FAILURE_VIEW = "portal.pages.sign_in.csrf_failure"

# The views name their own parsers, credentials and limits; only what DRF cannot be told per view
# stands here.
REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "URL_FORMAT_OVERRIDE": None,
    "DEFAULT_THROTTLE_RATES": {"caller": "600/min"},
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Private WebSocket endpoints",
    "DESCRIPTION": (
        "Request private WebSocket endpoints at the CloudFront edge, follow their progress and "
        f"check them. Served by portal version {__version__}."
    ),
    "VERSION": "1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SORT_OPERATIONS": False,
    "POSTPROCESSING_HOOKS": [],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = env.str("STATIC_ROOT", default="") or None
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_ENGINE = "portal.people.sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PORTAL_URL.startswith("https://")
BEHIND_TLS_PROXY = env.bool("BEHIND_TLS_PROXY", default=False)
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])
"""Addresses and networks whose X-Forwarded-For and X-Forwarded-Proto count (portal.asgi). Django's
SECURE_PROXY_SSL_HEADER would believe anybody.
"""
SECURE_HSTS_SECONDS = 31_536_000 if PORTAL_URL.startswith("https://") else 0
DATA_UPLOAD_MAX_MEMORY_SIZE = 262_144
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "connect-src": [SELF, PORTAL_URL.replace("http", "ws", 1)],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    },
}

LOG_FORMAT = env.str("LOG_FORMAT", default="text" if DEBUG else "json", choices=["json", "text"])
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "portal.log_format.json_lines"},
        "text": {"()": "portal.log_format.text_lines"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "celery": {"level": "WARNING"},
        "botocore": {"level": "WARNING"},
        # uvicorn has handlers of its own until this is read; they would write other lines.
        "uvicorn": {"handlers": [], "propagate": True},
        # While Redis is away it writes a traceback each second; the console looks into the database
        # meanwhile.
        "channels_redis.pubsub": {"level": "CRITICAL"},
    },
}

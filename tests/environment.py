"""The environment that every test runs in, set before Django reads its settings (pytest loads this
as a plugin).
"""

import gc
import os

import pytest

os.environ.setdefault("SECRET_KEY", "only-for-tests-and-long-enough-to-please-every-check")
os.environ.setdefault("PORTAL_URL", "http://testserver")
os.environ.setdefault("ALLOWED_HOSTS", "testserver,localhost,127.0.0.1")
os.environ.setdefault("AWS_ACCESS_KEY_ID", "lab")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "lab")
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
os.environ.setdefault("LOG_LEVEL", "WARNING")
os.environ.setdefault("CLOUDFRONT_CALLS_PER_SECOND", "0")

# All that is imported and collected stays until the end: no use looking for garbage in it, then or
# later.
gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    gc.freeze()
    gc.enable()

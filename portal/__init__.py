"""The portal: forms, pages, REST API, live console, approvals. The top layer: nothing below it
imports it.
"""

from portal.celery import app as celery_app

__version__ = "0.1.0"
__all__ = ["__version__", "celery_app"]

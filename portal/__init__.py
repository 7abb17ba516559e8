"""The portal: forms, pages, REST API, live console, approvals. The top layer: nothing below it
imports it.
"""

from portal.celery import app as celery_app

__all__ = ["celery_app"]

"""How log lines are written: without credentials, whatever an exception or a library puts in."""

from __future__ import annotations

import logging

from provisioning.redaction.masking import mask_text


class MaskingFormatter(logging.Formatter):
    """Masks the whole record, traceback included."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_text(super().format(record))

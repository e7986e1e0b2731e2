"""What every room may use: the error family, the message catalogue and the language of messages.

Nothing here knows of apps, models or files. Imports only the standard library and msgspec.
"""

from millstream.base.errors import (
    BadInput,
    Failed,
    MillstreamError,
    NotHere,
    Place,
)
from millstream.base.messages import language, next_step, say, set_language
from millstream.base.secret import Secret, hide_password, redact
from millstream.base.urls import is_web_address

__all__ = [
    "BadInput",
    "Failed",
    "MillstreamError",
    "NotHere",
    "Place",
    "Secret",
    "hide_password",
    "is_web_address",
    "language",
    "next_step",
    "redact",
    "say",
    "set_language",
]

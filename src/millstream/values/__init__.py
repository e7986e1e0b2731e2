"""Values that flow between nodes: their types, the variable pool, selectors and text templates.

Knows nothing of nodes or models. A value is plain JSON-shaped Python data or a `File`.
"""

from millstream.values.file import File
from millstream.values.pool import MISSING, Pool, Selector
from millstream.values.text import TextTemplate, brief, to_markdown, to_text
from millstream.values.types import fits, type_of

__all__ = [
    "MISSING",
    "File",
    "Pool",
    "Selector",
    "TextTemplate",
    "brief",
    "fits",
    "to_markdown",
    "to_text",
    "type_of",
]

"""Writing an app back, as the format's own exporter does: keys sorted, one way to write it.

The data is that of the file that was read. Since keys have one order and values one shape, an
export that is read and written again hardly differs, and a change shows as a small difference.
"""

from __future__ import annotations

import datetime
from typing import Any

import yaml

from millstream.dsl.app import App


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """Dates are written out: equal ones may be one object."""
        return isinstance(data, datetime.date) or super().ignore_aliases(data)

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """PyYAML takes U+0085 for a line break that may be folded, and loses it."""
        style = '"' if "\x85" in data else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)


_Dumper.add_representer(str, _Dumper.represent_str)


def write(app: App) -> str:
    """The app file's text. Read again, it gives equal data."""
    # Not the C emitter: it breaks and escapes texts in another way than exports have it.
    return yaml.dump(app.raw, Dumper=_Dumper, allow_unicode=True)

"""Pictures of an app: for a terminal (`lines`) and as SVG (`svg`), both from the typed app alone.

`words` says what a node is about and what its ways out are called, `layout` where it stands.
"""

from __future__ import annotations

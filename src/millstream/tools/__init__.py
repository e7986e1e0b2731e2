"""Built-in tools behind the `Tools` port: what an app file may call besides models and code.

`Toolbox` (`box`) knows which tools are here and loads a tool's module when it is first called:
`google_translate` and Dify's `time`. Where a tool lives on the internet and a model can do the
same work, `llm_translate` is its local substitute. Requests leave through the product's one
egress layer, which the runtime hands in (`net` says what is used of it).
"""

from millstream.tools.box import Toolbox, ToolInfo

__all__ = ["ToolInfo", "Toolbox"]

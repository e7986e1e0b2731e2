"""The embedded runtime: GGUF models that run on this machine without any other program.

`runtime` starts one child process a model and says where it can be called; `child` is that
process; `memory` says beforehand whether it fits, `threads` on how many cores it may run. The
calls themselves go through the OpenAI adapter, as to any other server.
"""

from millstream.models.embedded.runtime import EmbeddedModels, Loaded

__all__ = ["EmbeddedModels", "Loaded"]

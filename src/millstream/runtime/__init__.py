"""Where everything is wired together: an app file, this machine, a run."""

from millstream.runtime.app import App, Choice, load, loads
from millstream.runtime.result import NodeResult, Result

__all__ = ["App", "Choice", "NodeResult", "Result", "load", "loads"]

"""Where everything is wired together: an app file, this machine, a run."""

from millstream.runtime.app import App, check_file, load, loads
from millstream.runtime.choice import Choice
from millstream.runtime.result import NodeResult, Result

__all__ = ["App", "Choice", "NodeResult", "Result", "check_file", "load", "loads"]

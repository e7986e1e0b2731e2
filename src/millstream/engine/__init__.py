"""The engine: an app becomes a plan, a run of the plan is a stream of events.

Pure asyncio: no I/O, no wall clock, no randomness. What a run needs of the world it asks through
the ports. `scheduler` is the heart; read `plan` before it and `events` after it.
"""

from millstream.engine.events import Emit, Event, RunFinished
from millstream.engine.limits import Limits
from millstream.engine.node import Build, Inputs, Later, Node, Outcome, Reading
from millstream.engine.plan import Graph, Plan, Registry, Step, compile
from millstream.engine.ports import Need, Ports, Usage
from millstream.engine.scheduler import Context, NodeFailed, execute

__all__ = [
    "Build",
    "Context",
    "Emit",
    "Event",
    "Graph",
    "Inputs",
    "Later",
    "Limits",
    "Need",
    "Node",
    "NodeFailed",
    "Outcome",
    "Plan",
    "Ports",
    "Reading",
    "Registry",
    "RunFinished",
    "Step",
    "Usage",
    "compile",
    "execute",
]

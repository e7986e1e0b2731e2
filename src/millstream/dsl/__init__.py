"""App files: reading any export, the typed app, structural checks, writing back.

Node data classes are handed in as a registry; this room never imports a node type.
"""

from millstream.dsl.app import (
    App,
    DataType,
    DefaultValue,
    Edge,
    Graph,
    Node,
    NodeData,
    Problem,
    Registry,
    RetryConfig,
    Variable,
)
from millstream.dsl.read import read_file, read_text
from millstream.dsl.structure import check_structure, container_start, handles
from millstream.dsl.write import write

__all__ = [
    "App",
    "DataType",
    "DefaultValue",
    "Edge",
    "Graph",
    "Node",
    "NodeData",
    "Problem",
    "Registry",
    "RetryConfig",
    "Variable",
    "check_structure",
    "container_start",
    "handles",
    "read_file",
    "read_text",
    "write",
]

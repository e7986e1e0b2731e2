"""Agent: a model that decides which tools to use, round after round, by a strategy.

The strategy comes from a plugin and says which parameters there are; usual ones are `instruction`,
`query`, `model`, `tools` and `maximum_iterations`. Outputs: `text`, `usage`, `files`, `json`. The
second version (`agent_node_kind`) names an agent app by `agent_binding` and what it is to do by
`agent_job`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from millstream.dsl import NodeData
from millstream.engine import Reading
from millstream.engine.node import DataClass, Later
from millstream.nodes.llm import Memory
from millstream.values import Selector, TextTemplate


class AgentParameter(msgspec.Struct, kw_only=True):
    """type: constant, variable (value is a selector) or mixed (a text with variables)."""

    type: str | None = "constant"
    value: Any = None


class AgentBinding(msgspec.Struct, kw_only=True):
    """binding_type: inline_agent or roster_agent; package_ref: a key of `agent_packages`."""

    binding_type: str | None = None
    package_ref: str | None = None


class AgentJob(msgspec.Struct, kw_only=True):
    schema_version: int | None = None
    mode: str | None = None
    workflow_prompt: Any = None
    previous_node_output_refs: list[dict[str, Any]] | None = None
    declared_outputs: list[dict[str, Any]] | None = None
    human_contacts: Any = None
    metadata: dict[str, Any] | None = None


class AgentData(NodeData, kw_only=True):
    agent_strategy_provider_name: str | None = None
    agent_strategy_name: str | None = None
    agent_strategy_label: str | None = None
    agent_parameters: dict[str, AgentParameter | None] | None = None
    plugin_unique_identifier: str | None = None
    output_schema: dict[str, Any] | None = None
    memory: Memory | None = None
    tool_node_version: str | None = None
    # The second version.
    agent_node_kind: str | None = None
    agent_binding: AgentBinding | None = None
    agent_job: AgentJob | None = None


class Agent(Later[AgentData]):
    type = "agent"
    Data: ClassVar[DataClass] = AgentData

    def reads(self) -> Iterable[Reading]:
        for name, parameter in (self.data.agent_parameters or {}).items():
            value = parameter.value if parameter else None
            field = f"agent_parameters.{name}.value"
            if parameter and parameter.type == "variable" and isinstance(value, list):
                parts = [part for part in value if isinstance(part, str)]
                yield Reading(Selector.of(parts), field)
            elif isinstance(value, str):
                for selector in TextTemplate(value).selectors:
                    yield Reading(selector, field)

"""Node types: one module each, data and behaviour side by side.

`REGISTRY` maps the `data.type` of a file to its class and imports a module when a file first
uses the type. A new node type is a module here and a line in the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from millstream.engine import Node

_MODULES = {
    "start": "start:Start",
    "end": "end:End",
    "answer": "answer:Answer",
    "llm": "llm:LLM",
    "template-transform": "template_transform:TemplateTransform",
    "code": "code:Code",
    "if-else": "if_else:IfElse",
    "variable-aggregator": "variable_aggregator:VariableAggregator",
    "parameter-extractor": "parameter_extractor:ParameterExtractor",
    "iteration": "iteration:Iteration",
    "iteration-start": "iteration:IterationStart",
    "tool": "tool:Tool",
    # Read, checked and written back; not run yet.
    "agent": "agent:Agent",
    "assigner": "assigner:Assigner",
    "command": "command:Command",
    "datasource": "datasource:Datasource",
    "document-extractor": "document_extractor:DocumentExtractor",
    "http-request": "http_request:HttpRequest",
    "human-input": "human_input:HumanInput",
    "knowledge-index": "knowledge_index:KnowledgeIndex",
    "knowledge-retrieval": "knowledge_retrieval:KnowledgeRetrieval",
    "knowledge-retrieval-v2": "knowledge_retrieval:KnowledgeRetrievalV2",
    "list-operator": "list_operator:ListOperator",
    "loop": "loop:Loop",
    "loop-end": "loop:LoopEnd",
    "loop-start": "loop:LoopStart",
    "question-classifier": "question_classifier:QuestionClassifier",
    "trigger-plugin": "triggers:TriggerPlugin",
    "trigger-schedule": "triggers:TriggerSchedule",
    "trigger-webhook": "triggers:TriggerWebhook",
}


class _Registry(Mapping[str, type[Node[Any]]]):
    def __init__(self, modules: dict[str, str]) -> None:
        self._modules = modules
        self._loaded: dict[str, type[Node[Any]]] = {}

    def __getitem__(self, type: str) -> type[Node[Any]]:
        found = self._loaded.get(type)
        if found is None:
            module, name = self._modules[type].split(":")
            found = getattr(import_module(f"{__name__}.{module}"), name)
            self._loaded[type] = found
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


REGISTRY: Mapping[str, type[Node[Any]]] = _Registry(_MODULES)

__all__ = ["REGISTRY"]

"""Knowledge retrieval: the chunks of datasets that fit a query, best first.

Output: `result`, a list of `{title, content, metadata}`, empty when nothing fits. The second
version (`knowledge-retrieval-v2`) searches control spaces instead of datasets.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import msgspec

from millstream.dsl import NodeData
from millstream.engine import Reading
from millstream.engine.node import DataClass, Later
from millstream.nodes.llm import ModelConfig, Vision
from millstream.values import Selector


class SingleRetrieval(msgspec.Struct, kw_only=True):
    """One dataset, chosen by a model."""

    model: ModelConfig | None = None


class MultipleRetrieval(msgspec.Struct, kw_only=True):
    """All datasets. score_threshold: null for none. weights: of vectors and keywords."""

    top_k: int | None = None
    score_threshold: float | None = None
    score_threshold_enabled: bool | None = None
    reranking_mode: str | None = "reranking_model"
    reranking_enable: bool | None = True
    reranking_model: dict[str, Any] | None = None
    weights: dict[str, Any] | None = None


class MetadataCondition(msgspec.Struct, kw_only=True):
    id: str | None = None
    name: str | None = None
    comparison_operator: str | None = None
    value: Any = None


class MetadataConditions(msgspec.Struct, kw_only=True):
    logical_operator: Literal["and", "or"] | None = "and"
    conditions: list[MetadataCondition] | None = None


class KnowledgeRetrievalData(NodeData, kw_only=True):
    query_variable_selector: list[str] | None = None
    query_attachment_selector: list[str] | None = None
    dataset_ids: list[str] | None = None
    retrieval_mode: str | None = "multiple"
    single_retrieval_config: SingleRetrieval | None = None
    multiple_retrieval_config: MultipleRetrieval | None = None
    metadata_filtering_mode: str | None = "disabled"
    metadata_model_config: ModelConfig | None = None
    metadata_filtering_conditions: MetadataConditions | None = None
    vision: Vision | None = None


class KnowledgeRetrieval(Later[KnowledgeRetrievalData]):
    type = "knowledge-retrieval"
    Data: ClassVar[DataClass] = KnowledgeRetrievalData

    def outputs(self) -> dict[str, str]:
        return {"result": "array[object]"}

    def reads(self) -> Iterable[Reading]:
        if self.data.query_variable_selector:
            selector = Selector.of(self.data.query_variable_selector)
            yield Reading(selector, "query_variable_selector", ("string",))


class KnowledgeRetrievalV2Data(NodeData, kw_only=True):
    control_space_ids: list[str] | None = None
    query_variable_selector: list[str] | None = None
    query_attachment_selector: list[str] | None = None
    mode: str | None = None
    top_n: int | None = 10
    score_threshold: float | None = None
    reranking_model: dict[str, Any] | None = None
    metadata_filtering_mode: str | None = "disabled"
    metadata_model_config: ModelConfig | None = None
    metadata_filtering_conditions: MetadataConditions | None = None


class KnowledgeRetrievalV2(Later[KnowledgeRetrievalV2Data]):
    type = "knowledge-retrieval-v2"
    Data: ClassVar[DataClass] = KnowledgeRetrievalV2Data

    def outputs(self) -> dict[str, str]:
        return {"result": "array[object]"}

    def reads(self) -> Iterable[Reading]:
        if self.data.query_variable_selector:
            selector = Selector.of(self.data.query_variable_selector)
            yield Reading(selector, "query_variable_selector", ("string",))

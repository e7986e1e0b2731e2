"""Knowledge index: the end of a knowledge pipeline, where chunks are written into a dataset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from millstream.dsl import NodeData
from millstream.engine import Reading
from millstream.engine.node import DataClass, Later
from millstream.values import Selector


class KnowledgeIndexData(NodeData, kw_only=True):
    """chunk_structure: how documents are cut. indexing_technique: high_quality or economy."""

    chunk_structure: str | None = None
    index_chunk_variable_selector: list[str] | None = None
    indexing_technique: str | None = None
    embedding_model: str | None = None
    embedding_model_provider: str | None = None
    keyword_number: int | None = None
    retrieval_model: dict[str, Any] | None = None
    summary_index_setting: dict[str, Any] | None = None


class KnowledgeIndex(Later[KnowledgeIndexData]):
    type = "knowledge-index"
    Data: ClassVar[DataClass] = KnowledgeIndexData

    def outputs(self) -> dict[str, str]:
        return {}

    def reads(self) -> Iterable[Reading]:
        if self.data.index_chunk_variable_selector:
            selector = Selector.of(self.data.index_chunk_variable_selector)
            yield Reading(selector, "index_chunk_variable_selector")

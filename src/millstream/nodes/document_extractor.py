"""Document extractor: the text of a document, or of each document of a list.

Output: `text`, a string for one file, a list of strings for a list of files. The kind of a
document follows from its extension, then from its MIME type. One file that fails fails the node.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from millstream.dsl import NodeData
from millstream.engine import Reading
from millstream.engine.node import DataClass, Later
from millstream.values import Selector


class DocumentExtractorData(NodeData, kw_only=True):
    variable_selector: list[str] | None = None
    is_array_file: bool | None = False


class DocumentExtractor(Later[DocumentExtractorData]):
    type = "document-extractor"
    Data: ClassVar[DataClass] = DocumentExtractorData

    def outputs(self) -> dict[str, str]:
        return {"text": "array[string]" if self.data.is_array_file else "string"}

    def reads(self) -> Iterable[Reading]:
        selector = Selector.of(self.data.variable_selector)
        yield Reading(selector, "variable_selector", ("file", "array"), required=True)

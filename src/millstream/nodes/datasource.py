"""Datasource: where a knowledge pipeline gets its documents from.

A local file, an online document, a crawled web site or an online drive, each through a plugin.
The outputs depend on the kind: `datasource_type` and `file`, or the fields of a page.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from millstream.dsl import NodeData
from millstream.engine.node import DataClass, Later


class DatasourceParameter(msgspec.Struct, kw_only=True):
    """type: constant, variable (value is a selector) or mixed (a text with variables)."""

    type: str | None = "constant"
    value: Any = None


class DatasourceData(NodeData, kw_only=True):
    """provider_type: local_file, online_document, website_crawl or online_drive."""

    plugin_id: str | None = None
    provider_name: str | None = None
    provider_type: str | None = None
    datasource_name: str | None = None
    datasource_label: str | None = None
    datasource_configurations: dict[str, Any] | None = None
    datasource_parameters: dict[str, DatasourceParameter | None] | None = None


class Datasource(Later[DatasourceData]):
    type = "datasource"
    Data: ClassVar[DataClass] = DatasourceData

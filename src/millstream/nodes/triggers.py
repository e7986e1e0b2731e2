"""Triggers: a workflow that begins by itself, at a web request, at a time or at a plugin's event.

They stand where a start node would. The webhook's outputs are the declared headers, parameters
and body fields (with `-` in a header's name as `_`) and `_webhook_raw`; a schedule has none; a
plugin's follow from its event.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from millstream.dsl import NodeData
from millstream.engine.node import DataClass, Later


class WebhookField(msgspec.Struct, kw_only=True):
    name: str | None = None
    type: str | None = "string"
    required: bool | None = False


class TriggerWebhookData(NodeData, kw_only=True):
    """status_code and response_body: the answer to the caller. timeout: seconds."""

    method: str | None = "get"
    content_type: str | None = None
    headers: list[WebhookField] | None = None
    params: list[WebhookField] | None = None
    body: list[WebhookField] | None = None
    status_code: int | None = 200
    response_body: str | dict[str, Any] | None = None
    timeout: float | None = 30
    async_mode: bool | None = None
    webhook_url: str | None = None
    webhook_debug_url: str | None = None


class TriggerWebhook(Later[TriggerWebhookData]):
    type = "trigger-webhook"
    Data: ClassVar[DataClass] = TriggerWebhookData

    def outputs(self) -> dict[str, str]:
        found = {"_webhook_raw": "object"}
        for header in self.data.headers or ():
            found[(header.name or "").replace("-", "_")] = "string"
        for item in (*(self.data.params or ()), *(self.data.body or ())):
            found[item.name or ""] = item.type or "string"
        return found


class VisualSchedule(msgspec.Struct, kw_only=True):
    """time: such as "12:00 AM". monthly_days: numbers, or "last"."""

    on_minute: int | None = None
    time: str | None = None
    weekdays: list[str] | None = None
    monthly_days: list[int | str] | None = None


class TriggerScheduleData(NodeData, kw_only=True):
    """mode: visual or cron. frequency: hourly, daily, weekly or monthly."""

    mode: str | None = "visual"
    frequency: str | None = None
    visual_config: VisualSchedule | None = None
    cron_expression: str | None = None
    timezone: str | None = "UTC"


class TriggerSchedule(Later[TriggerScheduleData]):
    type = "trigger-schedule"
    Data: ClassVar[DataClass] = TriggerScheduleData

    def outputs(self) -> dict[str, str]:
        return {}


class TriggerPluginData(NodeData, kw_only=True):
    plugin_id: str | None = None
    provider_id: str | None = None
    event_name: str | None = None
    subscription_id: str | None = None
    plugin_unique_identifier: str | None = None
    event_parameters: dict[str, Any] | None = None


class TriggerPlugin(Later[TriggerPluginData]):
    type = "trigger-plugin"
    Data: ClassVar[DataClass] = TriggerPluginData

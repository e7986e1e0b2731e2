"""Iteration: the nodes inside run once for each element of a list.

Children read `item` and `index` under the iteration's id. Each item works on variables of its
own: items do not see each other, and what they write stays inside. The results come in the order
of the items, also when several run at once. When an item fails: `terminated` starts no more
items, lets the running ones end and fails; `continue-on-error` puts null in its place;
`remove-abnormal-output` leaves it out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from millstream.base import Failed
from millstream.dsl import NodeData
from millstream.engine import Build, Context, Graph, Inputs, Node, NodeFailed, Outcome, Reading
from millstream.engine.node import DataClass
from millstream.values import MISSING, Pool, Selector
from millstream.values.types import type_of

_FAILED = object()


class IterationData(NodeData, kw_only=True):
    """flatten_output: lists collected from all items become one list; true when absent."""

    iterator_selector: list[str] | None = None
    iterator_input_type: str | None = None
    start_node_id: str | None = None
    output_selector: list[str] | None = None
    output_type: str | None = None
    is_parallel: bool | None = False
    parallel_nums: int | None = 10
    error_handle_mode: (
        Literal["terminated", "continue-on-error", "remove-abnormal-output"] | None
    ) = "terminated"
    flatten_output: bool | None = True


class Iteration(Node[IterationData]):
    type = "iteration"
    Data: ClassVar[DataClass] = IterationData
    container = True

    def __init__(self, data: IterationData, build: Build) -> None:
        super().__init__(data, build)
        self.graph = build.children or Graph()
        self.items = Selector.of(data.iterator_selector)
        self.output = Selector.of(data.output_selector)
        self.width = max(1, data.parallel_nums or 10) if data.is_parallel else 1
        self.id = build.spec.id

    def outputs(self) -> dict[str, str]:
        return {"output": self.data.output_type or "array[any]"}

    def inside(self) -> dict[str, str]:
        return {"item": "any", "index": "number"}

    def reads(self) -> Iterable[Reading]:
        yield Reading(self.items, "iterator_selector", ("array",), required=True)
        yield Reading(self.output, "output_selector")

    def inputs(self, pool: Pool) -> Inputs:
        items = self.items.read(pool)
        if items is MISSING:
            raise Failed("nodes.no-variable", name=str(self.items), error_type="VariableNotFound")
        if items is None:
            items = []
        if not isinstance(items, list):
            raise Failed("nodes.not-a-list", name=str(self.items), given=type_of(items))
        return {"iterator_selector": items}

    async def run(self, inputs: Inputs, context: Context) -> Outcome:
        items: list[Any] = inputs["iterator_selector"]
        results: list[Any] = [_FAILED] * len(items)
        numbered = iter(enumerate(items))
        errors: list[NodeFailed] = []
        terminate = self.data.error_handle_mode in (None, "terminated")
        outside = context.frame.pool.fork()  # as it is now, whatever goes on beside

        async def work() -> None:
            for index, item in numbered:
                if errors and terminate:
                    return
                own = {"item": item, "index": index}
                try:
                    pool = await context.child(self.graph, index, len(items), own, outside.fork())
                except NodeFailed as failed:
                    errors.append(failed)
                    continue
                value = self.output.read(pool)
                results[index] = None if value is MISSING else value

        width = min(self.width, len(items))
        limit = context.limits.parallel_items
        if limit is not None:
            width = min(width, limit)
        if width <= 1:
            await work()
        else:
            workers = [asyncio.create_task(work()) for _ in range(width)]
            try:  # a TaskGroup would end them in the order of a set
                await asyncio.gather(*workers)
            except BaseException:
                for worker in workers:
                    if not worker.cancelling():  # a second time would cut its ending short
                        worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
                raise
        if errors and terminate:
            raise errors[0]
        context.frame.run.exceptions += len(errors)
        return Outcome({"output": self._collect(results)}, details={"failed": len(errors)})

    def _collect(self, results: list[Any]) -> list[Any]:
        if self.data.error_handle_mode == "remove-abnormal-output":
            results = [result for result in results if result is not _FAILED]
        else:
            results = [None if result is _FAILED else result for result in results]
        if self.data.flatten_output is not False:
            lists = [result for result in results if result is not None]
            if lists and all(isinstance(result, list) for result in lists):
                return [item for result in lists for item in result]
        return results


class IterationStart(Node[NodeData]):
    """Where an iteration's inside begins; nothing happens here."""

    type = "iteration-start"
    Data: ClassVar[DataClass] = NodeData
    quiet = True

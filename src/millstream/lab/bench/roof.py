"""How far a measured speed is from what the machine could do at best: the roofline.

A token that is written reads all weights that it goes through, and the keys and values of every
token before it. Tokens that are written at the same time share the reading of the weights. With
the machine's own measured bandwidth B and arithmetic F (`hardware.Speed`, the best of all kinds):

    decode   ≤ min(B / (weights / at once + cache), F / operations)     tokens a second
    prefill  ≤ F / operations of a token of the prompt, at half its depth on the average

The head of the model works for tokens that are sampled only: once for a prompt. Operations are
those of Kaplan et al. (arXiv 2001.08361), 2 for each weight, and the attention's (`speed.work`).
The calibration is of the processor: a model on a graphics card has no roof here.
"""

from __future__ import annotations

import msgspec

from millstream.lab.hardware import Speed
from millstream.lab.names import Model
from millstream.lab.speed import Work, predict, work
from millstream.models.footprint import Use, row_bytes
from millstream.models.shape import Shape, shape


class Roof(msgspec.Struct, frozen=True):
    """All of one point. operations, bytes: of a token that is written; prompt_operations: of one
    that is read. *_rate: operations a second that were reached, from what was measured.
    *_bound: tokens a second at best; *_share: of the bound that was reached. predicted: tokens a
    second by the model of `speed`. bandwidth, arithmetic: of the machine."""

    operations: float
    prompt_operations: float
    bytes: float
    bandwidth: float
    arithmetic: float
    decode_bound: float
    prefill_bound: float
    decode_rate: float | None = None
    prefill_rate: float | None = None
    decode_share: float | None = None
    prefill_share: float | None = None
    predicted_decode: float | None = None
    predicted_prefill: float | None = None


class Built:
    """What is known of a model, once for all points. speed: None where the machine's was not
    measured; then there are operations and nothing else."""

    def __init__(self, model: Model, speed: Speed | None) -> None:
        self.shape = shape(model.header)
        self.work = work(model.tensors, self.shape)
        self.speed = speed

    def roof(
        self,
        *,
        prompt: float,
        output: float,
        depth: float,
        at_once: float,
        decode: float | None,
        prefill: float | None,
        threads: int = 0,
    ) -> Roof:
        """prompt, output: tokens of a call; depth: tokens before the prompt. at_once: calls that
        were written at the same time. decode: tokens a second of all of them together; prefill:
        tokens of a prompt a second. threads: that it was loaded with, 0 if nobody knows."""
        middle = depth + prompt + output / 2
        operations = self.work.operations(round(middle))
        reading = _reading(self.work, prompt, depth)
        size = self.work.bytes / max(1.0, at_once) + cache_bytes(self.shape, middle)
        speed = self.speed
        bandwidth = max((speed.bandwidth(n) for n in speed.threads), default=0.0) if speed else 0.0
        most = max((speed.operations(n) for n in speed.threads), default=0.0) if speed else 0.0
        decode_bound = min(bandwidth / size, most / operations) if bandwidth and most else 0.0
        prefill_bound = most / reading if most and reading else 0.0
        pace = None
        if speed is not None and at_once <= 1:
            use = Use(context=max(256, round(middle)))
            some = tuple(rate for rate in speed.rates if rate.threads == threads)
            known = msgspec.structs.replace(speed, rates=some) if some else speed
            length = max(1, round(prompt))
            pace = predict(
                self.work, known, use, depth=round(middle), prompt=length, before=round(depth)
            )
        return Roof(
            operations=operations,
            prompt_operations=reading,
            bytes=size,
            bandwidth=bandwidth,
            arithmetic=most,
            decode_bound=decode_bound,
            prefill_bound=prefill_bound,
            decode_rate=decode * operations if decode else None,
            prefill_rate=prefill * reading if prefill else None,
            decode_share=decode / decode_bound if decode and decode_bound else None,
            prefill_share=prefill / prefill_bound if prefill and prefill_bound else None,
            predicted_decode=pace.decode if pace else None,
            predicted_prefill=pace.prefill if pace else None,
        )


def cache_bytes(sizes: Shape, depth: float) -> float:
    """Keys and values, of 16 bits, that a token reads with so many tokens before it."""
    total = 0.0
    for layer in sizes.layers:
        seen = min(depth, layer.window) if layer.window else depth
        if layer.keys:
            total += seen * (row_bytes("F16", layer.keys) + row_bytes("F16", layer.values))
        total += 4 * layer.state
    return total


def _reading(todo: Work, prompt: float, depth: float) -> float:
    """Operations of a token of a prompt, with the head's share in it."""
    layers = 2 * sum(m.weights for m in todo.layers.values())
    head = 2 * sum(m.weights for m in todo.head.values())
    return layers + head / max(1.0, prompt) + todo.attention(depth + prompt / 2)

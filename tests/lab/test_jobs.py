"""Why llama.cpp's library ended its process, by what it wrote."""

from __future__ import annotations

import pytest

from millstream.base import Failed, NotHere
from millstream.lab.jobs import broken

TENSOR = (
    "llama_model_load: error loading model: check_tensor_dims: tensor 'blk.0.x.weight' not found\n"
    "llama_model_load_from_file_impl: failed to load model\n"
)
CACHE = (
    "set_abort_callback: call\n"
    "llama_init_from_model: model does not support different K (q8_0) and V (q4_0) cache types\n"
    "~llama_context: bye\n"
)
ABORT = "ops.cpp:6354: GGML_ASSERT(n_dims <= ne0) failed\n"


@pytest.mark.parametrize(
    ("log", "code", "error", "words"),
    [
        (TENSOR, 1, Failed, "tensor 'blk.0.x.weight' not found"),
        (CACHE, 1, Failed, "does not support different K"),
        (ABORT, -6, Failed, "SIGABRT): ops.cpp:6354: GGML_ASSERT"),
        ("", -9, Failed, "SIGKILL"),
        ("", -200, Failed, "-200"),
        ("", -11, Failed, "(SIGSEGV) and did not say why"),
        ("", 1, Failed, "ended with exit code 1 and did not say why"),
        ("a\nb\n", 1, Failed, "b"),
        ("error loading model: unknown model architecture: 'x'\n", 1, NotHere, "'x'"),
        ("ggml_aligned_malloc: insufficient memory\nfailed\n", 1, NotHere, "memory"),
    ],
)
def test_the_reason(log: str, code: int, error: type[Exception], words: str) -> None:
    found = broken("m", log, code)
    assert type(found) is error
    assert words in found.message
    assert "m" in found.message
    assert found.next_step


def test_a_long_log_is_shortened() -> None:
    assert len(broken("m", "error: " + "x" * 10_000, 1).message) < 500

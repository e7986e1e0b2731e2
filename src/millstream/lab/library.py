"""llama.cpp's C interface as this process reaches it: the library of the wheel, through ctypes.

The functions that quantize, load, decode and give logits are exported by the library of xllamacpp,
whose Python side leads to none of them. Only a worker process calls this: the library ends the
process where it thinks that something is wrong with its own state.

The layouts of llama.cpp's parameters change every few builds. The ones here are those of the build
that the extra `local` pins; `Library` compares the defaults that the library fills in with the
defaults that these layouts must show, and refuses another build before it can do harm.

Source: llama.h and ggml.h of llama.cpp, build 11549.
"""

from __future__ import annotations

import ctypes
import re
from ctypes import c_bool, c_char_p, c_float, c_int, c_int8, c_int32, c_size_t, c_uint32, c_void_p
from importlib.util import find_spec
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from millstream.base import NotHere
from millstream.models.gguf import TYPES

PACKAGE = "xllamacpp"
_TEXT = re.compile(rb"(?:[a-z][a-z0-9._-]*)?")  # not of a symbol of C++ or Rust: "_ZTV17llama_…"

_c_int64 = ctypes.c_int64
_tokens = ctypes.POINTER(c_int32)
_floats = ctypes.POINTER(c_float)


class ModelParams(ctypes.Structure):
    """`llama_model_params`."""

    _fields_ = (
        ("devices", c_void_p),
        ("tensor_buft_overrides", c_void_p),
        ("n_gpu_layers", c_int32),
        ("split_mode", c_int),
        ("load_mode", c_int),
        ("lazy_mode", c_int),
        ("main_gpu", c_int32),
        ("tensor_split", c_void_p),
        ("progress_callback", c_void_p),
        ("progress_callback_user_data", c_void_p),
        ("kv_overrides", c_void_p),
        ("vocab_only", c_bool),
        ("check_tensors", c_bool),
        ("use_extra_bufts", c_bool),
        ("no_host", c_bool),
        ("no_alloc", c_bool),
        ("load_mtp", c_bool),
    )


class ContextParams(ctypes.Structure):
    """`llama_context_params`."""

    _fields_ = (
        ("n_ctx", c_uint32),
        ("n_batch", c_uint32),
        ("n_ubatch", c_uint32),
        ("n_seq_max", c_uint32),
        ("n_rs_seq", c_uint32),
        ("n_outputs_max", c_uint32),
        ("n_outputs_max_per_seq", c_uint32),
        ("n_threads", c_int32),
        ("n_threads_batch", c_int32),
        ("ctx_type", c_int),
        ("rope_scaling_type", c_int),
        ("pooling_type", c_int),
        ("attention_type", c_int),
        ("flash_attn_type", c_int),
        ("rope_freq_base", c_float),
        ("rope_freq_scale", c_float),
        ("yarn_ext_factor", c_float),
        ("yarn_attn_factor", c_float),
        ("yarn_beta_fast", c_float),
        ("yarn_beta_slow", c_float),
        ("yarn_orig_ctx", c_uint32),
        ("defrag_thold", c_float),
        ("cb_eval", c_void_p),
        ("cb_eval_user_data", c_void_p),
        ("type_k", c_int),
        ("type_v", c_int),
        ("moe_cache_size", c_size_t),
        ("abort_callback", c_void_p),
        ("abort_callback_data", c_void_p),
        ("embeddings", c_bool),
        ("offload_kqv", c_bool),
        ("no_perf", c_bool),
        ("op_offload", c_bool),
        ("swa_full", c_bool),
        ("kv_unified", c_bool),
        ("samplers", c_void_p),
        ("n_samplers", c_size_t),
        ("ctx_other", c_void_p),
    )


class Batch(ctypes.Structure):
    """`llama_batch`: tokens with their places and sequences; logits: from which to sample."""

    _fields_ = (
        ("n_tokens", c_int32),
        ("token", _tokens),
        ("embd", _floats),
        ("pos", _tokens),
        ("n_seq_id", _tokens),
        ("seq_id", ctypes.POINTER(_tokens)),
        ("logits", ctypes.POINTER(c_int8)),
    )


# What the pinned build fills in; another layout would show something else in these places.
_MODEL_DEFAULTS = {
    "devices": None, "n_gpu_layers": -1, "split_mode": 1, "main_gpu": 0, "tensor_split": None,
    "kv_overrides": None, "vocab_only": False, "check_tensors": False, "use_extra_bufts": True,
    "no_host": False, "no_alloc": False,
}  # fmt: skip
_CONTEXT_DEFAULTS = {
    "n_ctx": 512, "n_batch": 2048, "n_ubatch": 512, "n_seq_max": 1, "n_threads": 4,
    "n_threads_batch": 4, "rope_scaling_type": -1, "pooling_type": -1, "attention_type": -1,
    "flash_attn_type": -1, "yarn_ext_factor": -1.0, "yarn_beta_slow": -1.0, "defrag_thold": -1.0,
    "cb_eval": None, "type_k": 1, "type_v": 1, "abort_callback": None, "embeddings": False,
    "offload_kqv": True, "no_perf": True, "op_offload": True, "swa_full": True,
    "kv_unified": False, "samplers": None, "n_samplers": 0, "ctx_other": None,
}  # fmt: skip

# Name, result, arguments.
_FUNCTIONS: tuple[tuple[str, Any, tuple[Any, ...]], ...] = (
    ("ggml_quantize_chunk", c_size_t,
     (c_int, c_void_p, c_void_p, _c_int64, _c_int64, _c_int64, c_void_p)),
    ("ggml_quantize_requires_imatrix", c_bool, (c_int,)),
    ("ggml_row_size", c_size_t, (c_int, _c_int64)),
    ("ggml_validate_row_data", c_bool, (c_int, c_void_p, c_size_t)),
    ("ggml_fp16_to_fp32_row", None, (c_void_p, c_void_p, _c_int64)),
    ("ggml_bf16_to_fp32_row", None, (c_void_p, c_void_p, _c_int64)),
    ("llama_backend_init", None, ()),
    ("llama_model_default_params", ModelParams, ()),
    ("llama_context_default_params", ContextParams, ()),
    ("llama_model_load_from_file", c_void_p, (c_char_p, ModelParams)),
    ("llama_model_free", None, (c_void_p,)),
    ("llama_init_from_model", c_void_p, (c_void_p, ContextParams)),
    ("llama_free", None, (c_void_p,)),
    ("llama_n_ctx", c_uint32, (c_void_p,)),
    ("llama_n_batch", c_uint32, (c_void_p,)),
    ("llama_n_ubatch", c_uint32, (c_void_p,)),
    ("llama_n_seq_max", c_uint32, (c_void_p,)),
    ("llama_set_n_threads", None, (c_void_p, c_int32, c_int32)),
    ("llama_get_memory", c_void_p, (c_void_p,)),
    ("llama_memory_clear", None, (c_void_p, c_bool)),
    ("llama_memory_seq_rm", c_bool, (c_void_p, c_int32, c_int32, c_int32)),
    ("llama_decode", c_int32, (c_void_p, Batch)),
    ("llama_synchronize", None, (c_void_p,)),
    ("llama_get_logits_ith", _floats, (c_void_p, c_int32)),
    ("llama_model_get_vocab", c_void_p, (c_void_p,)),
    ("llama_vocab_n_tokens", c_int32, (c_void_p,)),
    ("llama_vocab_get_add_bos", c_bool, (c_void_p,)),
    ("llama_vocab_bos", c_int32, (c_void_p,)),
    ("llama_tokenize", c_int32, (c_void_p, c_char_p, c_int32, _tokens, c_int32, c_bool, c_bool)),
)  # fmt: skip


def path() -> Path:
    """The library's file. Raises NotHere where the extra `local` is not installed."""
    spec = find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    for folder in map(Path, folders):
        for pattern in (f"{PACKAGE}*.so", f"{PACKAGE}*.pyd", f"{PACKAGE}*.dylib"):
            for found in sorted(folder.glob(pattern)):
                return found
    raise NotHere("embedded.no-extra")


def lacks(architecture: str) -> bool:
    """Whether the library here is sure to refuse models of an architecture: it has its name nowhere
    among its texts. False where there is no library.

    A linker keeps a text that is the end of another only there ("bert" in "eurobert"); what ends
    the name of a symbol is no text."""
    name = architecture.encode() + b"\0"
    try:
        with path().open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            at = data.find(name)
            while at >= 0:
                if _TEXT.fullmatch(data[data.rfind(b"\0", 0, at) + 1 : at]):
                    return False
                at = data.find(name, at + 1)
            return True
    except (NotHere, OSError, ValueError):
        return False


def require(model: str, architecture: str) -> None:
    """Raise NotHere for a model whose architecture the library here is sure to refuse."""
    if lacks(architecture):
        code = "embedded.unknown-architecture"
        raise NotHere(code, model=model, architecture=architecture or "?")


class Library:
    """The functions of llama.cpp, under their own names. Raises NotHere: no such library, one
    that does not start here, or another build than the one that the layouts are of."""

    def __init__(self) -> None:
        where = path()
        try:
            self._lib = ctypes.CDLL(str(where))
            for name, result, arguments in _FUNCTIONS:
                function = getattr(self._lib, name)
                function.restype, function.argtypes = result, arguments
                setattr(self, name, function)
        except (OSError, AttributeError) as error:
            raise NotHere("embedded.broken-extra", problem=str(error)) from None
        for function, kind, expected in (
            (self.llama_model_default_params, ModelParams, _MODEL_DEFAULTS),
            (self.llama_context_default_params, ContextParams, _CONTEXT_DEFAULTS),
        ):
            # Another build may write more than there is of ours.
            function.restype = type("Roomy", (kind,), {"_fields_": [("room", ctypes.c_char * 512)]})
            params = function()
            odd = [name for name, value in expected.items() if getattr(params, name) != value]
            if odd:
                raise NotHere("quantize.other-build", fields=", ".join(odd))
            function.restype = kind

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)  # what `_FUNCTIONS` doesn't name; for the type checker

    def widen(self, type: int) -> Any:
        """The function that turns numbers of a type into 32-bit floats: (from, to, count)."""
        name = TYPES[type].name
        special = {"F16": "ggml_fp16_to_fp32_row", "BF16": "ggml_bf16_to_fp32_row"}
        lower = name.lower()
        if name.endswith("_K"):
            lower = lower[:-1] + "K"
        function = getattr(self._lib, special.get(name, f"dequantize_row_{lower}"), None)
        if function is None:
            raise NotHere("quantize.cannot-read-type", type=name)
        function.restype, function.argtypes = None, (c_void_p, c_void_p, _c_int64)
        return function

"""config.json files of models that people use, as their authors published them.

Only the keys that say sizes are here; the numbers of parameters beside them are the published ones
(model cards, `safetensors.total` of the hubs, the reports of the authors).
"""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]


def llama(width: int, layers: int, length: int, heads: int, kv_heads: int, words: int,
          context: int = 131072, **more: Any) -> Config:  # fmt: skip
    """The keys that most families share."""
    return {
        "model_type": "llama",
        "hidden_size": width,
        "num_hidden_layers": layers,
        "intermediate_size": length,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": words,
        "max_position_embeddings": context,
        "torch_dtype": "bfloat16",
        **more,
    }


_LLAMA3 = {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}, "head_dim": 128}
_DEEPSEEK_V3: Config = {
    **llama(7168, 61, 18432, 128, 128, 129280, 163840, model_type="deepseek_v3"),
    "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
    "v_head_dim": 128, "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8,
    "moe_intermediate_size": 2048, "first_k_dense_replace": 3, "moe_layer_freq": 1,
    "num_nextn_predict_layers": 1, "topk_method": "noaux_tc",
    "quantization_config": {"quant_method": "fp8"},
}  # fmt: skip

PUBLISHED: dict[str, tuple[int, Config]] = {
    "Llama-3.1-8B": (8_030_261_248, llama(4096, 32, 14336, 32, 8, 128256, **_LLAMA3)),
    "Llama-3.1-70B": (70_553_706_496, llama(8192, 80, 28672, 64, 8, 128256, **_LLAMA3)),
    "Llama-3.2-1B": (1_235_814_400, llama(2048, 16, 8192, 32, 8, 128256, head_dim=64,
                                          rope_scaling={"rope_type": "llama3"},
                                          tie_word_embeddings=True)),
    "Llama-2-7b": (6_738_415_616, llama(4096, 32, 11008, 32, 32, 32000, 4096)),
    "SmolLM2-135M": (134_515_008, llama(576, 30, 1536, 9, 3, 49152, 8192,
                                        tie_word_embeddings=True)),
    "Mistral-7B-v0.1": (7_241_732_096, llama(4096, 32, 14336, 32, 8, 32000, 32768,
                                             model_type="mistral", sliding_window=4096)),
    "Mistral-7B-v0.3": (7_248_023_552, llama(4096, 32, 14336, 32, 8, 32768, 32768,
                                             model_type="mistral", sliding_window=None)),
    "Mixtral-8x7B-v0.1": (46_702_792_704, llama(
        4096, 32, 14336, 32, 8, 32000, 32768, model_type="mixtral", num_local_experts=8,
        num_experts_per_tok=2, sliding_window=None)),
    "granite-3.1-2b": (2_533_531_648, llama(2048, 40, 8192, 32, 8, 49155, model_type="granite",
                                            tie_word_embeddings=True)),
    "SmolLM3-3B": (3_075_098_624, llama(2048, 36, 11008, 16, 4, 128256, 65536,
                                        model_type="smollm3", sliding_window=None)),
    "Qwen2.5-0.5B": (494_032_768, llama(896, 24, 4864, 14, 2, 151936, 32768, model_type="qwen2",
                                        sliding_window=32768, use_sliding_window=False,
                                        tie_word_embeddings=True)),
    "Qwen2.5-7B": (7_615_616_512, llama(3584, 28, 18944, 28, 4, 152064, model_type="qwen2")),
    "Qwen1.5-MoE-A2.7B": (14_315_784_192, llama(
        2048, 24, 5632, 16, 16, 151936, 8192, model_type="qwen2_moe", decoder_sparse_step=1,
        num_experts=60, num_experts_per_tok=4, moe_intermediate_size=1408,
        shared_expert_intermediate_size=5632)),
    "Qwen3-0.6B": (596_049_920, llama(1024, 28, 3072, 16, 8, 151936, 40960, model_type="qwen3",
                                      head_dim=128, tie_word_embeddings=True)),
    "Qwen3-8B": (8_190_735_360, llama(4096, 36, 12288, 32, 8, 151936, 40960, model_type="qwen3",
                                      head_dim=128, tie_word_embeddings=False)),
    "Qwen3-30B-A3B": (30_532_122_624, llama(
        2048, 48, 6144, 32, 4, 151936, 40960, model_type="qwen3_moe", head_dim=128,
        num_experts=128, num_experts_per_tok=8, moe_intermediate_size=768, mlp_only_layers=[],
        decoder_sparse_step=1)),
    "gemma-2b": (2_506_172_416, llama(2048, 18, 16384, 8, 1, 256000, 8192, model_type="gemma",
                                      head_dim=256)),
    "gemma-2-9b": (9_241_705_984, llama(3584, 42, 14336, 16, 8, 256000, 8192, model_type="gemma2",
                                        head_dim=256, sliding_window=4096)),
    "gemma-3-1b": (999_885_952, llama(1152, 26, 6912, 4, 1, 262144, 32768,
                                      model_type="gemma3_text", head_dim=256, sliding_window=512)),
    # Of the larger ones the config says only what differs from the class's own defaults.
    "gemma-3-4b": (3_880_263_168, {
        "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
        "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34,
                        "model_type": "gemma3_text", "sliding_window": 1024},
        "torch_dtype": "bfloat16", "vision_config": {"hidden_size": 1152}}),
    "OLMo-2-1124-7B": (7_298_617_344, llama(4096, 32, 11008, 32, 32, 100352, 4096,
                                            model_type="olmo2")),
    "Phi-3-mini-4k": (3_821_079_552, llama(3072, 32, 8192, 32, 32, 32064, 4096, model_type="phi3",
                                           sliding_window=2047)),
    "phi-4": (14_659_507_200, llama(5120, 40, 17920, 40, 10, 100352, 16384, model_type="phi3",
                                    sliding_window=None)),
    "gpt-oss-20b": (20_914_757_184, llama(
        2880, 24, 2880, 64, 8, 201088, model_type="gpt_oss", head_dim=64, num_local_experts=32,
        num_experts_per_tok=4, experts_per_token=4, sliding_window=128, attention_bias=True,
        quantization_config={"quant_method": "mxfp4"})),
    "gpt-oss-120b": (116_829_156_672, llama(
        2880, 36, 2880, 64, 8, 201088, model_type="gpt_oss", head_dim=64, num_local_experts=128,
        num_experts_per_tok=4, experts_per_token=4, sliding_window=128, attention_bias=True,
        quantization_config={"quant_method": "mxfp4"})),
    "DeepSeek-V2-Lite": (15_706_484_224, {
        **llama(2048, 27, 10944, 16, 16, 102400, 163840, model_type="deepseek_v2"),
        "kv_lora_rank": 512, "q_lora_rank": None, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
        "v_head_dim": 128, "n_routed_experts": 64, "n_shared_experts": 2, "num_experts_per_tok": 6,
        "moe_intermediate_size": 1408, "first_k_dense_replace": 1, "moe_layer_freq": 1,
        "topk_method": "greedy"}),
    "DeepSeek-V3": (671_026_419_200, _DEEPSEEK_V3),
    "Kimi-K2": (1_026_408_232_448, {
        **_DEEPSEEK_V3, "model_type": "kimi_k2", "num_attention_heads": 64,
        "num_key_value_heads": 64, "n_routed_experts": 384, "first_k_dense_replace": 1,
        "vocab_size": 163840, "num_nextn_predict_layers": 0}),
    "mamba-130m": (129_135_360, {
        "model_type": "mamba", "hidden_size": 768, "num_hidden_layers": 24, "vocab_size": 50280,
        "state_size": 16, "conv_kernel": 4, "intermediate_size": 1536, "time_step_rank": 48,
        "torch_dtype": "float32"}),
    "mamba-2.8b": (2_768_345_600, {
        "model_type": "mamba", "d_model": 2560, "n_layer": 64, "vocab_size": 50280,
        "state_size": 16, "conv_kernel": 4, "time_step_rank": 160}),
}  # fmt: skip
"""Name → published parameters, config."""

FALCON_H1: Config = {
    **llama(2048, 24, 4096, 8, 2, 65537, model_type="falcon_h1", head_dim=128),
    "mamba_d_ssm": 3072, "mamba_d_state": 256, "mamba_d_conv": 4, "mamba_n_groups": 1,
    "mamba_n_heads": 48, "mamba_d_head": 64, "mamba_rms_norm": False,
}  # fmt: skip
"""The shape of Falcon-H1-1.5B, which is published in round numbers only."""

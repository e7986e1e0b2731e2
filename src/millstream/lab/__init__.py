"""The model lab: what fits, what it costs, how fast it is; predicted first, then measured.

`names` finds a model by whatever a person calls it; what comes back is always the header of a
GGUF file, read from one or made up from a config.json (`config`, `safetensors`). `mixes` knows
which type llama.cpp's quantizer gives each tensor, `training` what a training run takes. `machine`
says what this machine has and how fast it is, `fit` puts all of it together, `plan` does so for a
whole app, `recommend` says what to take instead. The sums of loading a model (weights, cache,
scratch space) are in `millstream.models.footprint`, since loading needs them without a lab.

Nothing is imported here: a command loads the modules that it uses.
"""

"""Models: everything between a node's request and an answer from whoever serves the model here.

`router` answers the engine's `Models` port. `presets`, `resolver` and `discovery` know what a
name in an app file is on this machine; one module per protocol speaks to it (`openai`, `ollama`,
`anthropic`, `gemini`) over `http`, the one way out; `embedded` runs models in processes of ours.
What holds for all of them has a module of its own: `guard` (the context), `reasoning`,
`structured` and `salvage` (JSON), `stitch` (answers that were cut), `failures` (errors).

Nothing is imported here: a run loads the modules that it uses.
"""

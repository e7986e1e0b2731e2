"""How fast a model really is, seen from where its answers arrive.

`calls` is what is recorded of one call and what follows from it; `stats` the statistics; `prompts`
makes prompts of so many tokens that no cache has seen; `load` sends them: one after the other,
several at once, at a rate. `subject` is what is measured (a model that is loaded here, or a
server), `watch` looks at its process, `roof` says what the machine could do at best, `cost` what
power and hours make of it. `measure` goes through all points that are asked for and keeps every
call in a `Run`, `figures` sums a point up, `against` compares two runs, `doubts` says what is not
to be believed.

Nothing is imported here: a command loads the modules that it uses.
"""

"""Running code and templates that nobody has vouched for.

`host` has `LocalSandbox`, which answers the engine's `Sandbox` port. It starts, at the first call
that needs it, one `zygote` for a language: a Python process with an empty environment that knows
nothing of this one. The zygote forks a child for every call; `lockdown` (with the numbers of
`syscalls`) locks it in; `child` serves the one call with one of the `run_*` languages; `scratch`
keeps and clears the folder that it may write to.

    host ──socket──▶ zygote ──fork──▶ child
      ╰──────── request, reply ─────────╯

Everything but `host` runs in the zygote's interpreter, where the rest of Millstream does not
exist: those modules import the standard library and each other only, as this file must.
"""

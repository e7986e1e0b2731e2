from millstream.base.messages import Text

MESSAGES = {
    "template-syntax": Text(
        "the Jinja2 template cannot be read: {problem}",
        "无法解析 Jinja2 模板：{problem}",
        "Correct the template on that line.",
        "请修改模板中的这一行。",
    ),
    "template-failed": Text(
        "the Jinja2 template could not be rendered: {problem}",
        "无法渲染 Jinja2 模板：{problem}",
        "Check that the values given to the template are what it expects: an optional one may be "
        "missing, `default` or `if` can catch that.",
        "请检查传给模板的值是否符合预期：可选的值可能缺失，可用 `default` 或 `if` 处理。",
    ),
    "template-too-long": Text(
        "the Jinja2 template yields more than {limit} characters",
        "Jinja2 模板的输出超过了 {limit} 个字符",
        "Let the template repeat less, or raise the setting `sandbox.output_mb`.",
        "请减少模板中的重复内容，或调高设置 `sandbox.output_mb`。",
    ),
}

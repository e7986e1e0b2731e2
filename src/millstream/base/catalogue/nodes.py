from millstream.base.messages import Text

MESSAGES = {
    "variable-without-name": Text(
        "an input variable has no name", "有一个输入变量没有名称", "Give it one.", "请为它命名。"
    ),
    "input-missing": Text(
        "the input {name!r} is missing",
        "缺少输入 {name!r}",
        "Give it as {name}=… , {name}=@FILE, or in a JSON file with --input.",
        "请用 {name}=…、{name}=@文件，或用 --input 指定的 JSON 文件提供。",
    ),
    "input-not-text": Text(
        "the input {name!r} must be text, not {given}",
        "输入 {name!r} 必须是文本，而不是 {given}",
        "Put the value in quotes.",
        "请给该值加上引号。",
    ),
    "input-not-a-number": Text(
        "the input {name!r} must be a number, not {given!r}",
        "输入 {name!r} 必须是数字，而不是 {given!r}",
        "Write digits, with a point for a fraction: {name}=12 or {name}=0.5.",
        "请写数字，小数用点号：{name}=12 或 {name}=0.5。",
    ),
    "input-not-an-option": Text(
        "the input {name!r} cannot be {given!r}",
        "输入 {name!r} 不能是 {given!r}",
        "It is one of: {options}.",
        "可选值：{options}。",
    ),
    "input-too-long": Text(
        "the input {name!r} has {length} characters; the app takes at most {limit}",
        "输入 {name!r} 有 {length} 个字符；该应用最多接受 {limit} 个",
        "Shorten it, or raise `max_length` of this variable in the app's start node.",
        "请缩短内容，或在应用的开始节点中调大该变量的 `max_length`。",
    ),
    "input-not-an-object": Text(
        "the input {name!r} must be a JSON object",
        "输入 {name!r} 必须是 JSON 对象",
        'Write it as {{"key": "value"}}, or give a file: {name}=@data.json.',
        '请写成 {{"key": "value"}}，或提供文件：{name}=@data.json。',
    ),
    "input-not-a-file": Text(
        "the input {name!r} must be a file, not {given}",
        "输入 {name!r} 必须是文件，而不是 {given}",
        "Give a path as {name}=@PATH, or an address as {name}=https://…",
        "请用 {name}=@路径 提供文件，或用 {name}=https://… 提供地址。",
    ),
    "input-too-many-files": Text(
        "the input {name!r} has {count} files; the app takes at most {limit}",
        "输入 {name!r} 有 {count} 个文件；该应用最多接受 {limit} 个",
    ),
    "input-file-type": Text(
        "the input {name!r} does not take files of type {given!r}",
        "输入 {name!r} 不接受 {given!r} 类型的文件",
        "Allowed: {allowed}.",
        "允许的类型：{allowed}。",
    ),
    "template-too-long": Text(
        "the text has {length} characters, more than the limit of {limit}",
        "文本有 {length} 个字符，超过限制 {limit}",
        "The limit is the setting `limits.template_length`.",
        "该限制由设置 `limits.template_length` 决定。",
    ),
    "no-variable": Text(
        "the variable {name!r} is not there",
        "变量 {name!r} 不存在",
        "No node that ran before this one gave it; `millstream check` shows what each node gives.",
        "在此之前运行的节点都没有输出它；`millstream check` 可查看每个节点的输出。",
    ),
    "not-a-list": Text("{name!r} is not a list but {given}", "{name!r} 不是列表，而是 {given}"),
    "no-operator": Text(
        "there is no comparison {name!r}",
        "没有 {name!r} 这种比较",
        "There are: {known}.",
        "可用的有：{known}。",
    ),
    "cannot-compare": Text(
        "{name!r} is {type} and cannot be compared by {operator!r} with {expected!r}",
        "{name!r} 的类型是 {type}，不能用 {operator!r} 与 {expected!r} 比较",
        "Choose a comparison that fits the type.",
        "请选择适合该类型的比较方式。",
    ),
    "not-a-boolean": Text(
        "a boolean is compared with {given!r}",
        "布尔值与 {given!r} 进行了比较",
        "Write true or false.",
        "请写 true 或 false。",
    ),
    "bad-context": Text(
        "the context variable must be a text, or a list of texts or of objects with `content`",
        "上下文变量必须是文本，或由文本、带 `content` 的对象组成的列表",
    ),
    "no-prompt": Text(
        "nothing is left to ask the model: every message of the prompt is empty",
        "没有可以发给模型的内容：提示词的每条消息都是空的",
        "Check the variables that the prompt uses.",
        "请检查提示词所用的变量。",
    ),
    "bad-schema": Text(
        "the schema of the structured output is not a JSON schema",
        "结构化输出的 schema 不是有效的 JSON schema",
        "Write it as a mapping with a `type`, such as object, and `properties`.",
        "请写成带有 `type`（如 object）和 `properties` 的映射。",
    ),
    "code-not-an-object": Text(
        "the code returned {given}; it must return an object with the declared outputs",
        "代码返回了 {given}；它必须返回包含已声明输出的对象",
        "End `main` with a return of a dict, such as `return {{'result': …}}`.",
        "请让 `main` 返回字典，例如 `return {{'result': …}}`。",
    ),
    "code-missing-output": Text(
        "the code did not return the declared output {names}",
        "代码没有返回已声明的输出 {names}",
        "Return it, or take it out of the node's outputs.",
        "请返回它，或从节点的输出中删除它。",
    ),
    "code-extra-output": Text(
        "the code returned {names}, which the node does not declare",
        "代码返回了节点未声明的 {names}",
        "Declare it as an output, or do not return it.",
        "请将其声明为输出，或不要返回它。",
    ),
    "code-wrong-type": Text(
        "the output {name} is declared as {declared} but is {given}",
        "输出 {name} 声明为 {declared}，实际却是 {given}",
        "Convert it in the code, or declare the type that it has.",
        "请在代码中转换它，或声明它实际的类型。",
    ),
    "code-too-many": Text(
        "the output {name} has a length of {count}, more than the limit of {limit}",
        "输出 {name} 的长度为 {count}，超过限制 {limit}",
        "The limit is the setting `limits.{setting}`.",
        "该限制由设置 `limits.{setting}` 决定。",
    ),
    "code-number": Text(
        "the output {name} is beyond the limit of ±{limit}",
        "输出 {name} 超出 ±{limit} 的范围",
        "The limit is the setting `limits.code_number`.",
        "该限制由设置 `limits.code_number` 决定。",
    ),
    "code-depth": Text(
        "the output {name} is nested deeper than {limit} levels",
        "输出 {name} 的嵌套超过 {limit} 层",
        "The limit is the setting `limits.code_depth`.",
        "该限制由设置 `limits.code_depth` 决定。",
    ),
    "tool-parameter": Text(
        "the tool {tool} needs the parameter {name!r}",
        "工具 {tool} 需要参数 {name!r}",
        "Set it in the node, or check the variable that it comes from.",
        "请在节点中设置它，或检查它所引用的变量。",
    ),
    "reserved-name": Text(
        "a parameter cannot be named {name!r}; the node uses that name itself",
        "参数不能命名为 {name!r}；该名称由节点自身使用",
        "Choose another name.",
        "请换一个名称。",
    ),
}

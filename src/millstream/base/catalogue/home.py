from millstream.base.messages import Text

MESSAGES = {
    # ------------------------------------------------------------------ the data directory
    "cannot-write": Text(
        "{path} cannot be written: {reason}",
        "无法写入 {path}：{reason}",
        "Check its permissions and the space on the disk, or choose another data directory: "
        "export MILLSTREAM_HOME=/some/where",
        "请检查权限和磁盘空间，或换一个数据目录：export MILLSTREAM_HOME=/其他/位置",
    ),
    "cannot-read": Text(
        "{path} cannot be read: {reason}",
        "无法读取 {path}：{reason}",
        "Check its permissions (ls -ld {path}), or choose another data directory: "
        "export MILLSTREAM_HOME=/some/where",
        "请检查权限（ls -ld {path}），或换一个数据目录：export MILLSTREAM_HOME=/其他/位置",
    ),
    "not-a-folder": Text(
        "the data directory {path} is not a folder",
        "数据目录 {path} 不是文件夹",
        "Set MILLSTREAM_HOME to a folder, or unset it.",
        "请把 MILLSTREAM_HOME 设为一个文件夹，或取消该变量。",
    ),
    "no-user-home": Text(
        "this user has no home directory, so there is no place for settings and models",
        "当前用户没有主目录，没有地方存放设置和模型",
        "Choose a data directory: export MILLSTREAM_HOME=/some/where",
        "请指定数据目录：export MILLSTREAM_HOME=/某个/位置",
    ),
    "stamp-damaged": Text(
        "{path} is damaged: it should say which format the data directory has",
        "{path} 已损坏：它应当记录数据目录的格式版本",
        "If no other version of Millstream was used here, put it right: echo '{{\"format\": 1}}' > "
        '"{path}"',
        '如果这里没有用过其他版本的 Millstream，可以直接修复：echo \'{{"format": 1}}\' > "{path}"',
    ),
    "too-new": Text(
        "the data directory {path} has format {format}, written by Millstream {version}; this is "
        "Millstream {our_version}, which reads formats up to {ours}. Nothing was changed",
        "数据目录 {path} 的格式是 {format}，由 Millstream {version} 写入；当前是 Millstream "
        "{our_version}，只能读取到格式 {ours}。没有改动任何内容",
        'Install that version or a newer one again (pip install "millstream>={version}", or git '
        "pull and pip install . in your clone), or use another data directory: "
        "export MILLSTREAM_HOME=/some/where",
        '请重新安装该版本或更新的版本（pip install "millstream>={version}"，或在源码目录执行 '
        "git pull 后 pip install .），或换一个数据目录：export MILLSTREAM_HOME=/其他/位置",
    ),
    "too-new-with-backup": Text(
        "the data directory {path} has format {format}, written by Millstream {version}; this is "
        "Millstream {our_version}, which reads formats up to {ours}. Nothing was changed",
        "数据目录 {path} 的格式是 {format}，由 Millstream {version} 写入；当前是 Millstream "
        "{our_version}，只能读取到格式 {ours}。没有改动任何内容",
        'Install that version or a newer one again (pip install "millstream>={version}", or git '
        "pull and pip install . in your clone), or go on with the copy made before the upgrade: "
        'export MILLSTREAM_HOME="{backup}"',
        '请重新安装该版本或更新的版本（pip install "millstream>={version}"，或在源码目录执行 '
        "git pull 后 pip install .），或继续使用升级前的备份："
        'export MILLSTREAM_HOME="{backup}"',
    ),
    "backup-failed": Text(
        "the data directory {path} could not be backed up before its upgrade, so nothing was "
        "changed: {problem}",
        "升级前无法备份数据目录 {path}，因此没有改动任何内容：{problem}",
        "Make room on the disk or put the permissions right, and try again.",
        "请清理磁盘空间或修正权限，然后重试。",
    ),
    "migration-failed": Text(
        "the data directory {path} could not be upgraded from format {old} to {new} and is as it "
        "was before: {problem}",
        "数据目录 {path} 无法从格式 {old} 升级到 {new}，已恢复原状：{problem}",
        "Go on with the version that you had, and please report this.",
        "请继续使用原来的版本，并向我们反馈此问题。",
    ),
    # ------------------------------------------------------------------------- TOML files
    "not-utf-8": Text(
        "the file is not UTF-8 text",
        "文件不是 UTF-8 文本",
        "Save it as UTF-8 in your editor.",
        "请在编辑器中将其另存为 UTF-8。",
    ),
    "not-toml": Text(
        "the file is not valid TOML: {problem}",
        "文件不是有效的 TOML：{problem}",
        'A line reads: name = "text", name = 5 or name = true; a table begins with [name].',
        '每行的写法是 name = "文本"、name = 5 或 name = true；表以 [name] 开头。',
    ),
    # --------------------------------------------------------------------------- settings
    "no-setting": Text(
        "there is no setting {name}",
        "没有名为 {name} 的设置",
        "List them all: millstream settings",
        "查看全部设置：millstream settings",
    ),
    "no-setting-near": Text(
        "there is no setting {name}; did you mean {near}?",
        "没有名为 {name} 的设置；是否想写 {near}？",
        "List them all: millstream settings",
        "查看全部设置：millstream settings",
    ),
    "unknown-setting": Text(
        "{name} is no setting and has no effect",
        "{name} 不是设置项，不起作用",
        "List what there is: millstream settings",
        "查看可用的设置：millstream settings",
    ),
    "unknown-setting-near": Text(
        "{name} is no setting and has no effect; did you mean {near}?",
        "{name} 不是设置项，不起作用；是否想写 {near}？",
        "Rename it to {near}, or remove the line.",
        "请改名为 {near}，或删除这一行。",
    ),
    "setting-type": Text(
        "{name} must be {kind}",
        "{name} 必须是{kind}",
        "Write {name} as {kind}, or take it out to have the default.",
        "请将 {name} 写成{kind}，或删去它以使用默认值。",
    ),
    "setting-missing": Text(
        "{field} is missing here",
        "这里缺少 {field}",
        'Add a line: {field} = "…"',
        '请添加一行：{field} = "…"',
    ),
    "setting-wrong": Text(
        "{problem}",
        "{problem}",
        "What settings take is in `millstream settings`.",
        "各设置的取值见 `millstream settings`。",
    ),
    "endpoint-name": Text("an endpoint needs a name without a slash", "端点需要一个不含斜杠的名称"),
    "endpoint-url": Text(
        "an endpoint's url begins with http:// or https://, and goes on with a host and, if it has "
        "to, a port up to 65535",
        "端点的 url 应以 http:// 或 https:// 开头，后接主机名，端口（如有）不超过 65535",
    ),
    "web-address": Text(
        "the setting {name} is an address: it begins with http:// or https://, and goes on with a "
        "host",
        "设置 {name} 是一个地址：应以 http:// 或 https:// 开头，后接主机名",
    ),
    "endpoint-key": Text(
        "an endpoint's key says where the key is, never the key itself: env:NAME, keyring:NAME "
        "or credentials:NAME",
        "端点的 key 只写密钥所在的位置，不写密钥本身：env:名称、keyring:名称或 credentials:名称",
    ),
    "kind-bool": Text("true or false", "true 或 false"),
    "kind-int": Text("a whole number, {least} or more", "不小于 {least} 的整数"),
    "kind-number": Text("a number, 0 or more", "不小于 0 的数"),
    "kind-positive": Text("a number above 0", "大于 0 的数"),
    "kind-text": Text("a text", "文本"),
    "kind-choice": Text("one of: {values}", "以下之一：{values}"),
    "kind-list": Text("a list of tables: [[endpoints]]", "表的列表：[[endpoints]]"),
    "kind-table": Text("a table", "表"),
    "setting.models.default": Text(
        "The model that `local` means, such as ollama/qwen3:8b; empty: the best that is here.",
        "`local` 所指的模型，例如 ollama/qwen3:8b；留空则用本机上最好的模型。",
    ),
    "setting.models.dir": Text(
        "The folder that models are kept in; empty: models in the data directory.",
        "存放模型的文件夹；留空则用数据目录下的 models。",
    ),
    "setting.models.reasks": Text(
        "How often a model is told that its JSON was wrong, before the call fails.",
        "模型返回的 JSON 有误时，最多重新要求几次。",
    ),
    "setting.models.continue_on_length": Text(
        "How often an answer that ran into the token limit is continued and stitched; 0: it is "
        'kept as it is, with the finish reason "length".',
        "回答因长度限制中断时，最多续写并拼接几次；0 表示保留原样，结束原因为 length。",
    ),
    "setting.models.stop_repetition": Text(
        "End an answer of a model in Millstream that has no token limit and goes round in a "
        "circle.",
        "本机内置模型的回答若没有 token 上限且陷入循环，则结束该回答。",
    ),
    "setting.models.check_prompt_tokens": Text(
        "Treat a prompt that the server did not read whole as an error.",
        "若服务端没有读完整个提示词，视为错误。",
    ),
    "setting.network.proxy": Text(
        "The proxy for outbound connections, never used for private addresses; empty: what "
        "HTTPS_PROXY, HTTP_PROXY and NO_PROXY say.",
        "对外连接使用的代理，不会用于内网地址；留空则遵从 HTTPS_PROXY、HTTP_PROXY 和 NO_PROXY。",
    ),
    "setting.network.offline": Text(
        "Refuse every connection that leaves this machine and its private network.",
        "拒绝一切离开本机和内网的连接。",
    ),
    "setting.network.connect_timeout": Text(
        "Seconds to wait for a connection to be accepted.", "等待建立连接的秒数。"
    ),
    "setting.network.first_byte_timeout": Text(
        "Seconds to wait for the first byte of an answer; none: as long as it takes.",
        "等待响应首字节的秒数；none 表示一直等待。",
    ),
    "setting.network.idle_timeout": Text(
        "Seconds that an answer may pause in its middle; none: as long as it takes.",
        "响应中途允许停顿的秒数；none 表示不限。",
    ),
    "setting.network.tries": Text(
        "How often a request is sent in all when a server is busy or broken.",
        "服务繁忙或出错时，同一请求总共发送的次数。",
    ),
    "setting.network.longest_wait": Text(
        "The longest pause between two tries, in seconds.", "两次尝试之间最长的等待秒数。"
    ),
    "setting.sandbox.seconds": Text(
        "Seconds that a piece of untrusted code may run.", "不受信任的代码可运行的秒数。"
    ),
    "setting.sandbox.memory_mb": Text(
        "Memory of untrusted code, in MB.", "不受信任的代码可用的内存（MB）。"
    ),
    "setting.sandbox.output_mb": Text(
        "Size of what untrusted code may return and print, in MB.",
        "不受信任的代码可返回和打印的数据量（MB）。",
    ),
    "setting.sandbox.scratch_mb": Text(
        "Size of the files that untrusted code may write to its own folder, in MB.",
        "不受信任的代码可在其专用目录中写入的文件大小（MB）。",
    ),
    "setting.sandbox.processes": Text(
        "Pieces of untrusted code that may run at the same time; further ones wait.",
        "可同时运行的不受信任代码的数量，其余的排队等待。",
    ),
    "setting.sandbox.packages": Text(
        "A virtual environment whose packages code nodes may import; empty: the standard library.",
        "代码节点可以导入其软件包的虚拟环境；留空则只有标准库。",
    ),
    "setting.sandbox.unconfined": Text(
        "Run code even where this system cannot lock it in; only for files that you trust.",
        "在系统无法隔离代码时仍然运行代码；仅用于你信任的文件。",
    ),
    "setting.limits.profile": Text(
        "The limits of a run to start from: none, or dify for those that Dify documents.",
        "运行限制的基础：none 表示不限，dify 表示采用 Dify 文档中的限制。",
    ),
    "setting.limits.max_steps": Text(
        "Nodes that a run may start, those inside of iterations included.",
        "一次运行可启动的节点数，含迭代内部的节点。",
    ),
    "setting.limits.max_seconds": Text("Seconds that a run may take.", "一次运行可用的秒数。"),
    "setting.limits.template_length": Text(
        "Characters that a template may make.", "模板可输出的字符数。"
    ),
    "setting.limits.code_string_length": Text(
        "Characters of a text that code returns.", "代码返回的文本的字符数上限。"
    ),
    "setting.limits.code_depth": Text(
        "How deep the objects that code returns may be nested.", "代码返回的对象的嵌套层数上限。"
    ),
    "setting.limits.code_number": Text(
        "How far from 0 a number that code returns may be.", "代码返回的数的绝对值上限。"
    ),
    "setting.limits.code_string_array": Text(
        "Elements of a list of texts that code returns.", "代码返回的文本列表的元素数上限。"
    ),
    "setting.limits.code_number_array": Text(
        "Elements of a list of numbers that code returns.", "代码返回的数字列表的元素数上限。"
    ),
    "setting.limits.code_object_array": Text(
        "Elements of a list of objects that code returns.", "代码返回的对象列表的元素数上限。"
    ),
    "setting.limits.parallel_items": Text(
        "Items of an iteration that may run at once.", "迭代中可同时运行的元素数。"
    ),
    "setting.translate.endpoint": Text(
        "The address that google_translate asks; empty: the public one.",
        "google_translate 使用的地址；留空则用公共地址。",
    ),
    "setting.translate.proxy": Text(
        "A proxy for google_translate alone; empty: that of network.proxy.",
        "google_translate 专用的代理；留空则用 network.proxy。",
    ),
    "setting.translate.connect_timeout": Text(
        "Seconds until google_translate is connected; empty: network.connect_timeout.",
        "google_translate 建立连接的最长秒数；留空则用 network.connect_timeout。",
    ),
    "setting.translate.read_timeout": Text(
        "Seconds to wait for each piece of google_translate's answer.",
        "等待 google_translate 每段响应的最长秒数。",
    ),
    "setting.translate.piece": Text(
        "Characters that google_translate takes in one request; a longer text goes in pieces.",
        "google_translate 单次请求的字符数；更长的文本会分段发送。",
    ),
    "setting.translate.model_piece": Text(
        "Characters given to a model at once when it translates in place of a tool.",
        "由模型代替翻译工具时，每次交给模型的字符数。",
    ),
    "setting.translate.max_mb": Text(
        "MiB of one answer of google_translate; a longer one is an error.",
        "google_translate 单次响应的上限（MiB）；超出即报错。",
    ),
    "setting.hub.endpoint": Text(
        "Hugging Face, where models are pulled from: the hub itself or a mirror of it.",
        "拉取模型的 Hugging Face 地址：站点本身或其镜像。",
    ),
    "setting.hub.modelscope": Text(
        "ModelScope, where models are pulled from too: the hub itself or a mirror of it.",
        "拉取模型的 ModelScope（魔搭）地址：站点本身或其镜像。",
    ),
    "setting.hub.ollama": Text(
        "Ollama's library, where `fit ollama:NAME` reads about a model that is not here.",
        "Ollama 模型库的地址：`fit ollama:名称` 从这里读取本机没有的模型的信息。",
    ),
    "setting.embedded.context": Text(
        "Tokens of context for each call of an embedded model; none: 8192, or what the model was "
        "trained for or memory allows, if that is less.",
        "内嵌模型每次调用的上下文长度（token 数）；none 表示 8192，"
        "若模型训练长度或内存不足则更小。",
    ),
    "setting.embedded.slots": Text(
        "Calls that an embedded model answers at once; none: 2, or 1 if memory is short.",
        "内嵌模型同时处理的调用数；none 表示 2，内存不足时为 1。",
    ),
    "setting.embedded.threads": Text(
        "Processor threads of an embedded model; none: timed when it is loaded.",
        "内嵌模型使用的处理器线程数；none 表示加载时实测选定。",
    ),
    "setting.embedded.idle_seconds": Text(
        "Seconds without a call after which an embedded model gives its memory back; none: it "
        "keeps it as long as the program runs.",
        "内嵌模型空闲多少秒后释放内存；none 表示在程序运行期间一直保留。",
    ),
    "setting.embedded.check_memory": Text(
        "Refuse an embedded model that needs more memory than is free.",
        "内嵌模型所需内存超过可用内存时拒绝加载。",
    ),
    # ------------------------------------------------------------------------ credentials
    "key-modes-repaired": Text(
        "{path} could be read by others; its mode is now 0600",
        "{path} 原本可被他人读取；现已改为 0600 权限",
        "If others use this machine, consider the keys in it known and replace them.",
        "如果有他人使用这台机器，请视其中的密钥为已泄露并更换。",
    ),
    "key-modes": Text(
        "{path} can be read by others and its mode cannot be changed here, so no key is read "
        "from it",
        "{path} 可被他人读取，且无法在此更改其权限，因此不从中读取密钥",
        'Put it right (chmod 600 "{path}"), or give keys by environment variables.',
        '请修正权限（chmod 600 "{path}"），或改用环境变量提供密钥。',
    ),
    "key-not-text": Text(
        "the key of {provider} must be a text in quotes",
        "{provider} 的密钥必须是带引号的文本",
        "Set it anew: millstream keys set {provider}",
        "请重新设置：millstream keys set {provider}",
    ),
    "key-empty": Text(
        "the key of {provider} is empty",
        "{provider} 的密钥为空",
        "Set it: millstream keys set {provider}",
        "请设置：millstream keys set {provider}",
    ),
    "key-odd": Text(
        "the key of {provider} has a character that no key has, such as a line break or a letter "
        "that is not ASCII",
        "{provider} 的密钥中含有密钥不会有的字符，例如换行或非 ASCII 字符",
        "Copy it again from the provider's page.",
        "请从提供商页面重新复制密钥。",
    ),
    "no-keyring": Text(
        "this machine has no keyring that can keep a key: {problem}",
        "这台机器没有可保存密钥的系统钥匙串：{problem}",
        'Install it (pip install "millstream[keyring]"), or keep the key in the credentials file.',
        '请安装（pip install "millstream[keyring]"），或把密钥保存在凭据文件中。',
    ),
    "source-environment": Text("environment variable {name}", "环境变量 {name}"),
    "source-keyring": Text("the system's keyring, {name}", "系统钥匙串，{name}"),
    "source-file": Text("{path}", "{path}"),
    # --------------------------------------------------------------------------- bindings
    "bind-form": Text(
        "{text!r} is no binding",
        "{text!r} 不是有效的绑定",
        "Write what the file names, an equals sign, and what to use: "
        "--bind openai/gpt-4o=ollama/qwen3:8b, or openai/*=local for every model of a provider.",
        "写法是“文件中的名称=要使用的模型”：--bind openai/gpt-4o=ollama/qwen3:8b，"
        "或用 openai/*=local 表示该提供商的所有模型。",
    ),
    "bind-pattern": Text(
        "{pattern!r} names no {what}",
        "{pattern!r} 没有指明{what}",
        'Write provider/name, such as "openai/gpt-4o"; "openai/*" is everything of a provider, '
        '"*" is everything.',
        '写成 提供商/名称，例如 "openai/gpt-4o"；"openai/*" 表示该提供商的全部，"*" 表示全部。',
    ),
    "bind-target": Text(
        "{target!r} is nothing that a {what} can be bound to",
        "{what}不能绑定到 {target!r}",
        "It can be: {forms}.",
        "可以是：{forms}。",
    ),
    "bind-model-forms": Text(
        "local for the best model that is here, ollama/qwen3:8b for one of a server, "
        "embedded/NAME for one of the shelf, or the bare name of a model",
        "local（本机最好的模型）、ollama/qwen3:8b（某个服务的模型）、embedded/名称（模型目录中的"
        "模型），或只写模型名称",
    ),
    "bind-tool-forms": Text(
        "local for its substitute on this machine, llm for the bound model, or provider/name",
        "local（本机的替代实现）、llm（由所绑定的模型完成），或 提供商/名称",
    ),
    "bind-model": Text("model", "模型"),
    "bind-tool": Text("tool", "工具"),
    "bind-not-table": Text(
        "{name} must be a table of bindings",
        "{name} 必须是绑定表",
        'Write: [bind.models] and below it "openai/gpt-4o" = "ollama/qwen3:8b"',
        '写法：[bind.models]，其下一行 "openai/gpt-4o" = "ollama/qwen3:8b"',
    ),
    "bind-unknown": Text(
        "{name} is unknown here and has no effect",
        "{name} 在这里没有意义，不起作用",
        "Bindings stand under [bind.models] and [bind.tools].",
        "绑定写在 [bind.models] 和 [bind.tools] 之下。",
    ),
    "bind-unknown-near": Text(
        "{name} is unknown here and has no effect; did you mean {near}?",
        "{name} 在这里没有意义，不起作用；是否想写 {near}？",
        "Rename it to {near}, or remove it.",
        "请改名为 {near}，或将其删除。",
    ),
    # ------------------------------------------------------------------------------ shelf
    "no-model": Text(
        "there is no model {name} on the shelf {path}",
        "模型目录 {path} 中没有模型 {name}",
        "List what is here: millstream models; get one: millstream models pull NAME.",
        "查看已有的模型：millstream models；获取模型：millstream models pull 名称。",
    ),
    "which-model": Text(
        "more than one model could be meant by {name}: {found}",
        "{name} 可能指多个模型：{found}",
        "Write the whole name.",
        "请写出完整名称。",
    ),
    "no-model-near": Text(
        "there is no model {name} on the shelf {path}; did you mean {near}?",
        "模型目录 {path} 中没有模型 {name}；是否想用 {near}？",
        "List what is here: millstream models",
        "查看已有的模型：millstream models",
    ),
    "model-name": Text(
        "{name!r} cannot be the name of a model here: use letters, digits, dots, dashes and "
        "underscores, a letter or digit first",
        "{name!r} 不能用作模型名称：只能用字母、数字、点、短横线和下划线，且以字母或数字开头",
    ),
    "model-kept": Text(
        "there already is another model {name} on the shelf",
        "模型目录中已有另一个名为 {name} 的模型",
        "Remove it first: millstream models rm {name}",
        "请先删除它：millstream models rm {name}",
    ),
}

from millstream.base.messages import Text

MESSAGES = {
    # ------------------------------------------------------------------------------ connections
    "bad-url": Text(
        "{url!r} is not an http or https address",
        "{url!r} 不是 http 或 https 地址",
        "Write it as http://host:port/…",
        "请写成 http://主机:端口/… 的形式。",
    ),
    "offline": Text(
        "{host} is outside this machine and its private network, and --offline forbids that",
        "{host} 不在本机或内网，而 --offline 禁止访问外部网络",
        "Run without --offline, or bind the model to one that is here: millstream models",
        "去掉 --offline 再运行，或绑定到本机已有的模型：millstream models",
    ),
    "socks": Text(
        "the environment names a SOCKS proxy ({proxy}), which is not spoken here",
        "环境变量指定了 SOCKS 代理（{proxy}），目前不支持",
        "Set HTTPS_PROXY and HTTP_PROXY to the http:// port of the same proxy program.",
        "请把 HTTPS_PROXY 和 HTTP_PROXY 设为同一代理软件的 http:// 端口。",
    ),
    "bad-proxy": Text(
        "the environment or the settings name a proxy that is no address: {proxy}",
        "环境变量或设置指定的代理不是有效地址：{proxy}",
        "Write it as http://host:port: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, or the setting "
        "network.proxy.",
        "请写成 http://主机:端口 的形式：HTTPS_PROXY、HTTP_PROXY、ALL_PROXY 或设置 network.proxy。",
    ),
    "unknown-proxy": Text(
        "the name {host} of the proxy on the way to {server} is not known to this machine's DNS",
        "本机 DNS 无法解析通往 {server} 的代理的主机名 {host}",
        "Check HTTPS_PROXY and HTTP_PROXY, or name the host in NO_PROXY.",
        "请检查 HTTPS_PROXY 与 HTTP_PROXY，或把该主机加入 NO_PROXY。",
    ),
    "connection-refused": Text(
        "nothing answers at {server}: the connection was refused",
        "{server} 没有应答：连接被拒绝",
        "Start the server there, or see what was looked for and what answered: millstream doctor",
        "请启动该服务，或查看找过哪些地址、谁有应答：millstream doctor",
    ),
    "unknown-host": Text(
        "the name {host} of {server} is not known to this machine's DNS",
        "本机 DNS 无法解析 {server} 的主机名 {host}",
        "Check the address and the network: millstream doctor",
        "请检查地址与网络：millstream doctor",
    ),
    "unreachable": Text(
        "there is no way from here to {server}: {problem}",
        "从本机无法到达 {server}：{problem}",
        "Check the network and the proxy settings: millstream doctor",
        "请检查网络与代理设置：millstream doctor",
    ),
    "connect-timeout": Text(
        "{server} did not take the connection within {seconds} s",
        "{server} 在 {seconds} 秒内没有接受连接",
        "Check the address: millstream doctor. "
        "The setting network.connect_timeout allows more time.",
        "请检查地址：millstream doctor。如需更长时间，请调整设置 network.connect_timeout。",
    ),
    "proxy": Text(
        "the proxy on the way to {server} failed: {problem}",
        "通往 {server} 的代理出错：{problem}",
        "Check HTTPS_PROXY and HTTP_PROXY, or name the host in NO_PROXY.",
        "请检查 HTTPS_PROXY 与 HTTP_PROXY，或把该主机加入 NO_PROXY。",
    ),
    "tls": Text(
        "no secure connection to {server}: {problem}",
        "无法与 {server} 建立安全连接：{problem}",
        "If the certificate is your own, name its authority in SSL_CERT_FILE; "
        "if the server speaks plain http, write http:// in its address.",
        "若使用自签证书，请用 SSL_CERT_FILE 指定其 CA；若服务只支持 http，请把地址写成 http://。",
    ),
    "hung-up": Text(
        "{server} closed the connection without an answer",
        "{server} 未作答就关闭了连接",
        "Look at the server's own log, then try again.",
        "请查看该服务自身的日志，然后重试。",
    ),
    "http-broken": Text(
        "the exchange with {server} broke down: {problem}",
        "与 {server} 的通信出错：{problem}",
        "Check that the address is the server's API: millstream doctor",
        "请确认该地址是服务的 API：millstream doctor",
    ),
    "no-first-byte": Text(
        "{server} sent nothing within {seconds} s, the limit of network.first_byte_timeout",
        "{server} 在 {seconds} 秒（network.first_byte_timeout 的限制）内没有返回任何内容",
        "Raise network.first_byte_timeout, or remove it: it is off by default.",
        "请调大 network.first_byte_timeout，或删除该设置（默认不限时）。",
    ),
    "silent": Text(
        "{server} let {seconds:g} s pass in silence",
        "{server} 已沉默 {seconds:g} 秒",
        "Try again; if it stays silent, look at the server, or at the proxy before it.",
        "请重试；若仍无响应，请检查该服务或其前面的代理。",
    ),
    "idle": Text(
        "{server} fell silent for {seconds} s, the limit of network.idle_timeout; "
        "{characters} characters had arrived",
        "{server} 静默超过 {seconds} 秒（network.idle_timeout 的限制），"
        "此前已收到 {characters} 个字符",
        "Raise network.idle_timeout, or remove it: it is off by default.",
        "请调大 network.idle_timeout，或删除该设置（默认不限时）。",
    ),
    "cut": Text(
        "the connection to {server} broke in the middle of the answer; "
        "{characters} characters had arrived",
        "与 {server} 的连接在回答途中断开，此前已收到 {characters} 个字符",
        "Run again; if it breaks each time, look at the server's own log.",
        "请重新运行；若每次都断开，请查看该服务自身的日志。",
    ),
    "waiting": Text(
        "{server} cannot answer now ({status}); next try in {seconds:.2g} s",
        "{server} 暂时无法应答（{status}），{seconds:.2g} 秒后重试",
    ),
    "http-refused": Text(
        "{server} refused the request ({status}): {message}",
        "{server} 拒绝了请求（{status}）：{message}",
    ),
    "too-long": Text(
        "{server} answered with more than {limit} bytes",
        "{server} 的返回超过 {limit} 字节",
    ),
    "not-json": Text(
        "{server} answered with something that is not JSON: {beginning}",
        "{server} 返回的内容不是 JSON：{beginning}",
        "Check that the address is the server's API: millstream doctor",
        "请确认该地址是服务的 API：millstream doctor",
    ),
    # -------------------------------------------------------------------------- refused calls
    "key-missing": Text(
        "{model} needs a key, and none is set ({server} says {status}: {message})",
        "{model} 需要密钥，但尚未设置（{server} 返回 {status}：{message}）",
        "Set {setting} in the environment, or keep the key here: millstream keys set {provider}",
        "请设置环境变量 {setting}，或在本机保存密钥：millstream keys set {provider}",
    ),
    "key-wrong": Text(
        "{server} does not accept the key for {model} ({status}): {message}",
        "{server} 不接受 {model} 的密钥（{status}）：{message}",
        "See where the key comes from with `millstream keys list`, and set the right one: in "
        "{setting}, or with `millstream keys set {provider}`",
        "用 `millstream keys list` 查看密钥来源，并设置正确的密钥：环境变量 {setting}，"
        "或 `millstream keys set {provider}`",
    ),
    "model-missing": Text(
        "{server} has no model {name!r} ({status}): {message}",
        "{server} 上没有模型 {name!r}（{status}）：{message}",
        "See what is there with `millstream models`, then bind the app to one of them: "
        "--bind {model}=PROVIDER/NAME",
        "用 `millstream models` 查看现有模型，再绑定其中之一：--bind {model}=服务商/名称",
    ),
    "no-such-path": Text(
        "{server} answers, but not as a model API ({status}): {message}",
        "{server} 有应答，但不是模型 API（{status}）：{message}",
        "Check the address: most servers want /v1 at its end. `millstream doctor` "
        "shows what is near.",
        "请检查地址：多数服务的地址以 /v1 结尾。`millstream doctor` 会显示附近有什么。",
    ),
    "no-credit": Text(
        "the account for {model} has no credit left ({status}): {message}",
        "{model} 所用账户的额度已用尽（{status}）：{message}",
        "Top up the account, use another key in {setting}, or run on a local model: --local",
        "请充值、在 {setting} 中换用其他密钥，或改用本地模型：--local",
    ),
    "rate-limited": Text(
        "{server} takes no more requests for {model} now ({status}; tried {tries} ×, waited "
        "{waited} s{asks}): {message}",
        "{server} 暂不接受 {model} 的更多请求（{status}；已尝试 {tries} 次，"
        "等待 {waited} 秒{asks}）：{message}",
        "Run again later, or raise network.tries and network.longest_wait.",
        "请稍后再运行，或调大 network.tries 与 network.longest_wait。",
    ),
    "context-exceeded": Text(
        "the prompt is too long for {model} ({status}): {message}",
        "提示词超出 {model} 的上下文长度（{status}）：{message}",
        "Shorten the prompt, or bind a model with a longer context.",
        "请缩短提示词，或绑定上下文更长的模型。",
    ),
    "asks-to-wait": Text("; it asks to wait {wait} s", "；服务要求等待 {wait} 秒"),
    "server-error": Text(
        "{server} broke down while answering for {model} ({status}; tried {tries} ×): {message}",
        "{server} 在为 {model} 作答时出错（{status}，已尝试 {tries} 次）：{message}",
        "Look at the server's own log, then run again.",
        "请查看该服务自身的日志，然后重新运行。",
    ),
    "refused": Text(
        "{server} refused the request for {model} ({status}): {message}",
        "{server} 拒绝了对 {model} 的请求（{status}）：{message}",
        "Check the model's parameters in the app file.",
        "请检查应用文件中该模型的参数。",
    ),
    "failed-midway": Text(
        "{model} failed in the middle of its answer, after {characters} characters: {message}",
        "{model} 在回答途中失败（已收到 {characters} 个字符）：{message}",
        "Run again; if it fails each time, look at the server's own log.",
        "请重新运行；若每次都失败，请查看该服务自身的日志。",
    ),
    "malformed": Text(
        "{server} sent a piece of its answer for {model} that cannot be read, "
        "after {characters} characters: {beginning}",
        "{server} 为 {model} 返回了无法识别的数据（已收到 {characters} 个字符）：{beginning}",
        "Check that the address is the server's API: millstream doctor",
        "请确认该地址是服务的 API：millstream doctor",
    ),
    "empty-answer": Text(
        "{model} ended its answer without writing anything",
        "{model} 没有写出任何内容就结束了回答",
        "Run again, or try another model; a prompt that the model's template does not understand "
        "has this effect too.",
        "请重新运行或换一个模型；提示词与模型的对话模板不符时也会出现这种情况。",
    ),
    "no-prompt": Text(
        "there is nothing to send to {model}: the prompt has no messages",
        "没有可发送给 {model} 的内容：提示词为空",
    ),
    "bad-json-schema-param": Text(
        "the model parameter json_schema is no JSON schema",
        "模型参数 json_schema 不是有效的 JSON Schema",
        "It must be a JSON object: a schema, or {{name, schema, strict}}.",
        "它必须是 JSON 对象：一个 schema，或 {{name, schema, strict}}。",
    ),
    # -------------------------------------------------------------------------------- providers
    "unknown-provider": Text(
        "nothing is known here of the provider {provider!r} that {name!r} belongs to",
        "本机不了解模型 {name!r} 所属的服务商 {provider!r}",
        "Bind the model to one that is here: `--bind {bind}=PROVIDER/NAME`, or `--local`.",
        "请绑定到本机可用的模型：`--bind {bind}=服务商/名称`，或使用 `--local`。",
    ),
    "no-address": Text(
        "{provider}/{name} has no address: everybody's {provider} server is somewhere else",
        "{provider}/{name} 没有地址：{provider} 服务的地址因人而异",
        "Say where the server is: millstream endpoints set {provider} URL; or bind the model to "
        "one that is here: --bind {provider}/{name}=PROVIDER/NAME",
        "请指定服务地址：millstream endpoints set {provider} URL；或绑定到本机可用的模型："
        "--bind {provider}/{name}=服务商/名称",
    ),
    "no-azure-address": Text(
        "{provider}/{name} has no address: every Azure resource has its own",
        "{provider}/{name} 没有地址：每个 Azure 资源的地址各不相同",
        "Set AZURE_OPENAI_ENDPOINT to https://RESOURCE.openai.azure.com, or bind the model to one "
        "that is here: --bind {provider}/{name}=PROVIDER/NAME",
        "请把 AZURE_OPENAI_ENDPOINT 设为 https://资源名.openai.azure.com，或绑定到本机可用的模型："
        "--bind {provider}/{name}=服务商/名称",
    ),
    "bad-option": Text(
        "an option of {provider} is not right: {problem}",
        "{provider} 的选项有误：{problem}",
    ),
    # ---------------------------------------------------------------------------------- context
    "too-long-prompt": Text(
        "the prompt has {count} tokens, and {model} has a context of {context}",
        "提示词有 {count} 个 token，而 {model} 的上下文只有 {context}",
        "Shorten the prompt, or give the model a longer context where it is served; for an "
        "embedded model that is the setting embedded.context.",
        "请缩短提示词，或在模型服务端加大上下文；内嵌模型对应设置 embedded.context。",
    ),
    "truncated": Text(
        "{model} read only {seen} tokens of a prompt of {expected} or more: its server cut the "
        "rest off without saying so (context: {context})",
        "{model} 只读取了 {seen} 个 token，而提示词至少有 {expected} 个："
        "服务端悄悄截断了其余部分（上下文：{context}）",
        "Shorten the prompt, or give the model a longer context where it is served. If the "
        "server's count is what is wrong, switch models.check_prompt_tokens off.",
        "请缩短提示词，或在模型服务端加大上下文。若是服务端的计数有误，请关闭设置 "
        "models.check_prompt_tokens。",
    ),
    # ------------------------------------------------------------------------------------- JSON
    "bad-schema": Text(
        "the JSON schema is wrong at {path}: {problem}",
        "JSON Schema 在 {path} 处有误：{problem}",
        "Correct the schema in the app file; it is read as JSON Schema Draft 7.",
        "请修改应用文件中的 schema（按 JSON Schema Draft 7 解读）。",
    ),
    "not-the-schema": Text(
        "{model} did not answer with JSON that fulfils the schema, though asked again {reasks} "
        "times; at {path}: {problem}. The answer begins: {beginning}",
        "{model} 的回答不符合 JSON Schema（已重新要求 {reasks} 次）；{path} 处：{problem}。"
        "回答开头为：{beginning}",
        "Make the schema simpler, raise max_tokens if the answer was cut off, raise "
        "models.reasks, or bind a stronger model.",
        "请简化 schema；若回答被截断请调大 max_tokens；也可调大 models.reasks 或绑定更强的模型。",
    ),
}

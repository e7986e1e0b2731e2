from millstream.base.messages import Text

MESSAGES = {
    # ------------------------------------------------------------------------- headings, words
    "topic-home": Text("Data directory", "数据目录"),
    "topic-python": Text("Python", "Python"),
    "topic-sandbox": Text("Code nodes", "代码节点"),
    "topic-servers": Text("Model servers", "模型服务"),
    "topic-models": Text("Models", "模型"),
    "topic-network": Text("Network", "网络"),
    "topic-online": Text("Internet", "互联网"),
    "outcome-answered": Text("answered", "有应答"),
    "outcome-locked": Text("wants a key", "需要密钥"),
    "outcome-stranger": Text("something else answers", "应答的不是模型服务"),
    "outcome-mute": Text("connected, but no answer came", "已连接，但没有应答"),
    "outcome-refused": Text("refused", "拒绝连接"),
    "outcome-silent": Text("no reaction", "没有反应"),
    "outcome-unreachable": Text("no way there", "无法到达"),
    "outcome-unknown-name": Text("unknown name", "名称无法解析"),
    "why-setting": Text("from the settings", "来自设置"),
    "why-OLLAMA_HOST": Text("from OLLAMA_HOST", "来自 OLLAMA_HOST"),
    "why-localhost": Text("on this machine", "本机"),
    "why-host": Text("the machine around the container", "容器所在的主机"),
    "why-gateway": Text("the gateway of the container", "容器的网关"),
    "why-service": Text("a compose service", "compose 服务"),
    "problem": Text("{place}{message}", "{place}{message}", "{fix}", "{fix}"),
    # ------------------------------------------------------------------------------- machine
    "home": Text("{path}, format {format}", "{path}，格式 {format}"),
    "home-new": Text(
        "{path}, to be made with the first thing that is kept", "{path}，首次保存内容时创建"
    ),
    "home-read-only": Text(
        "{path} cannot be written, so no setting, key or model can be kept",
        "{path} 不可写，无法保存设置、密钥和模型",
        "export MILLSTREAM_HOME=/some/where",
        "export MILLSTREAM_HOME=/其他/位置",
    ),
    "home-open": Text(
        "{path} can be read by other users of this machine",
        "{path} 可被本机其他用户读取",
        'chmod 700 "{path}"',
        'chmod 700 "{path}"',
    ),
    "disk": Text(
        "only {free} are free where {path} is",
        "{path} 所在磁盘仅剩 {free}",
        "Make room, or put models elsewhere: millstream settings set models.dir /some/where",
        "请清理空间，或把模型放到别处：millstream settings set models.dir /其他/位置",
    ),
    "python": Text(
        "Millstream {ours}, Python {version}, {path}", "Millstream {ours}，Python {version}，{path}"
    ),
    "runtime": Text("models can run in Millstream itself", "模型可以直接在 Millstream 中运行"),
    "no-runtime": Text(
        "models cannot run in Millstream itself: its runtime is not installed",
        "模型无法直接在 Millstream 中运行：未安装运行时",
        'pip install "millstream[local]"',
        'pip install "millstream[local]"',
    ),
    "runtime-broken": Text(
        "models cannot run in Millstream itself: {problem}",
        "模型无法直接在 Millstream 中运行：{problem}",
        'pip install --force-reinstall "millstream[local]"',
        'pip install --force-reinstall "millstream[local]"',
    ),
    "sandbox": Text("{language} runs locked in", "{language} 代码可以隔离运行"),
    "sandbox-open": Text(
        "{language} runs with all your rights: the setting sandbox.unconfined says so",
        "{language} 代码将以你的全部权限运行：sandbox.unconfined 已开启",
        "millstream settings unset sandbox.unconfined",
        "millstream settings unset sandbox.unconfined",
    ),
    "no-javascript": Text(
        "JavaScript in code nodes cannot run: its engine is not installed",
        "代码节点中的 JavaScript 无法运行：未安装引擎",
        'pip install "millstream[javascript]"',
        'pip install "millstream[javascript]"',
    ),
    "clock": Text(
        "the clock says {now}, which is before this program was installed: certificates will "
        "be refused",
        "系统时间为 {now}，早于本程序的安装时间：证书会被拒绝",
        "sudo timedatectl set-ntp true",
        "sudo timedatectl set-ntp true",
    ),
    # ------------------------------------------------------------------- servers that answer
    "server": Text(
        "{server} answers at {url} and has {models}",
        "{server} 在 {url} 应答，有模型 {models}",
    ),
    "server-around": Text(
        "{server} answers at {url} and has {models}. From inside this container, {asked} leads "
        "there",
        "{server} 在 {url} 应答，有模型 {models}。在此容器内，{asked} 会转到那里",
    ),
    "empty-ollama": Text(
        "{server} answers at {url}, but has no model",
        "{server} 在 {url} 应答，但没有模型",
        "ollama pull qwen3:1.7b",
        "ollama pull qwen3:1.7b",
    ),
    "empty": Text(
        "{server} answers at {url}, but has no model",
        "{server} 在 {url} 应答，但没有模型",
        "Load a model in it.",
        "请在其中加载一个模型。",
    ),
    "loopback-only": Text(
        "{title} listens on 127.0.0.1 only: this machine reaches it, containers and other "
        "machines do not",
        "{title} 只监听 127.0.0.1：本机可以访问，容器和其他机器不能",
        "Only if they have to: {open}",
        "仅在需要时：{open}",
    ),
    # ------------------------------------------------------------- servers that do not answer
    "what-endpoint": Text(
        "the endpoint {name} of the settings ({url})", "设置中的端点 {name}（{url}）"
    ),
    "what-variable": Text("OLLAMA_HOST ({url})", "OLLAMA_HOST（{url}）"),
    "what-usual": Text("{title} ({url})", "{title}（{url}）"),
    "locked": Text(
        "{what} wants a key: {url} says {detail}",
        "{what} 需要密钥：{url} 返回 {detail}",
        "millstream keys set {name}",
        "millstream keys set {name}",
    ),
    "key-wrong": Text(
        "{what} does not accept the key that is kept for it: {url} says {detail}",
        "{what} 不接受为它保存的密钥：{url} 返回 {detail}",
        "See where it comes from with `millstream keys list`, and set the right one: "
        "millstream keys set {name}",
        "用 `millstream keys list` 查看其来源，并设置正确的密钥：millstream keys set {name}",
    ),
    "mute": Text(
        "{what} takes connections at {url}, but does not answer: it is busy, or no model server",
        "{what} 在 {url} 接受连接但不应答：可能繁忙，或不是模型服务",
        "Look at its own log; curl -m 5 {models} asks what was asked here.",
        "请查看它自身的日志；curl -m 5 {models} 发出的就是这里的请求。",
    ),
    "stranger": Text(
        "{what}: something answers at {url}, but it is no model server ({detail})",
        "{what}：{url} 有应答，但不是模型服务（{detail}）",
        "Check host, port and path of the address: curl -i {models}",
        "请检查地址的主机、端口和路径：curl -i {models}",
    ),
    "nobody": Text(
        "{what}: nobody listens on port {port} of this machine",
        "{what}：本机端口 {port} 上没有服务",
        "Start the server, or correct the address: millstream settings",
        "请启动该服务，或更正地址：millstream settings",
    ),
    "listens": Text(
        "{what}: a server listens there. Which models it has is not asked in the {protocol} "
        "protocol",
        "{what}：有服务在监听。{protocol} 协议不询问其拥有的模型",
    ),
    "no-listener": Text(
        "{what}: nobody answers at {url}",
        "{what}：{url} 没有应答",
        "Start the server, or correct the address: "
        "millstream endpoints set {name} URL --protocol {protocol}",
        "请启动该服务，或更正地址：millstream endpoints set {name} URL --protocol {protocol}",
    ),
    "not-running": Text(
        "Ollama is installed, but does not run",
        "Ollama 已安装，但没有运行",
        "ollama serve",
        "ollama serve",
    ),
    "bound-elsewhere": Text(
        "{what}: the server on port {port} listens on {listening} only, not on localhost",
        "{what}：端口 {port} 上的服务只监听 {listening}，不监听 localhost",
        "export OLLAMA_HOST={listening}:{port}",
        "export OLLAMA_HOST={listening}:{port}",
    ),
    "loopback-only-here": Text(
        "{what}: the server on port {port} listens on 127.0.0.1 only, so {address} is refused",
        "{what}：端口 {port} 上的服务只监听 127.0.0.1，因此 {address} 被拒绝",
        "Write localhost instead of {address}, or let it listen to others: {open}",
        "请把 {address} 改为 localhost，或让它监听其他地址：{open}",
    ),
    "refused": Text(
        "{what}: {host} is there, but refuses port {port}: no server runs there, or it listens "
        "on 127.0.0.1 only, as most do unless told otherwise",
        "{what}：{host} 在线，但拒绝端口 {port}：服务没有运行，或只监听 127.0.0.1"
        "（多数服务默认如此）",
        "On {host}: {open}",
        "在 {host} 上执行：{open}",
    ),
    "refused-around": Text(
        "{what}: nobody listens on port {port} in this container. The machine around it "
        "({address}) is there, but refuses that port: no server runs there, or it listens on "
        "127.0.0.1 only, as most do unless told otherwise. Which of the two cannot be seen from "
        "inside a container",
        "{what}：此容器内端口 {port} 上没有服务。容器所在的主机（{address}）在线，但拒绝该端口："
        "服务没有运行，或只监听 127.0.0.1（多数服务默认如此）。在容器内无法判断是哪一种",
        "On that machine: {open}",
        "在那台主机上执行：{open}",
    ),
    "firewall": Text(
        "{what}: nobody listens on port {port} in this container, and the machine around it "
        "({address}) does not react on that port: its firewall keeps containers out, or it is not "
        "the one with the server",
        "{what}：此容器内端口 {port} 上没有服务，容器所在的主机（{address}）对该端口也没有反应："
        "防火墙拦截了容器，或服务不在这台主机上",
        "On that machine: sudo ufw allow proto tcp from {network} to any port {port}",
        "在那台主机上执行：sudo ufw allow proto tcp from {network} to any port {port}",
    ),
    "no-way-out": Text(
        "{what}: nobody listens on port {port} in this container, and it has no way to the "
        "machine around it: no gateway, and host.docker.internal is unknown",
        "{what}：此容器内端口 {port} 上没有服务，且无法到达所在的主机：没有网关，也无法解析 "
        "host.docker.internal",
        "Start the container with: docker run --add-host=host.docker.internal:host-gateway …",
        "启动容器时加上：docker run --add-host=host.docker.internal:host-gateway …",
    ),
    "silent": Text(
        "{what}: {address} does not react: the machine is off, the address is wrong, or a "
        "firewall drops what is sent to port {port}",
        "{what}：{address} 没有反应：机器未开机、地址有误，或防火墙丢弃了发往端口 {port} 的数据",
        "Try it from here: curl -m 5 {url}",
        "可在本机测试：curl -m 5 {url}",
    ),
    "unreachable": Text(
        "{what}: there is no way from here to {address} ({detail})",
        "{what}：从本机无法到达 {address}（{detail}）",
        "Check the network: ip route get {address}",
        "请检查网络：ip route get {address}",
    ),
    "unknown-name": Text(
        "{what}: the name {host} is unknown here",
        "{what}：无法解析名称 {host}",
        "Check its spelling; if it is right, write the address instead: getent hosts {host}",
        "请检查拼写；若无误，请改写 IP 地址：getent hosts {host}",
    ),
    "open-ollama": Text("OLLAMA_HOST=0.0.0.0 ollama serve", "OLLAMA_HOST=0.0.0.0 ollama serve"),
    "open-ollama-service": Text(
        "sudo mkdir -p /etc/systemd/system/ollama.service.d && printf "
        "'[Service]\\nEnvironment=OLLAMA_HOST=0.0.0.0\\n' | sudo tee "
        "/etc/systemd/system/ollama.service.d/host.conf && sudo systemctl daemon-reload && sudo "
        "systemctl restart ollama",
        "sudo mkdir -p /etc/systemd/system/ollama.service.d && printf "
        "'[Service]\\nEnvironment=OLLAMA_HOST=0.0.0.0\\n' | sudo tee "
        "/etc/systemd/system/ollama.service.d/host.conf && sudo systemctl daemon-reload && sudo "
        "systemctl restart ollama",
    ),
    "open-llamacpp": Text(
        "llama-server --host 0.0.0.0 --port {port} -m MODEL.gguf",
        "llama-server --host 0.0.0.0 --port {port} -m 模型.gguf",
    ),
    "open-lmstudio": Text(
        "switch on “Serve on Local Network” in the server settings of LM Studio",
        "在 LM Studio 的服务设置中打开“Serve on Local Network”",
    ),
    "open-vllm": Text(
        "vllm serve MODEL --host 0.0.0.0 --port {port}",
        "vllm serve 模型 --host 0.0.0.0 --port {port}",
    ),
    "open-any": Text("start it, listening on 0.0.0.0:{port}", "启动它，并让它监听 0.0.0.0:{port}"),
    # -------------------------------------------------------------------------------- models
    "shelf": Text("{path} has {models}", "{path} 中有 {models}"),
    "many": Text("{models} … ({count} in all)", "{models} 等共 {count} 个"),
    "no-model": Text(
        "no model is here: neither on a server nor on the shelf",
        "这里没有模型：服务上没有，模型目录中也没有",
        "millstream models pull smollm2-135m-instruct",
        "millstream models pull smollm2-135m-instruct",
    ),
    "no-engine": Text(
        "there are models on the shelf, but nothing that runs them",
        "模型目录中有模型，但没有可以运行它们的运行时",
        'pip install "millstream[local]"',
        'pip install "millstream[local]"',
    ),
    # ------------------------------------------------------------------------------- network
    "offline": Text(
        "network.offline is on: nothing beyond this machine and its private network is asked",
        "network.offline 已开启：不会访问本机和内网以外的地址",
    ),
    "proxy": Text(
        "{proxy} is used for the internet; this machine and private addresses are asked directly",
        "访问互联网使用 {proxy}；本机和内网地址直接访问",
    ),
    "proxy-loopback": Text(
        "{proxy} is used for the internet; Millstream asks this machine and private addresses "
        "directly, but other programs send even localhost through it",
        "访问互联网使用 {proxy}；Millstream 会直接访问本机和内网，"
        "但其他程序连 localhost 也会走代理",
        "export NO_PROXY=localhost,127.0.0.1,::1",
        "export NO_PROXY=localhost,127.0.0.1,::1",
    ),
    "proxy-socks": Text(
        "{proxy} is a SOCKS proxy, which is not spoken here: the internet is out of reach",
        "{proxy} 是 SOCKS 代理，目前不支持：无法访问互联网",
        "Set HTTPS_PROXY and HTTP_PROXY to the http:// port of the same proxy program.",
        "请把 HTTPS_PROXY 和 HTTP_PROXY 设为同一代理软件的 http:// 端口。",
    ),
    "proxy-bad": Text(
        "{proxy} is named as a proxy and is no address: the internet is out of reach",
        "{proxy} 被指定为代理，但不是有效地址：无法访问互联网",
        "Write HTTPS_PROXY and HTTP_PROXY, or the setting network.proxy, as http://host:port.",
        "请把 HTTPS_PROXY 与 HTTP_PROXY，或设置 network.proxy，写成 http://主机:端口。",
    ),
    # -------------------------------------------------------------------------------- online
    "hub": Text("{url} answers: models can be pulled", "{url} 有应答：可以拉取模型"),
    "no-hub": Text(
        "no models can be pulled from {url}: {message}",
        "无法从 {url} 拉取模型：{message}",
        "Use a mirror: millstream settings set hub.endpoint https://…",
        "可改用镜像：millstream settings set hub.endpoint https://…",
    ),
    "index": Text(
        "the package index answers: the small packaged model can be pulled",
        "软件包索引有应答：可以拉取内置的小模型",
    ),
    "no-index": Text(
        "pip does not get at the package index: {problem}",
        "pip 无法访问软件包索引：{problem}",
        "Check pip's own settings: pip config list",
        "请检查 pip 自身的设置：pip config list",
    ),
    "endpoint": Text("the endpoint {name} answers ({url})", "端点 {name} 有应答（{url}）"),
    "endpoint-key": Text(
        "the endpoint {name} does not accept the key ({url} says {status})",
        "端点 {name} 不接受密钥（{url} 返回 {status}）",
        "millstream keys set {name}",
        "millstream keys set {name}",
    ),
    "no-endpoint": Text(
        "the endpoint {name} cannot be reached: {message}",
        "无法访问端点 {name}：{message}",
        "Check its address: millstream settings",
        "请检查其地址：millstream settings",
    ),
}

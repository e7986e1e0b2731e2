from millstream.base.messages import Text

MESSAGES = {
    "disk-space": Text(
        "not enough room on the disk for {file}: it takes {needed:,} bytes, {path} has {free:,} "
        "free, and {spare:,} of them stay free",
        "磁盘空间不足，无法存放 {file}：需要 {needed:,} 字节，{path} 仅剩 {free:,} 字节，"
        "其中须留出 {spare:,} 字节",
        "Make room (millstream models rm NAME), or set models.dir to a folder on another disk.",
        "请腾出空间（millstream models rm 名称），或把设置 models.dir 指向其他磁盘上的文件夹。",
    ),
    "disk-full": Text(
        "the disk became full while {file} was fetched; what had arrived is kept",
        "下载 {file} 时磁盘已满；已下载的部分会保留",
        "Make room, then go on with: {retry}",
        "请腾出空间，然后继续：{retry}",
    ),
    "cannot-write": Text(
        "{file} cannot be written: {reason}",
        "无法写入 {file}：{reason}",
        "Check the folder's permissions, or set models.dir to another folder.",
        "请检查文件夹权限，或把设置 models.dir 指向其他文件夹。",
    ),
    "interrupted": Text(
        "the connection broke several times while {file} was fetched ({done} of {total} bytes are "
        "here and kept): {problem}",
        "下载 {file} 时连接多次中断（已保留 {done}/{total} 字节）：{problem}",
        "Go on with: {retry}",
        "继续下载：{retry}",
    ),
    "checksum": Text(
        "{file} arrived damaged and was thrown away: its sha256 is {found}, and {expected} was "
        "promised",
        "{file} 下载后校验失败，已丢弃：sha256 为 {found}，应为 {expected}",
        "Try again: {retry}. If it happens again, the server or a proxy on the way changes files.",
        "请重试：{retry}。若再次出现，说明服务器或途中的代理改动了文件。",
    ),
    "other-size": Text(
        "{file} has {total} bytes at the server, and {expected} were promised",
        "服务器上的 {file} 为 {total} 字节，应为 {expected} 字节",
        "The file was changed in the meantime, or a proxy answers instead of the server. Try "
        "again later.",
        "文件可能刚被更新，或由代理代为应答。请稍后再试。",
    ),
}

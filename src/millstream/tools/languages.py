"""Languages that a translation can be asked for: the codes of Dify's option list and their names.

Codes are Google's (`iw` for Hebrew, `no` for Norwegian); any other well-formed code is passed on.
The name in English and a phrase in the language itself help a small model to hit the language.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Language(NamedTuple):
    """code: as Google writes it. thanks: "Thank you very much." in the language."""

    code: str
    name: str
    thanks: str


LANGUAGES = (
    Language("ar", "Arabic", "شكرا جزيلا."),
    Language("bg", "Bulgarian", "Много ви благодаря."),
    Language("ca", "Catalan", "Moltes gràcies."),
    Language("zh-CN", "Simplified Chinese", "非常感谢。"),
    Language("zh-TW", "Traditional Chinese", "非常感謝。"),
    Language("cs", "Czech", "Děkuji mnohokrát."),
    Language("da", "Danish", "Mange tak."),
    Language("nl", "Dutch", "Hartelijk bedankt."),
    Language("en", "English", "Thank you very much."),
    Language("et", "Estonian", "Suur tänu."),
    Language("fi", "Finnish", "Kiitos paljon."),
    Language("fr", "French", "Merci beaucoup."),
    Language("de", "German", "Vielen Dank."),
    Language("el", "Greek", "Ευχαριστώ πολύ."),
    Language("iw", "Hebrew", "תודה רבה."),
    Language("hi", "Hindi", "बहुत धन्यवाद।"),
    Language("hu", "Hungarian", "Köszönöm szépen."),
    Language("id", "Indonesian", "Terima kasih banyak."),
    Language("it", "Italian", "Grazie mille."),
    Language("ja", "Japanese", "どうもありがとうございます。"),
    Language("kn", "Kannada", "ತುಂಬಾ ಧನ್ಯವಾದಗಳು."),
    Language("ko", "Korean", "정말 감사합니다."),
    Language("lv", "Latvian", "Liels paldies."),
    Language("lt", "Lithuanian", "Labai ačiū."),
    Language("ms", "Malay", "Terima kasih banyak."),
    Language("ml", "Malayalam", "വളരെ നന്ദി."),
    Language("mr", "Marathi", "खूप धन्यवाद."),
    Language("no", "Norwegian", "Tusen takk."),
    Language("pl", "Polish", "Dziękuję bardzo."),
    Language("pt-BR", "Brazilian Portuguese", "Muito obrigado."),
    Language("pt-PT", "European Portuguese", "Muito obrigado."),
    Language("pa", "Punjabi", "ਬਹੁਤ ਧੰਨਵਾਦ।"),
    Language("ro", "Romanian", "Mulțumesc foarte mult."),
    Language("ru", "Russian", "Большое спасибо."),
    Language("sr", "Serbian", "Хвала вам пуно."),
    Language("sk", "Slovak", "Ďakujem veľmi pekne."),
    Language("sl", "Slovenian", "Najlepša hvala."),
    Language("es", "Spanish", "Muchas gracias."),
    Language("sv", "Swedish", "Tack så mycket."),
    Language("ta", "Tamil", "மிக்க நன்றி."),
    Language("te", "Telugu", "చాలా ధన్యవాదాలు."),
    Language("th", "Thai", "ขอบคุณมาก"),
    Language("tr", "Turkish", "Çok teşekkür ederim."),
    Language("uk", "Ukrainian", "Щиро дякую."),
    Language("vi", "Vietnamese", "Cảm ơn rất nhiều."),
)

# What else people and files write. `my` stands for Malay in Dify's list, but Google takes it for
# Burmese: we give the author the language that the list promised.
_ALIASES = {
    "my": "ms",
    "zh": "zh-CN",
    "zh-hans": "zh-CN",
    "zh-sg": "zh-CN",
    "zh-hant": "zh-TW",
    "zh-hk": "zh-TW",
    "chinese": "zh-CN",
    "chinese (simplified)": "zh-CN",
    "chinese (traditional)": "zh-TW",
    "中文": "zh-CN",
    "简体中文": "zh-CN",
    "繁體中文": "zh-TW",
    "繁体中文": "zh-TW",
    "英语": "en",
    "英文": "en",
    "日语": "ja",
    "日文": "ja",
    "he": "iw",
    "nb": "no",
    "pt": "pt-BR",
    "portuguese": "pt-BR",
}

_BY_WORD = {word.lower(): language for language in LANGUAGES for word in language[:2]}
_BY_WORD.update({alias: _BY_WORD[code.lower()] for alias, code in _ALIASES.items()})

_CODE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,2}")


def find_language(word: str) -> Language | None:
    """The language of a code or name, in any case; None for what cannot be one.

    A well-formed code that is not in the list is its own name, and has no phrase.
    """
    word = word.strip()
    found = _BY_WORD.get(word.lower().replace("_", "-"))
    if found is None and _CODE.fullmatch(word):
        first, *rest = word.replace("_", "-").split("-")
        code = "-".join([first.lower(), *(_subtag(part) for part in rest)])
        found = Language(code, code, "")
    return found


def _subtag(part: str) -> str:
    """Regions in capitals, scripts with one: `zh-Hant-TW` (RFC 5646, 2.1.1)."""
    return part.title() if len(part) == 4 else part.upper()

"""Recognize variable names that hold secrets, and the values assigned to them in text.

Like the patterns of credentials, every expression here is linear in the length of the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise

from incident.redaction.credential_contexts import MARK_PATTERN, WORD_START

_LETTERS = str.maketrans(
    {"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "ß": "ss", "\u0131": "i"}
)


def _without_accents(text: str) -> str:
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return "".join(each for each in decomposed if not unicodedata.category(each).startswith("M"))


def _vocabulary(text: str) -> frozenset[str]:
    return frozenset(_without_accents(text).lower().split())


#: What a password, a secret or a token is called, in the languages of many programs.
_FOREIGN_WORDS = _vocabulary(
    "contraseña clave secreto senha palavrapasse segredo motdepasse passe mdp jeton passwort"
    " kennwort losungswort geheimnis geheim zugangsdaten wachtwoord geheimwoord hasło sekret heslo"
    " tajemství lösenord passord kodeord adgangskode salasana tunnussana parola segreto sandi"
    " katasandi şifre parolă jelszó titok lozinka zaporka šifra geslo slaptažodis parole parool"
    " salasõna contrasenya pasahitza contrasinal lykilorð khẩu matkhau пароль пароля секрет токен"
    " гасло лозинка парола κωδικός סיסמה סוד كلمةالمرور كلمة_السر المرور السر رمز گذرواژه पासवर्ड"
    " गुप्त পাসওয়ার্ড รหัสผ่าน 密码 密碼 口令 密钥 密鑰 令牌 凭证 パスワード 暗証番号 秘密鍵 トークン"
    " 비밀번호 암호 토큰 비밀키 գաղտնաբառ პაროლი құпиясөз parol"
)
_SECRET_WORDS = _FOREIGN_WORDS | _vocabulary(
    "password passwords passwd pwd passphrase passcode secret token credential credentials apikey"
    " dsn salt cookie jsessionid phpsessid sessid aspsessionid aspxauth connectsid cfid cftoken"
)
_SECRET_ENDINGS = (
    *("password", "passwd", "passphrase", "secret", "token", "apikey", "secretkey", "pwd"),
    *("accesskey", "privatekey", "authkey", "sessionid", "sessid", "passwort", "kennwort"),
    *(word for word in _FOREIGN_WORDS if not word.isascii()),
)
_PASS_ENDING = re.compile(
    r"(?!(?:by|com|encom|tres|sur|over|under|one|single|multi|first|second|last|next|test|all)pass$)"
    r"[a-z]{2,24}pass"
)
_KEY_QUALIFIERS = _vocabulary(
    "access account admin api app application auth client consumer deploy encryption host ingestion"
    " license master private rapidapi root secret server service session shared signing ssh storage"
    " webhook"
)
_KEY_WORDS = _vocabulary(
    "key chave clave clé schlüssel sleutel klucz ключ キー 키 chiave nyckel nøgle"
)
_SECRET_PAIRS = frozenset(
    {
        *(("session", "id"), ("connection", "string"), ("auth", "code"), ("auth", "key")),
        *(("connect", "sid"), ("secret", "base"), ("key", "base")),
        *((word, "api") for word in _KEY_WORDS - {"key"}),
    }
)
_SHORT_SECRET_WORDS = frozenset({"pass", "pw"})
_METADATA_WORDS = _vocabulary(
    "accessor alg algorithm arn count enabled endpoint expires expiry fingerprint field file id"
    " length limit manager name names path policy prompt ref required sha256 status stdin"
    " ttl type uri url version"
)
_SUGGESTIVE_WORDS = _SECRET_WORDS | _vocabulary(
    "auth authorization cert certificate code cookies jwt key keys login otp pass pin private pw"
    " secrets session sig signature tokens webhook"
)
# Words that announce a secret only where what follows looks random.
_WEAK_WORDS = _vocabulary("session sess sid jwt auth sig signature csrf xsrf otp")
_RANDOM_VALUE = re.compile(
    r"\\*[\"']?(?!sha[0-9]|md5)(?=[^\s\"'\\]{0,40}[0-9])(?=[^\s\"'\\]{0,40}[A-Za-z])"
    r"[A-Za-z0-9._~%+/=:-]{16}"
)
_PASS_VALUE = re.compile(r"\\*[\"']?(?![0-9.%]{1,12}(?:[^\w]|$))[^\s\"'\\;,&|)}\]<>]{4}")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W0-9_A-Za-z]+")
_HINTS = (
    *("pass", "pw", "secret", "token", "key", "credential", "dsn", "salt", "cookie", "session"),
    *("connection", "auth", "sess", "sid", "jwt", "sig", "csrf", "xsrf", "otp"),
    *sorted(word for word in _FOREIGN_WORDS | _KEY_WORDS if word.isascii() and "pass" not in word),
)


def split_name(name: str) -> tuple[str, ...]:
    """The words of a name in lower case: ``clientSecret`` has those of ``CLIENT_SECRET``."""
    return tuple(word.lower() for word in _WORD.findall(_without_accents(name[:256])))


@lru_cache(maxsize=4096)
def suggests_secret(name: str) -> bool:
    """Whether a variable of this name may well hold a secret, judged by the words of the name."""
    parts = split_name(name)
    return not _SUGGESTIVE_WORDS.isdisjoint(parts) or any(
        word.endswith(_SECRET_ENDINGS) for word in parts
    )


@lru_cache(maxsize=4096)
def names_secret(name: str) -> bool:
    """Whether what is assigned to this name in a text or a command line must not be shown.

    Stricter than ``suggests_secret``, since text is evidence: ``key=``, ``auth:`` and
    ``token_type:`` announce nothing.
    """
    if name.isascii() and not may_name_secret(name.lower()):
        return False
    parts = split_name(name)
    if not parts or parts[-1] in _METADATA_WORDS:
        return parts[-2:] == ("session", "id")
    return (
        not _SECRET_WORDS.isdisjoint(parts)
        or any(word.endswith(_SECRET_ENDINGS) for word in parts)
        or any(
            pair in _SECRET_PAIRS or (pair[1] in _KEY_WORDS and pair[0] in _KEY_QUALIFIERS)
            for pair in pairwise(parts)
        )
        or (not _SHORT_SECRET_WORDS.isdisjoint(parts) and (len(parts) > 1 or name.startswith("-")))
        or bool(_PASS_ENDING.fullmatch(parts[-1]))
    )


@lru_cache(maxsize=4096)
def _value_pattern(name: str) -> re.Pattern[str] | None:
    """What a value must look like for a name that may mean anything to announce a secret."""
    parts = split_name(name)
    if parts and parts[-1] in _WEAK_WORDS:
        return _RANDOM_VALUE
    return _PASS_VALUE if parts == ("pass",) else None


# Letters of some scripts are written with marks that are no word characters themselves.
_MARKS = r"\u0300-\u036f\u0900-\u0dff\u0e00-\u0e7f"
_NAME = rf"(?<![{_MARKS}]){WORD_START}(?P<name>[\w.{_MARKS}-]++)"
# Where a word may begin, looked at behind its hyphen: a literal to search for is faster.
_FLAG_START = (
    r"(?P<name>-(?:(?<![\w.\\-]-)|(?<=\\[nrt]-)|(?<=%[0-9A-F]{2}-)|(?<=\[[0-9]m-)"
    r"|(?<=\[[0-9]{2}m-)|(?<=\\-))"
)
_ASSIGNMENTS = (
    re.compile(_NAME + r"\\*[\"']?\]?[ \t]{0,8}(?::=|=>|==?|[:\uff1a\uff1d]|%3[AaDd])[ \t]{0,8}"),
    re.compile(
        _FLAG_START + r"-?[A-Za-z][\w.-]*+)"
        r"(?:[ \t]{1,8}(?!--?[A-Za-z])|\\*[\"']\s{0,8},\s{0,8}(?=\\*[\"'])(?!\\*[\"']--?[A-Za-z]))"
    ),
    re.compile(
        r"[\"'](?:name|key)\\*[\"']\s{0,8}:\s{0,8}\\*[\"'](?P<name>[\w.-]{1,128})\\*[\"']\s{0,8},"
        r"\s{0,8}\\*[\"']val(?:ue)?\\*[\"']\s{0,8}:\s{0,8}(?=\\*[\"'])"
    ),
)
_QUOTED = re.compile(
    r"(?P<slashes>\\*+)(?P<quote>[\"'])"
    r"(?P<secret>(?:[^\\\"'\n]++|(?!(?P=slashes)(?P=quote))(?:\\++[\"']?|[\"']))*+)"
)
# A block of YAML: the lines below that are indented as the first one is, in a text or in JSON.
_BLOCKS = (
    re.compile(
        r"[|>][0-9+-]{0,2}[ \t]{0,8}\r?\n(?P<indent>[ \t]{1,32}+)"
        r"(?P<secret>[^\n]*+(?:\n(?P=indent)[^\n]*+)*+)"
    ),
    re.compile(
        r"[|>][0-9+-]{0,2}[ \t]{0,8}(?:\\r)?\\n(?P<indent>[ \t]{1,32}+)"
        r"(?P<secret>(?:[^\\\"\n]|\\(?!n))*+(?:\\n(?P=indent)(?:[^\\\"\n]|\\(?!n))*+)*+)"
    ),
)
_BARE = re.compile(
    rf"(?P<secret>(?:{MARK_PATTERN}|[^\s\"'`\\;,&|)}}\]<>]"
    r"|\\(?![\"']|[nrt](?:[\w.-]{1,64}[=:]|[\\\"'\s]|$))"
    r"|[,&|)}\]>](?=[^\s\"'`\\;,&|)}\]<>])(?![\w.%-]{1,64}\\*[\"']?\s?[=:]))++)"
)
#: ``latest`` is what gcloud has after the name of a secret: ``db-password:latest``.
_NOT_SECRET = re.compile(r"(?i)[^\w]*|true|false|null|none|nil|undefined|yes|no|on|off|latest")
_SECRET_NAME = re.compile(r"\\*[\"']?projects/[\w-]{1,64}/secrets/")
_ABSOLUTE_PATH = re.compile(r"\\*[\"']?/")


def find_named_values(
    text: str, is_secret_name: Callable[[str], bool]
) -> Iterator[tuple[int, int]]:
    """Start and end of each value that a name before it announces as secret.

    Knows ``name=value``, ``name: value``, ``"name": "value"`` (also escaped), ``--name value``,
    ``"--name", "value"`` and ``"name": "name", "value": "value"``.

    Args:
        text: Any text; at most a few times its length is read.
        is_secret_name: Whether a name announces a secret.
    """
    for expression in _ASSIGNMENTS:
        done = 0
        while found := expression.search(text, done):
            done = found.end()
            name = found["name"]
            if not is_secret_name(name):
                pattern = _value_pattern(name)
                if pattern is None or not pattern.match(text, done):
                    continue
            if _stays_visible(name, text, done):
                continue
            value = _value(text, done)
            if value and not _NOT_SECRET.fullmatch(value["secret"]):
                yield value.span("secret")
                done = value.end()


def _value(text: str, start: int) -> re.Match[str] | None:
    """The value that begins there: a block of YAML, in quotes, or bare."""
    if text.startswith(("|", ">"), start):
        block = _BLOCKS[0].match(text, start) or _BLOCKS[1].match(text, start)
        if block:
            return block
    return _QUOTED.match(text, start) or _BARE.match(text, start)


def _stays_visible(name: str, text: str, start: int) -> bool:
    """Whether the name of a secret or a working directory begins here, which both stay.

    Judged by the beginning alone: a value that stays is read again for what it announces, and
    reading each to its end would take quadratic time.
    """
    directory = name in {"PWD", "OLDPWD"} and _ABSOLUTE_PATH.match(text, start)
    return bool(directory or _SECRET_NAME.match(text, start))


def may_name_secret(lowered: str) -> bool:
    """Whether a text, in lower case, may have a name that announces a secret."""
    return not lowered.isascii() or any(map(lowered.__contains__, _HINTS))

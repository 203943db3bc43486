"""What a peer, or the proxy before it, wants to see: the ways to give it, each as the headers it means."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from ...errors import ConfigError

AUTHORIZATION = "Authorization"
ENV = "env:"  #: before the name of a variable that holds it
HEADERS_MAX = 8
_WAYS = (("header", "value"), ("bearer",), ("user", "password"), ("cookie",), ("headers",))
_HOW = (
    '"credentials" is one of {"bearer": "…"}, {"user": "…", "password": "…"}, {"cookie": "…"}, '
    '{"headers": {"X-Api-Key": "…"}} and {"header": "X-Api-Key", "value": "…"}; null removes them.'
)


def headers_of(given: object) -> dict[str, str]:
    """Header to value, or to ``env:NAME``, also behind ``Bearer ``.

    Raises:
        ConfigError: it is none of the ways. The message holds no value.
    """
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise _refused(_HOW)
    unknown = sorted(set(given) - {name for way in _WAYS for name in way})
    if unknown:
        raise _refused(f"Unknown {', '.join(repr(name[:64]) for name in unknown[:5])}. {_HOW}")
    headers, texts = given.get("headers"), {name: value for name, value in given.items() if name != "headers"}
    if not all(isinstance(value, str) for value in texts.values()):
        raise _refused(_HOW)
    way = next((way for way in _WAYS if set(given) <= set(way)), None)
    if way is None or not given:
        raise _refused(f"Give one of the ways, not {' and '.join(repr(name) for name in given)}. {_HOW}")
    if way == ("headers",):
        return _several(headers)
    if way == ("header", "value"):
        return {texts.get("header") or AUTHORIZATION: texts.get("value", "").strip()}
    if way == ("bearer",):
        return {AUTHORIZATION: f"Bearer {_filled(texts, 'bearer')}"}
    if way == ("cookie",):
        return {"Cookie": _filled(texts, "cookie")}
    return {AUTHORIZATION: _basic(texts.get("user", ""), texts.get("password", ""))}


def parts_of(value: str) -> frozenset[str]:
    """The parts of a header's value that must not be shown by themselves: a token without its scheme, a
    cookie's content, a password."""
    scheme, _, rest = value.partition(" ")
    parts = {value, value.split()[-1]}
    if scheme.lower() == "basic":
        try:
            plain = base64.b64decode(rest.strip(), validate=True).decode("utf-8")
        except ValueError:
            plain = ""
        parts |= {plain, plain.partition(":")[2]}
    parts |= {cookie.partition("=")[2].strip() for cookie in value.split(";")}
    return frozenset(part for part in parts if part)


def _several(headers: object) -> dict[str, str]:
    if not isinstance(headers, Mapping) or not all(
        isinstance(name, str) and isinstance(value, str) for name, value in headers.items()
    ):
        raise _refused('"headers" must be like {"CF-Access-Client-Id": "…", "CF-Access-Client-Secret": "…"}.')
    if not 0 < len(headers) <= HEADERS_MAX:
        raise _refused(f"Give 1 to {HEADERS_MAX} headers.")
    if len({name.lower() for name in headers}) < len(headers):
        raise _refused("Each header can be given once; upper and lower case are the same.")
    return {name: value.strip() for name, value in headers.items()}


def _basic(user: str, password: str) -> str:
    if not user and not password:
        raise _refused("Enter the user, the password, or both.")
    if ":" in user:
        raise _refused("A user's name has no colon in it.")
    if password.startswith(ENV):
        raise _refused(
            "A password alone is not read from the environment. Put the whole header into the variable, like "
            f'"Basic …", and give it as a header: {AUTHORIZATION}, env:NAME.'
        )
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _filled(texts: Mapping[str, str], name: str) -> str:
    text = texts[name].strip()
    if not text:
        raise _refused("The key is empty. To keep the old one leave credentials out; null removes it.")
    return text


def _refused(message: str) -> ConfigError:
    return ConfigError(message, field="credentials")

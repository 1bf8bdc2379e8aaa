"""apprise's door: an address becomes a server of apprise's, a message is given to it.

apprise imports some 130 services before it looks at a URL, which takes longer than many a command
runs; so which module knows which scheme is remembered, and one is imported. What apprise logs may
hold URLs, and goes nowhere. Knows nothing of where addresses come from.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import logging
import re
from typing import Any

from labtasks.ground import memory
from labtasks.ground.error import UserError

_HEARD: contextvars.ContextVar[list[str]] = contextvars.ContextVar("heard")
"""What was logged on behalf of one message; apprise keeps the context in its own threads."""

_SCHEME = re.compile(r"([a-z][a-z0-9]{1,14})://", re.IGNORECASE)


class _Ear(logging.Handler):
    """Hears what is logged, and says nothing."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it for `refusal`."""
        with contextlib.suppress(LookupError):
            _HEARD.get().append(record.getMessage())


_EAR = _Ear(logging.WARNING)


def scheme(url: str) -> str:
    """What stands before ://, which is no secret; "" where nothing does."""
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""


def load() -> Any:
    """The library, silenced. Raises UserError when it is missing."""
    for name in ("apprise", "urllib3", "requests", "asyncio"):
        logger = logging.getLogger(name)
        logger.propagate = False
        if _EAR not in logger.handlers:
            logger.handlers = [_EAR]
    try:
        import apprise  # noqa: PLC0415 (150 ms, for who sends something)
    except ImportError:
        raise UserError("apprise is missing", hint="pip install apprise") from None
    return apprise


def server(url: str) -> Any:
    """A server for a URL; None for one that is malformed or of no known service."""
    apprise = load()
    asset = apprise.AppriseAsset(app_id="labtasks", app_desc="labtasks", async_mode=False)
    one = None
    try:
        one = _by_memory(apprise, url, asset)
        if one is None:
            one = apprise.Apprise.instantiate(url, asset=asset)
            _remember(apprise)
        every = apprise.Apprise(asset=asset)
        return every if one is not None and every.add(one) else None
    except Exception:  # noqa: BLE001 (whatever it says would repeat the URL)
        return None


def _by_memory(apprise: Any, url: str, asset: Any) -> Any:
    """The server, by importing the one module that is known to have it; None when that fails."""
    try:
        known: Any = memory.recall("apprise.json")
        name = known[apprise.__version__][scheme(url)]
        module = importlib.import_module(f"apprise.plugins.{name[0]}")
        plugin = getattr(module, name[1])
        return plugin(**{**plugin.parse_url(url), "asset": asset}) if plugin.enabled else None
    except Exception:  # noqa: BLE001 (apprise itself is asked then)
        return None


def _remember(apprise: Any) -> None:
    """Write down which module has which scheme, now that all are imported."""
    manager = importlib.import_module("apprise.manager_plugins").NotificationManager()
    found = {}
    for each in manager.schemas():
        _, _, module = manager[each].__module__.partition("apprise.plugins.")
        if module:
            found[each] = (module, manager[each].__name__)
    memory.remember("apprise.json", {apprise.__version__: found})


def schemes() -> list[str]:
    """Every scheme that apprise knows."""
    load()
    manager = importlib.import_module("apprise.manager_plugins").NotificationManager()
    return list(manager.schemas())


def refusal(to: Any, title: str, body: str, *, good: bool) -> str:
    """Give a server one message: "" when it was taken, else why not, in words of ours."""
    heard: list[str] = []
    token = _HEARD.set(heard)
    try:
        if to.notify(
            title=title,
            body=body,
            body_format="text",
            notify_type="success" if good else "failure",
        ):
            return ""
    except Exception as error:  # noqa: BLE001 (a plugin's defect changes nothing here)
        heard.append(type(error).__name__)
    finally:
        _HEARD.reset(token)
    return _why("\n".join(heard))


def _why(text: str) -> str:
    status = re.search(r"error=(\d{3})\b", text)
    if status:
        return f"the server answers {status[1]}"
    if re.search(r"(?i)timed? ?out", text):
        return "it did not answer in time"
    if re.search(r"(?i)connection|refused|resol|socket|smtp", text):
        return "no connection"
    return "it was not taken"

"""Messages reach real servers; their addresses are never seen."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import pytest
from conftest import environment
from servers import hook, mail

from labtasks.ground.error import UserError
from labtasks.notice import notify
from labtasks.notice.notify import Message, addresses, channels, send

HELLO = Message(title="a title", body="one\n  <two> *three*", good=True)
SECRETS = ("s3cret-word", "t0ken")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch, tmp_path):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg-cache"))


def to(*urls):
    found, wrong = channels(addresses(os.curdir, {notify.VARIABLE: " ".join(urls)}))
    assert not wrong
    return found


def test_a_web_hook():
    with hook() as there:
        assert send(HELLO, to(there.url)) == []
        assert [(got["title"], got["message"]) for got in there.got] == [(HELLO.title, HELLO.body)]
        assert send(HELLO, to(there.url)) == []  # by the module that is remembered now
        assert len(there.got) == 2


def test_mail():
    with mail() as (port, took):
        url = f"mailto://user:s3cret-word@127.0.0.1:{port}?from=me@example.org&to=you@example.org"
        assert send(HELLO, to(f"{url}&smtp=127.0.0.1&mode=insecure")) == []
    assert "Subject: a title" in took[0]
    assert "To: you@example.org" in took[0]
    assert "three" in took[0]


def test_a_server_that_recovers_is_tried_again():
    with hook() as there:
        there.answers = [503, 503]
        assert send(HELLO, to(there.url)) == []
        assert there.asked == 3


def test_a_server_that_does_not_is_named_without_its_secrets():
    with hook() as there:
        there.answers = [500] * 9
        found = send(HELLO, to(there.url, "json://127.0.0.1:1/t0ken"))
        assert there.asked == len(notify.PAUSES) + 1
    assert found == [
        f"{notify.VARIABLE}, URL 1 (json://): not sent: the server answers 500, 3 times",
        f"{notify.VARIABLE}, URL 2 (json://): not sent: no connection, 3 times",
    ]


def test_a_server_that_never_answers_is_not_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as deaf, hook() as there:
        send(HELLO, to(there.url))  # what is imported for the first message takes its time
        channels = to(f"json://127.0.0.1:{deaf.getsockname()[1]}/", there.url)
        started = time.monotonic()
        (failed,) = send(HELLO, channels, seconds=5)
        assert time.monotonic() - started < 12  # three tries take longer
        assert "URL 1" in failed
        assert len(there.got) == 2


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("jsn://user:s3cret-word@127.0.0.1/t0ken", "did you mean 'json'"),
        ("s3cret-word", "apprise/wiki"),
        ("json://", "apprise/wiki"),
        ("slack://t0ken", "apprise/wiki"),
    ],
)
def test_a_malformed_address(url, hint, capfd):
    good, (wrong,) = channels(addresses(os.curdir, {notify.VARIABLE: url}))
    assert not good
    assert hint in wrong.hint
    said = f"{wrong}{capfd.readouterr()}"
    assert not [word for word in SECRETS if word in said]


def test_where_addresses_come_from(tmp_path):
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    assert addresses(tmp_path, environ) == ()
    own = notify.file(environ)
    own.parent.mkdir(parents=True)
    own.write_text("# mine\n\n  # too\njson://127.0.0.1:2/\njson://127.0.0.1:1/\n")
    (tmp_path / "lab.toml").write_text('other = 1\n[notify]\nurls = ["json://127.0.0.1:1/"]\n')
    found = addresses(tmp_path, environ)
    assert [address.url for address in found] == ["json://127.0.0.1:1/", "json://127.0.0.1:2/"]
    assert [a.name for a in found] == ["lab.toml, URL 1 (json://)", f"{own}, URL 1 (json://)"]
    assert "127.0.0.1" not in repr(found)
    only = addresses(tmp_path, {**environ, notify.VARIABLE: "json://127.0.0.1:3/"})
    assert [address.url for address in only] == ["json://127.0.0.1:3/"]
    assert addresses(tmp_path, {**environ, notify.VARIABLE: ""}) == ()
    own.chmod(0o644)
    assert "chmod 600" in notify.open_to_others(environ)
    own.chmod(0o600)
    assert not notify.open_to_others(environ)


def test_mistakes_in_lab_toml_do_not_repeat_the_addresses(tmp_path):
    for text in ('urls = "json://s3cret-word/"', 'url = ["json://s3cret-word/"]'):
        (tmp_path / "lab.toml").write_text(f"[notify]\n{text}\n")
        with pytest.raises(UserError) as refused:
            addresses(tmp_path, {"HOME": str(tmp_path)})
        assert "s3cret-word" not in str(refused.value)
        assert "lab.toml" in str(refused.value)


def test_importing_imports_no_apprise():
    modules = "sys, labtasks.command.tasks, labtasks.notice.muninn"
    text = f"import {modules}; sys.exit('apprise' in sys.modules)"
    subprocess.run([sys.executable, "-c", text], env=environment(), check=True)


def test_doit_tells_of_what_took_long(make_lab):
    with hook() as there:
        lab = make_lab(tracer="auto", notify={"urls": [there.url], "after_seconds": 0.1})
        lab.doit("build:base")
        lab.doit("build:broken", code=1)
        quiet = lab.doit("build:base", env={notify.QUIET: "yes"})
        lab.configure(notify={"urls": [there.url], "after_seconds": 3600}, layers="auto")
        lab.doit("build:kernel-c")
        said = lab.doit("explain", "build:base")
    assert [got["type"] for got in there.got] == ["success", "failure"]
    assert "doit build:base: done" in there.got[0]["title"]
    assert "1 failure" in there.got[1]["title"]
    assert "error: expected expression" in there.got[1]["message"]
    everything = "".join(p.read_text(errors="replace") for p in lab.store.cache.rglob("*.json"))
    assert "s3cret-word" not in f"{everything}{quiet.text}{said.text}"


def test_a_channel_that_is_down_changes_nothing(make_lab):
    lab = make_lab(
        tracer="auto", notify={"urls": ["json://127.0.0.1:1/t0ken"], "after_seconds": 0.01}
    )
    said = lab.doit("build:base")
    assert said.lines("notification: lab.toml, URL 1 .*: not sent: no connection, 3 times")
    assert "t0ken" not in said.text

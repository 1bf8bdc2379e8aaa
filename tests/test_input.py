"""What people get wrong: each is refused with a line that names it and a hint what to do."""

from __future__ import annotations

import re
import subprocess

import pytest
from conftest import Repo, environment, path_without

from labtasks.ground.error import UserError
from labtasks.lab.lab import load


def read(lab):
    """All that lab.toml names: the recipe, bound, and the test script."""
    found = load(lab.directory)
    return found.recipe, found.script


def said_of(lab):
    """What reading the lab and binding its recipe says: the message, and the hint."""
    with pytest.raises(UserError) as caught:
        read(lab)
    return caught.value.message, caught.value.hint


SETTINGS = [
    ({"tracr": "auto"}, "unknown key 'tracr'", "'tracer'"),
    ({"jobs": "two"}, "jobs: Expected `int`", "docs/lab.md"),
    ({"jobs": -1}, "jobs: Expected `int` >= 0", "docs/lab.md"),
    ({"depth": 1}, "depth: Expected `int` >= 2", "docs/lab.md"),
    ({"depth": 100000}, "depth: Expected `int` <= 60", "docs/lab.md"),
    ({"cache": ""}, "lab.toml: cache '' holds the lab", 'cache = "cache"'),
    ({"cache": "/"}, "cache '/' holds the lab", 'cache = "cache"'),
    ({"vm": {"../x": {}}}, r"\[vm\] '../x' is no plain name", "letters"),
    ({"ssh": {"a b": {"host": "h"}}}, r"\[ssh\] 'a b' is no plain name", "letters"),
    ({"test": {"bad": ["panik"]}}, r"lab.toml: \[test\] no failure is called 'panik'$", "'panic'"),
    ({"test": {"text": "("}}, r"lab.toml: \[test\] '\(': missing \)", "regex"),
    ({"test": {"bad": ["text"]}}, r"lab.toml: \[test\] .*no pattern is given", "give one"),
    ({"layers": "overly"}, "layers: Invalid enum value 'overly'", "one of: .*overlay"),
    ({"tracer": "gdb"}, "tracer: Invalid enum value 'gdb'", "one of: .*strace"),
    ({"builder": "lokal"}, "lab.toml: builder: no such value$", "one of: local, vm:<name>"),
    ({"repository": 3}, "repository: Expected `str`", "docs/lab.md"),
    ({"recipe": "freebds"}, "no recipe is called 'freebds'", "known are|did you mean"),
    ({"recipe": "none.toml"}, "none.toml is missing", "relative to the lab"),
    ({"tset": {"run": "init"}}, "unknown key 'tset'", "'test'"),
    ({"test": {"run": "consol"}}, "test.run: Invalid enum value 'consol'", "one of: .*console"),
    ({"test": {"memory": 5}}, r"unknown key 'memory' in \[test\]$", "known are: bad, bytes, "),
    ({"gc": {"jbos": 5}}, r"unknown key 'jbos' in \[gc\]$", "^known are: days, keep, quota$"),
    ({"vm.a": {}, "vm.b": {"cpuz": 2}}, r"unknown key 'cpuz' in \[vm\.b\]$", "'cpus'"),
    (
        {"ssh.a": {"host": "h", "quota": 2}},
        r"unknown key 'quota' in \[ssh\.a\]$",
        "known are: folder",
    ),
    ({"builder": "ssh:none"}, "no machine is called 'none'", r"^there is none; .*\[ssh\.<name>\]"),
    ({"options": {"levle": "1"}}, "has no option 'levle'", "'level'"),
    ({"options": {"trim": "perhaps"}}, "option trim is 'perhaps'", "one of: no, yes"),
    ({"files": {"tiny.conf": "none"}}, "'none': No such file", "relative to the lab"),
    ({"gc": {"quota": "40 GX"}}, r"lab.toml: \[gc\] quota: '40 GX' is no size$", "512 MiB"),
    ({"test": {"script": "none"}}, r"\[test\] 'none': No such file or directory$", "relative to"),
]


@pytest.mark.parametrize(("settings", "message", "hint"), SETTINGS)
def test_lab_toml(make_lab, settings, message, hint):
    lab = make_lab()
    lab.configure(**settings)
    said = said_of(lab)
    assert re.search(message, said[0]), said
    assert re.search(hint, said[1]), said
    assert said[1]


RECIPES = [
    ('steps = ["make -j{jobs} -f sys', 'stepps = ["make -j{jobs} -f sys', "'stepps'", "'steps'"),
    ('steps = ["make -j{jobs} -f sys/Makefile {trim}"]', "steps = []", "no step", "steps = "),
    ('steps = ["make -j{jobs} -f sys/Makefile {trim}"]', "", "missing.*steps", "recipes.md"),
    ('["sys", "include"]', '["/usr/src"]', "outside the tree", "below the root"),
    ('["sys", "include"]', '["../sys"]', "outside the tree", "below the root"),
    ('["kernel/kernel"]', '["/etc/passwd"]', r"\[kernel\] outputs.*outside", "below {obj}"),
    ('["kernel/kernel"]', '["{obj}/kernel/kernel"]', "outputs: '{obj}/.*outside", "below {obj}"),
    ('["kernel/kernel"]', "[]", "no outputs", "all of it"),
    ('volatile = ["**/*.d"]', 'volatile = ["../x"]', r"\[world\] volatile.*outside", "below {obj}"),
    ('depends = ["**/*.d"]', 'depends = ["/x"]', r"depends: '/x' lies outside", "below {obj}"),
    ('["bin/Makefile", "bin/motd"]', '["/bin/motd"]', "unseen.*outside the tree", "below the root"),
    ("[kernel]\n", '[kernel]\nno_rules = ["../sys"]\n', "no_rules.*outside", "below the root"),
    ('paths = ["sys/syscalls"]', 'paths = ["/sys"]', r"\[abi\] paths.*outside", "below the root"),
    ('file = "include/', 'file = "../include/', r"\[abi\] version.file.*outside", "below the root"),
    ('["sys", "include"]', '"sys"', r"inputs: Expected `array`", "recipes.md"),
    ("Makefile {trim}", "Makefile {trm}", r"unknown name \{trm\}", "'trim'"),
    ("Makefile {trim}", "Makefile ${trim", r"\{ stands alone in .*Makefile \$\{trim", "doubled"),
    ("-j{jobs}", "-j{jobs", r"\{ stands alone in 'make -j\{jobs -f ", r"\{name\}.*doubled"),
    ("-j{jobs}", "-j{jobs}}", r"\} stands alone in 'make -j\{jobs\}\} -f ", "doubled"),
    ('"{level}"', '"{ {level} }"', r"\{ stands alone in '\{ \{level\} \}'", "doubled"),
    (r"VERSION (\\d+)", r"VERSION (\\d+", "missing \\)", "regex"),
    ('about = "a tiny system"', 'about = "a tiny system', "toml", "TOML"),
    ('about = "a tiny system"', "", "missing required field `about`", ""),
    ('about = "a tiny system"', 'about = "x"\nerrors = ["("]', "missing \\)", "regex"),
    ('"tiny.conf" =', '"../tiny.conf" =', "plain names", "side by side"),
    ("[kernel]", "[kernal]", "kern[ea]l", ""),
    ("[options.trim]\nhelp", "[options.trim]\nhepl", r"'hepl' in \[options\.trim\]", "'help'"),
    ("[abi]\nversion = { file", "[abi]\nversion = { fiel", r"'fiel' in \[abi\.version\]", "'file'"),
]


@pytest.mark.parametrize(("old", "new", "message", "hint"), [r for r in RECIPES if r[2]])
def test_recipes(make_lab, old, new, message, hint):
    lab = make_lab()
    lab.recipe((old.replace("\\\\", "\\"), new.replace("\\\\", "\\")))
    said = said_of(lab)
    assert "tiny.toml" in said[0]
    assert re.search(message, said[0]), said
    assert re.search(hint, said[1]), said
    assert said[1]


def test_literal_braces(make_lab):
    lab = make_lab()
    lab.recipe(("Makefile {trim}", "Makefile {{trim}} ${{O}}"))
    step = load(lab.directory).recipe.parts["world"].steps[0]
    assert step.endswith("Makefile {trim} ${O}")


COMMANDS = [
    (["build:no-such-ref"], "'no-such-ref' is not a commit", "git log"),
    (["build:0123abcd"], "'0123abcd' is not a commit", "git fetch"),
    (["build:--all"], "'--all' is not a commit", "git log"),
    (["build:bsae"], "'bsae' is not a commit", "did you mean 'base'.*git log"),
    (["build:bsae~1^{commit}"], "is not a commit", "did you mean 'base'"),
    (["build:HEAD:sys"], "is not a commit", "git log"),
    (["build:"], "names no commit", "build:HEAD"),
    (["bild:HEAD"], "no task is called bild", "'build'"),
    (["toolchain:HEAD"], "has no toolchain", "it has: world, kernel"),
    (["build:HEAD", "wolrd=base"], "unknown word wolrd=base", "'world'"),
    (["build:HEAD", "retry=maybe"], "retry=maybe", "retry=yes"),
    (["build:HEAD", "world=nowhere"], "'nowhere' is not a commit", "git log"),
    (["kernel:^base"], r"'\^base' is not a commit", "git log"),
    (["kernel:base..docs"], "'base..docs' is not a commit", "git log"),
    (["explain"], "of what", "doit explain kernel:HEAD"),
    (["explain", "kernel"], "takes KIND:REF", "kernel:HEAD"),
    (["explain", "base"], "takes KIND:REF", "kernel:base"),
    (["verify", "objfs:HEAD"], "takes build, toolchain, world or kernel", "doit verify build:HEAD"),
    (["boot:HEAD"], r"has no install", "it has: world, kernel"),
    (["list", "--alll"], "^ERROR: option --alll not recognized$", "did you mean '--all'"),
    (["bisect", "--god=base"], "^ERROR: bisect: option --god not recognized$", "'--good'"),
    (["list", "-%"], "^ERROR: option -% not recognized$", "doit help"),
    (["run", "-n", "two", "build:base"], "^ERROR: num_process: 'two' is no number$", "doit help"),
]


@pytest.mark.parametrize(("words", "message", "hint"), COMMANDS)
def test_the_command_line(built, words, message, hint):
    said = built.doit(*words, code=None)
    assert said.code in (1, 3), said.text
    assert said.lines(message), said.text
    assert said.lines(f"hint: .*{hint}"), said.text
    assert "Traceback" not in said.text


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ([], "recipe tiny has no install", "it has: world, kernel"),
        (["no/such/path"], "touches no/such/path", "relative to the top"),
    ],
)
def test_a_bisect_that_cannot_be_is_not_begun(built, words, message, hint):
    begin = ("bisect", "--good", "base", "--bad", "docs", *words)
    for _ in range(2):  # a second one is not told that a bisect is under way
        said = refused(built, *begin)
        assert said.lines(message), said.text
        assert said.lines(f"hint: .*{hint}"), said.text
    assert refused(built, "bisect").lines("no bisect has begun")


def refused(lab, *words, code=3):
    said = lab.doit(*words, code=code)
    assert "Traceback" not in said.text
    assert said.lines("hint: ."), said.text
    return said


def test_no_lab_toml(lab):
    (lab.directory / "lab.toml").unlink()
    assert refused(lab, "build:HEAD").lines("lab.toml is missing")


def test_lab_toml_is_no_toml(lab):
    (lab.directory / "lab.toml").write_text("repository = unquoted\n")
    assert refused(lab, "list").lines("lab.toml: .*line 1")


def test_a_table_that_lab_toml_has_already(lab):
    text = (lab.directory / "lab.toml").read_text()
    (lab.directory / "lab.toml").write_text(f"[test]\n\n{text}\n[test]\nscript = 'x'\n")
    said = refused(lab, "list")
    assert said.lines("lab.toml: .*twice")
    assert said.lines("hint: it is there further up: write into that")


def test_no_repository(make_lab, tmp_path):
    lab = make_lab(repo=Repo(tmp_path / "nothing"))
    assert refused(lab, "build:HEAD").lines("no git repository at .*nothing")


def test_an_empty_repository(make_lab, tmp_path):
    repo = Repo(tmp_path / "empty")
    repo.create()
    assert refused(make_lab(repo=repo), "build:HEAD").lines("hint: the repository has no commit")


def test_a_shallow_clone(world, make_lab, tmp_path):
    subprocess.run(
        ["git", "clone", "-q", "--depth=1", "--branch=docs", f"file://{world.repo.path}",
         tmp_path / "shallow"],
        env=environment(), check=True, capture_output=True,
    )  # fmt: skip
    lab = make_lab(repo=Repo(tmp_path / "shallow"))
    base = world.repo.git("rev-parse", "base")
    assert refused(lab, f"build:{base}").lines("hint: the clone is shallow: .*--unshallow")
    lab.doit("src:HEAD")


def test_an_ambiguous_short_sha(make_lab, tmp_path):
    repo = Repo(tmp_path / "many")
    repo.create()
    stream = "".join(
        f"commit refs/heads/main\ncommitter t <t@example.org> {n} +0000\ndata 1\nx\n"
        for n in range(1, 1201)
    )
    repo.git("fast-import", "--quiet", data=stream.encode())
    commits = repo.git("rev-list", "main").split()
    seen, twice = set(), ""
    for commit in commits:
        twice = twice or (commit[:4] if commit[:4] in seen else "")
        seen.add(commit[:4])
    assert twice
    said = refused(make_lab(repo=repo), f"build:{twice}")
    assert said.lines("hint: several objects begin so .*give more digits")
    first = next(c for c in commits if c.startswith(twice))
    assert first[:7] in said.text


def test_a_branch_and_a_tag_of_one_name(make_lab, tmp_path):
    repo = Repo(tmp_path / "twice")
    repo.create()
    old = repo.commit("old", tag="dup")
    repo.git("branch", "same")
    repo.git("tag", "-a", "-m", "annotated", "same")
    new = repo.commit("new")
    repo.git("branch", "dup")
    repo.git("config", "core.warnAmbiguousRefs", "false")
    lab = make_lab(repo=repo)
    for name in ("dup", "dup~0"):
        said = refused(lab, f"src:{name}")
        assert said.lines("'dup' is ambiguous")
        assert said.lines("hint: say refs/heads/dup or refs/tags/dup$")
    lab.doit("src:refs/heads/dup", "src:refs/tags/dup", "src:same")
    assert lab.want("src", "refs/heads/dup").commit.id == new
    for name in ("refs/tags/dup", "same"):
        assert lab.want("src", name).commit.id == old


def test_a_missing_tool_is_named_with_its_package(built):
    built.recipe(("[tools]", '[tools]\nfrobnicate-14 = "frobnicators"'))
    said = refused(built, "kernel:kernel-c", code=1)
    assert said.lines("the command 'frobnicate-14' is missing")
    assert said.lines("hint: .*apt-get install frobnicators")
    assert len(built.logs("kernel")) == 1


def test_a_missing_compiler_is_named_before_the_key(make_lab):
    lab = make_lab()
    lab.recipe(("cc --version", "no-such-cc --version"))
    assert refused(lab, "kernel:base").lines("the command 'no-such-cc' is missing")


def test_strace_asked_for_and_missing(make_lab, tmp_path):
    """`tracer = "strace"` is a wish, and a machine without it says so."""
    lab = make_lab(tracer="none")
    lab.configure(tracer="strace")
    path = path_without(tmp_path, "strace")
    text = (lab.directory / "tiny.toml").read_text()
    assert "[env]\n" in text
    lab.recipe(("[env]\n", f'[env]\nPATH = "{path}"\n'))
    said = lab.doit("kernel:base", code=None)
    assert said.code == 1
    assert said.lines("the command 'strace' is missing")
    assert "Traceback" not in said.text


def test_dodo_py_without_its_doit_cfg(make_lab):
    lab = make_lab()
    (lab.directory / "doit.cfg").unlink()
    said = lab.doit("list", code=3)
    assert "loaded without labtasks' loader" in said.text
    assert "labtasks init" in said.text
    assert "Traceback" not in said.text

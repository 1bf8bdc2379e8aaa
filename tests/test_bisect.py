"""Whole bisects of the demo OS: real builds, real boots, and git's own word for it."""

import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from changes import changes
from conftest import doit, environment, programs

from labtasks.bisect import journal
from labtasks.bisect.progress import Told
from labtasks.command import main
from labtasks.lab import demo

pytestmark = pytest.mark.skipif(
    not shutil.which("qemu-system-x86_64"), reason="no qemu-system-x86_64"
)

CULPRIT = next(c.subject for c in changes() if c.kind == "regression")
BROKEN = next(c.subject for c in changes() if c.kind == "broken")
ENDS = ("--good", "good", "--bad", "bad")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bisect") / "lab"
    assert main.main(["init", str(directory)]) == 0
    return directory


@pytest.fixture
def over(lab: Path) -> Path:
    """The lab, its bisect at its end: whoever runs the tests, and in whatever order."""
    ran = doit(lab, "bisect", *ENDS)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return lab


def git(lab: Path, *words: str, **how) -> str:
    argv = ["git", "-C", str(lab / "cache" / "demo"), *words]
    env = environment()
    return subprocess.run(argv, check=True, capture_output=True, text=True, env=env, **how).stdout


def told(lab: Path) -> list[Told]:
    events = journal.read(lab / "cache" / "bisect" / "journal")
    return [event for event in events if isinstance(event, Told)]


def sealed(lab: Path) -> set[str]:
    return {str(p) for p in (lab / "cache" / "artifacts").glob("*/*/*.json")}


def test_killed_at_a_step_it_goes_on_and_names_the_culprit(lab):
    started = subprocess.Popen(
        [sys.executable, "-m", "doit", "bisect", "-n", "2", *ENDS], cwd=lab, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while len(told(lab)) < 3 and started.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    before = told(lab)
    assert len(before) >= 3
    ran = doit(lab, "bisect", "-n", "2", "--revert")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert told(lab)[: len(before)] == before
    assert f" {CULPRIT}" in ran.stdout.split("culprit: ")[1].splitlines()[0]
    assert "proved: built clean and tested again, as found (culprit, parent, revert)" in ran.stdout
    report = json.loads((lab / "cache" / "bisect" / "report.json").read_text())
    assert [proof["verdict"] for proof in report["proofs"]] == ["bad", "good", "good"]
    reasons_are_told(lab, ran.stdout, report)


def reasons_are_told(lab: Path, said: str, report: dict[str, Any]) -> None:
    """Each saving with its reason, whoever of the two that searched found it: on the screen, in
    all three reports.
    """
    folder = lab / "cache" / "bisect"
    text = " ".join((folder / "report.txt").read_text().split())
    page = " ".join(html.unescape((folder / "report.html").read_text()).split())
    folded = [node for node in report["nodes"] if node["state"] == "folded"]
    assert folded
    assert {node["why"] for node in folded} == {folded[0]["why"]}
    assert folded[0]["why"].startswith("nothing that the builds of kernel:")
    for step in report["steps"]:
        assert step["fit"] in {"own", "reused", "aligned"}
        assert step["fit"] != "aligned" or "sys/sys/param.h states" in step["fit_why"]
        for reason in (step["why"], step["fit_why"], step["reused"]):
            assert reason[:90] in text
            assert reason in page
    assert re.search(r"splits \d+ into \d+ and \d+: \d\.\d\d bits in [\d.]+ s, [\d.]+ bits/s", text)
    for sentence in report["savings"]:
        assert sentence in text
        assert sentence in page
        assert sentence in " ".join(said.split())


def test_the_same_bisect_again_builds_and_boots_nothing(over):
    before = sealed(over)
    ran = doit(over, "bisect", *ENDS)
    assert ran.returncode == 0
    assert CULPRIT in ran.stdout
    assert sealed(over) == before
    doit(over, "bisect", "--reset")
    again = doit(over, "bisect", *ENDS)  # asked anew, answered from the store
    assert again.returncode == 0, again.stdout + again.stderr
    assert sealed(over) == before
    report = json.loads((over / "cache" / "bisect" / "report.json").read_text())
    assert (report["builds"], report["boots"]) == (0, 0)
    assert len(report["steps"]) > 2
    assert {step["how"] for step in report["steps"]} == {"known"}
    assert "it was tested before, and its verdict kept" in " ".join(again.stdout.split())


def test_git_takes_the_log_and_agrees(over, tmp_path):
    log = tmp_path / "log"
    log.write_text(doit(over, "bisect", "--log").stdout)
    git(over, "worktree", "add", "-q", "--detach", str(tmp_path / "tree"), "bad")
    argv = ["git", "-C", str(tmp_path / "tree"), "bisect", "replay", str(log)]
    said = subprocess.run(argv, check=True, capture_output=True, text=True, env=environment())
    assert CULPRIT in said.stdout
    last = log.read_text().splitlines()[-1]
    assert last.startswith("# first bad commit: [")
    assert last.endswith(f"] {CULPRIT}")


def test_a_log_says_each_thing_once(over):
    lines = [line for line in doit(over, "bisect", "--log").stdout.splitlines() if line[0] != "#"]
    assert len(lines) == len(set(lines))


def test_a_log_replaces_no_bisect_that_is_under_way(over, tmp_path):
    log = tmp_path / "log"
    log.write_text(doit(over, "bisect", "--log").stdout)
    assert doit(over, "bisect", "--undo").returncode == 0
    before = journal.read(over / "cache" / "bisect" / "journal")
    ran = doit(over, "bisect", "--replay", str(log))
    assert ran.returncode == 3
    assert "is under way\n  hint: `doit bisect` goes on, --reset gives it up" in ran.stderr
    assert journal.read(over / "cache" / "bisect" / "journal") == before
    said = doit(over, "bisect", "--status")
    assert said.returncode == 1
    assert "left, about" in said.stdout
    assert doit(over, "bisect").returncode == 0


def test_a_commit_that_does_not_build_is_skipped_for_git(lab):
    broken = git(lab, "log", "--format=%H", "--fixed-strings", f"--grep={BROKEN}", "bad").split()[0]
    codes = [doit(lab, "verdict", ref).returncode for ref in ("good", "bad", broken, "nowhere")]
    assert codes == [0, 1, 125, 128]


def test_git_bisects_by_verdicts(tmp_path):
    """A clone that is a lab itself; then a lab elsewhere, which is not there any more."""
    clone = tmp_path / "clone"
    demo.create(tmp_path / "demo")
    subprocess.run(["git", "clone", "-q", tmp_path / "demo", clone], check=True, env=environment())
    assert main.main(["init", str(clone), "--repository", str(clone)]) == 0
    programs(tmp_path / "bin")
    env = environment(PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    def in_clone(*words: str) -> subprocess.CompletedProcess[str]:
        argv = ["git", "-C", str(clone), *words]
        return subprocess.run(
            argv, check=False, capture_output=True, text=True, env=env, timeout=300
        )

    def bisect(*words: str) -> subprocess.CompletedProcess[str]:
        return in_clone("bisect", *words)

    found = in_clone("log", "--format=%H", "--fixed-strings", f"--grep={CULPRIT}", "bad")
    culprit = found.stdout.split()[-1]
    child = in_clone("rev-list", "--first-parent", f"{culprit}..bad").stdout.split()[-1]
    assert bisect("start", child, f"{culprit}~2").returncode == 0
    ran = bisect("run", "doit", "verdict", "HEAD", "test")
    assert f"{culprit} is the first bad commit" in ran.stdout, ran.stdout + ran.stderr
    assert bisect("start", child, f"{culprit}~2").returncode == 0
    ran = bisect("run", "sh", "-c", f"cd {tmp_path}/gone || exit 128; doit verdict HEAD test")
    assert ran.returncode != 0
    assert "first bad commit" not in ran.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--good", "good"), "a bisect needs both ends"),
        (("--good", "good", "--bad", "good"), "good and bad are one commit"),
        (("--good", "good", "--bad", "nowhere"), "'nowhere' is not a commit"),
        (("--good", "bad", "--bad", "good"), "is an ancestor of a good commit"),
        (("--good", "good", "--bad", "bad", "--repeats", "many"), "--repeats many"),
        (("--good", "good", "--bad", "bad", "--test", "/nowhere"), "/nowhere"),
        (("--good", "good", "--bad", "bad", "--fixed", "--repeats", "auto"), "--fixed"),
        (("--replay", "/nowhere"), "No such file"),
        (("sideways",), "bisect does not take 'sideways'"),
    ],
)
def test_mistakes_are_refused(lab, words, said):
    doit(lab, "bisect", "--reset")
    ran = doit(lab, "bisect", *words)
    assert ran.returncode == 3
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert doit(lab, "bisect").returncode == 3  # it has not begun


def test_verdicts_by_hand_are_taken_back(lab):
    doit(lab, "bisect", "--reset")
    doit(lab, "bisect", "--good", "good", "--bad", "nowhere")
    assert doit(lab, "bisect", *ENDS).returncode == 0
    before = told(lab)
    for words, why in (
        (("good", "bad~1"), "is good, but"),
        (("bad", "good"), "is not among the commits"),
    ):
        refused = doit(lab, "bisect", *words)
        assert refused.returncode == 3
        assert why in refused.stderr
    assert told(lab) == before
    assert "is in question again" in doit(lab, "bisect", "--undo").stdout
    assert doit(lab, "bisect", "--status").returncode == 1
    assert doit(lab, "bisect").returncode == 0


def test_what_was_given_up_does_not_go_on(lab):
    doit(lab, "bisect", *ENDS)
    doit(lab, "bisect", "--reset")
    ran = doit(lab, "bisect")
    assert ran.returncode == 3
    assert "the bisect has ended: given up" in ran.stderr


def test_an_end_named_twice_is_one(lab):
    doit(lab, "bisect", "--reset")
    assert doit(lab, "bisect", "--good", "good", *ENDS).returncode == 0
    report = json.loads((lab / "cache" / "bisect" / "report.json").read_text())
    assert len(report["good"]) == 1

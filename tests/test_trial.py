"""Real kernels of the demo OS, installed, booted under QEMU and judged."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import behind, can_unshare, environment, processes, wait_for
from conftest import doit as run_doit

from labtasks.command import main
from labtasks.ground import digest, process
from labtasks.key import key
from labtasks.lab import recipe as recipes
from labtasks.lab.lab import load
from labtasks.lab.machine import Vm
from labtasks.store.store import Store
from labtasks.test import trial

pytestmark = pytest.mark.skipif(
    not shutil.which("qemu-system-x86_64"), reason="no qemu-system-x86_64"
)

TIP = 'options.kenv = "test=libctest"\n'
"""A test that passes at the tip, where the probe's does not."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trial") / "lab"
    assert main.main(["init", str(directory)]) == 0
    return directory


def doit(lab: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run doit in a lab whose lab.toml says this besides."""
    tables = "".join(f"{name.replace('__', '.')} = {value}\n" for name, value in settings.items())
    recipe = "" if "recipe" in settings else 'recipe = "demo"\n'
    text = f'repository = "demo"\n{recipe}{tables}'
    (lab / "lab.toml").write_text(text)
    return run_doit(lab, *words)


def verdicts(lab: Path) -> list[dict]:
    files = (lab / "cache" / "artifacts" / "verdict").glob("*/verdict.json")
    return [json.loads(p.read_text()) for p in sorted(files, key=lambda p: p.stat().st_mtime)]


def test_good_and_bad_commits_are_told_apart_and_booted_once(lab):
    before, anew = verdicts(lab), {"test__timeout": "119"}  # whatever was tested before
    good = doit(lab, "test:good:test", **anew)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "good: all tests passed" in good.stdout
    bad = doit(lab, "test:bad", **anew)
    assert bad.returncode != 0
    assert "test probetest FAILED: probetest: probe:" in bad.stdout
    held = verdicts(lab)
    new = [v for v in held if v not in before]
    assert [v["outcome"] for v in new] == ["good", "bad"]
    assert all(Path(v["runs"][0]["console"]).stat().st_size < 100_000 for v in new)
    again = doit(lab, "test:good:test", **anew)
    assert again.returncode == 0
    assert verdicts(lab) == held


def test_explain_names_what_a_verdict_hangs_on(lab):
    said = run_doit(lab, "explain", "test:bad~1").stdout
    assert "\nkernel:" in said
    assert "\ninstall:" not in said
    doit(lab, "test:good")
    doit(lab, "clean", "install:good")
    said = run_doit(lab, "explain", "test:good").stdout
    assert "not tested: what it boots is not in the store" in said
    assert "\ninstall:" in said
    assert "\nroot:" not in said
    doit(lab, "test:good")
    said = run_doit(lab, "explain", "test:good").stdout
    assert "\ntested: good: all tests passed\n" in said
    assert Path(said.split("  console ")[-1].strip()).is_file()
    doit(lab, "install:good", test__timeout="118")
    said = run_doit(lab, "explain", "test:good:test").stdout
    assert re.search(r"what differs from test:\w{12}:test, good:\n  timeout: \d+ -> 118\n$", said)


def test_what_was_not_good_can_be_asked_anew(lab):
    doit(lab, "test:bad", "test:good")
    before = {v["key"]: v["finished"] for v in verdicts(lab)}
    doit(lab, "retry=yes", "test:bad", "test:good")
    after = {v["key"]: v["finished"] for v in verdicts(lab)}
    assert before.keys() == after.keys()
    assert sum(before[key] != after[key] for key in before) == 1


def test_a_commit_that_changes_nothing_installed_inherits_the_verdict(lab):
    doit(lab, "test:good")
    before = verdicts(lab)
    ran = doit(lab, "test:good~0", "test:" + _documentation_only(lab))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert verdicts(lab) == before


def test_an_altered_kernel_is_not_installed_and_no_fact_about_the_commit(lab):
    doit(lab, "kernel:good")
    good = load(lab).repository.commit("good").id
    (made,) = (m for m in Store(lab / "cache").all("kernel") if m.commit == good)
    (kernel,) = (lab / "cache" / "layers" / made.stack[0] / "t").rglob("kernel")
    away = kernel.rename(lab / "kernel")
    doit(lab, "clean", "install:good")
    for _ in range(2):
        refused = doit(lab, "install:good")
        assert refused.returncode == 1, refused.stdout + refused.stderr
        assert f"sealed file changed by hand: {kernel}" in refused.stdout
        assert good not in [m.commit for m in Store(lab / "cache").all("install")]
    away.rename(kernel)
    assert doit(lab, "install:good").returncode == 0


@pytest.mark.parametrize(
    ("setting", "value", "hint"),
    [
        ("arch", '"aarch64"', "arch in the recipe's [machine], or an option"),
        ("firmware", '"uefi"', "firmware in the recipe's [machine], or an option"),
        ("kernel", '"vmlinuz"', "kernel in the recipe's [machine], or an option"),
        ("serial", "2", "arguments in the recipe's [machine]"),
        ("digest", '"00"', "it is that of an `image`"),
        ("ssh", "false", "`run` and `ports` in [test]"),
    ],
)
def test_what_a_test_would_pass_over_is_refused(lab, setting, value, hint):
    refused = doit(lab, "test:good", **{f"vm__ta__{setting}": value})
    assert refused.returncode == 3
    assert f"[vm.ta] {setting}: a test boots the recipe's machine" in refused.stderr
    assert f"hint: {hint}" in refused.stderr


def test_settings_that_hold_anyway_are_let_be(lab):
    doit(lab, "list", vm__ta__arch='"amd64"', vm__ta__memory="64")
    found = load(lab)
    want = key.wanted(found, "install", found.repository.commit("good"), None)
    assert trial.bootable(found, want, "ta") == found.recipe.machine
    assert {*trial._COUNT, *trial._ELSEWHERE} <= {*Vm.__struct_fields__}


def test_an_altered_installation_is_not_booted(lab):
    doit(lab, "install:good")
    good = load(lab).repository.commit("good").id
    for kind in ("install", "root"):
        (made,) = (m for m in Store(lab / "cache").all(kind) if m.commit == good)
        files = (lab / "cache" / "layers" / made.stack[0] / "t").rglob("*")
        path = min(p for p in files if p.is_file() and not p.is_symlink())
        away = path.rename(lab / "away")
        refused = doit(lab, "boot:good")
        assert refused.returncode == 1, refused.stdout + refused.stderr
        assert f"sealed file changed by hand: {path}" in refused.stdout
        assert f"clean {kind}:{good[:12]}" in refused.stdout
        away.rename(path)


def test_a_kernel_on_the_world_of_the_vm_s_own_image(lab):
    doit(lab, "root:good", "install:good")
    good = load(lab).repository.commit("good").id
    (root,) = (m for m in Store(lab / "cache").all("root") if m.commit == good)
    installed = lab / "cache" / "layers" / root.stack[0] / "t" / "root" / "tree"
    image = lab / "own.img"
    subprocess.run([installed.parent / "makefs", image, installed], check=True, timeout=60)
    recipe = (recipes.SHIPPED / "demo.toml").read_text()
    before, machine, after = recipe.partition("\n[machine]\n")
    steps, _, rest = after.partition('"""]\n')
    assert "{root}" in steps
    text = f'{before}{machine}steps = ["cp {{image}} {{run}}/root.img"]\n{rest}'
    (lab / "demo.toml").write_text(text)
    own = {"recipe": '"demo.toml"', "world": '"image"'}
    refused = doit(lab, "test:good", **own)
    assert refused.returncode == 3
    assert "nothing is installed that vm test could boot" in refused.stderr
    gone = doit(lab, "test:good", **own, vm__test__image='"none.img"')
    assert gone.returncode == 3
    assert "none.img is no file" in gone.stderr
    image_is = {"vm__test__image": '"own.img"'}
    other = doit(lab, "test:good", **own, **image_is, vm__test__digest='"00"')
    assert other.returncode == 3
    assert f'its BLAKE3 is "{digest_of(image)}"' in other.stderr
    ran = doit(lab, "test:good", **own, **image_is, vm__test__digest=f'"{digest_of(image)}"')
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "toolchain:" in ran.stdout
    (held,) = [v for v in verdicts(lab) if dict(v["inputs"])["root"] == digest_of(image)]
    assert held["outcome"] == "good"


def digest_of(path: Path) -> str:
    return digest.of_file(path, path.stat().st_size)


def _documentation_only(lab: Path) -> str:
    """The first commit after `good`, which changes its README."""
    done = subprocess.run(
        ["git", "-C", lab / "cache" / "demo", "rev-list", "--reverse", "good..bad", "--", "README"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.split()[0]


@pytest.mark.parametrize(
    ("variables", "outcome", "reason"),
    [
        ("test=libctest", "good", "good: all tests passed"),
        ("test.panic", "other-failure", "panic"),
        ("test.trap", "other-failure", "trap"),
        ("test.reboot", "other-failure", "silent-reboot"),
        ("test.hang", "other-failure", "silence"),
        ("panic.halt test.panic", "other-failure", "panic"),
    ],
)
def test_failures_are_told_apart(lab, variables, outcome, reason):
    more = {"test__silence": "10"} if reason == "silence" else {}
    ran = doit(lab, "test:HEAD", options__kenv=f'"{variables}"', **more)
    assert (ran.returncode == 0) == (outcome == "good")
    last = verdicts(lab)[-1]
    assert last["outcome"] == outcome
    assert last["reason"].startswith(reason), last["reason"]


def test_only_the_described_failure_is_bad(lab):
    described = {"test__bad": '["panic"]', "options__kenv": '"test.panic"'}
    doit(lab, "test:HEAD", **described)
    assert verdicts(lab)[-1]["outcome"] == "bad"
    doit(lab, "test:HEAD", test__text='"no such words"', **described)
    assert verdicts(lab)[-1]["outcome"] == "other-failure"
    doit(lab, "test:HEAD", test__bad='["panic"]')
    assert verdicts(lab)[-1]["outcome"] == "other-failure"


def test_a_machine_without_a_root_cannot_be_tested(lab):
    doit(lab, "test:HEAD", vm__other__arguments=f'["-initrd", "{lab}/lab.toml"]')
    last = verdicts(lab)[-1]
    assert (last["outcome"], last["vm"]) == ("untestable", "other")
    assert last["reason"].startswith("mountroot")


def test_a_script_of_the_persons_own_is_what_init_runs(lab):
    (lab / "my.rc").write_text("run /bin/echo from-my-script\ntest libctest\n")
    ran = doit(lab, "test:HEAD", test__script='"my.rc"')
    assert ran.returncode == 0, ran.stdout
    assert "from-my-script" in Path(verdicts(lab)[-1]["runs"][0]["console"]).read_text()


def test_a_flood_is_bounded(lab):
    ran = doit(lab, "test:HEAD", test__bytes="4096", test__bad='["flood"]')
    assert ran.returncode != 0
    last = verdicts(lab)[-1]
    assert last["outcome"] in ("bad", "other-failure")


@pytest.mark.parametrize(
    ("words", "settings", "said"),
    [
        (["test:HEAD:nowhere"], {}, "no VM is called 'nowhere'"),
        (["test:HEAD"], {"test__script": '"missing.sh"'}, "missing.sh"),
        (["test:HEAD"], {"test__bad": '["panik"]'}, "'panik'"),
        (["test:HEAD"], {"test__text": '"("'}, "a Python regex"),
        (["test:HEAD"], {"test__tiemout": "3"}, "timeout"),
    ],
)
def test_mistakes_are_refused(lab, words, settings, said):
    ran = doit(lab, *words, **settings)
    assert ran.returncode != 0
    assert said in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr


@pytest.mark.skipif(not can_unshare("root"), reason="no mount namespace to be had")
def test_a_full_disk_of_the_host_is_no_fact_about_the_commit(lab):
    words = {"test__timeout": "118"}
    doit(lab, "install:bad:test", **words)
    before = verdicts(lab)
    text, codes = behind(
        lab,
        "mount -t tmpfs -o size=2m tmpfs /var/tmp; cat /dev/zero >/var/tmp/filler 2>/dev/null",
        f"{sys.executable} -m doit test:bad:test",
    )
    assert codes == [1], text
    assert "no space left while writing /var/tmp" in text
    assert verdicts(lab) == before


def test_a_machine_that_is_killed_is_no_fact_about_the_commit(lab):
    """Each time it is begun again, and given up after the third; nothing of it is left."""
    words = {"test__silence": "100", "options__kenv": '"test.hang"'}
    doit(lab, "install:good:test", **words)
    before, mark = verdicts(lab), f"{lab}/cache/tmp/"

    def machines():
        return [pid for pid in processes(mark) if "qemu" in "".join(process.command_of(pid)[:1])]

    with subprocess.Popen(
        [sys.executable, "-m", "doit", "test:good:test"], cwd=lab, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as run:  # fmt: skip
        killed = set()
        for _ in range(3):
            wait_for(lambda: {*machines()} - killed, seconds=60)
            for pid in {*machines()} - killed:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        said, _ = run.communicate(timeout=60)
    assert run.returncode == 1, said
    for number in (1, 2, 3):
        assert f"(the machine was ended from outside: exit status -9), try {number} of 3" in said
    assert "test:good:test: " in said
    assert "hint: the log is " in said
    assert verdicts(lab) == before
    assert not machines()
    assert not list((lab / "cache" / "tmp").glob("test*"))
    assert doit(lab, "test:good:test", options__kenv='"test=libctest"').returncode == 0


def test_steps_of_the_machine_end_in_time(lab):
    recipe = (recipes.SHIPPED / "demo.toml").read_text()
    before, machine, after = recipe.partition("\n[machine]\n")
    _, _, rest = after.partition('"""]\n')
    (lab / "slow.toml").write_text(f'{before}{machine}steps = ["sleep 300"]\n{rest}')
    slow = doit(lab, "test:good", recipe='"slow.toml"', test__timeout="1")
    assert slow.returncode == 1, slow.stdout + slow.stderr
    assert "not ready after 1 s" in slow.stdout

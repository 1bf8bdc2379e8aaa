"""Reports as a bisect would make them, of histories of any length, merges included."""

from __future__ import annotations

from msgspec.structs import replace

from labtasks.ground import digest
from labtasks.report.report import Node, Proof, Report, Step

NAMES = ("Ada Vester", "Björn Åkesson", "Chiyo 千代", "D. Marsh")
WORK = (
    "sched: keep the run queue sorted when a thread wakes",
    "vm: count pages that are laundered twice",
    "doc: say what the quantum is measured in",
    "arm64: align the vector table",
    "kern: fold two copies of the callout code into one, and say which locks protect its result",
    "libc: strtonum takes a base",
)


def commit(number: int) -> str:
    return digest.of_bytes(str(number).encode())[:40]


def parents_of(number: int) -> tuple[int, ...]:
    """Mostly a line; a branch of five commits now and then, merged."""
    place = number % 20
    if place == 16:
        return (number - 1, number - 6)  # merge of the branch that ends six before
    if place == 11:
        return (number - 6,)  # the main line, beside the branch
    return (number - 1,)


def history(count: int, culprit: int, tested: dict[int, tuple[int, str]]) -> tuple[Node, ...]:
    """Commits 1 to `count`, the newest first, on commit 0."""
    nodes = []
    for number in range(count, 0, -1):
        step, state = tested.get(number, (None, "cleared"))
        if number == culprit:
            state = "culprit"
        elif step is None and number % 3 == 0:
            state = "folded"
        nodes.append(
            Node(
                commit=commit(number),
                parents=tuple(commit(parent) for parent in parents_of(number)),
                subject=WORK[number % len(WORK)],
                author=NAMES[number % len(NAMES)],
                date=1_700_000_000 + 3600 * number,
                state=state,
                step=step,
                why="nothing that was built reads it" if state == "folded" else "",
            )
        )
    return tuple(nodes)


def search(count: int, culprit: int) -> list[tuple[int, str, int]]:
    """What halving tests: (commit, verdict, left), an untestable one on the way."""
    low, high, found = 0, count, [(0, "good", count), (count, "bad", count)]
    while high - low > 1:
        middle = (low + high) // 2
        if len(found) == 4:
            found.append((middle - 3, "skip", high - low))
        low, high = (low, middle) if middle >= culprit else (middle, high)
        found.append((middle, "bad" if high == middle else "good", high - low))
    return found


def step(number: int, verdict: str, left: int, at: int) -> Step:
    outcome = {"good": "good", "bad": "bad", "skip": "untestable"}[verdict]
    reasons = {
        "good": "good: 12 of 12 checks",
        "bad": "panic: mutex sched lock not owned at kern/sched.c:412 on cpu 1",
        "skip": "does not build: kern/callout.c:88: error: use of undeclared identifier 'c_flags'",
    }
    return Step(
        commit=commit(number),
        subject=WORK[number % len(WORK)],
        verdict=verdict,
        outcome=outcome,
        reason=reasons[verdict],
        how="inherited" if at == 6 else "tested",
        why=f"halves {left // 2} of {left}; base {commit(0)[:12]} costs 3 s",
        rung="incremental" if at else "clean",
        reused=f"{left} of 1,204 jobs, from {commit(0)[:12]}" if at else "nothing was built before",
        world=commit(0)[:12],
        build_seconds=3.4 + left / 9 if at else 191.2,
        test_seconds=0 if verdict == "skip" else 6.3,
        remaining=left,
        console=f"cache/artifacts/verdict/{commit(number)[:16]}/console.0",
    )


def sample(count: int = 60, culprit: int = 23) -> Report:
    """A finished bisect of `count` commits."""
    found = search(count, culprit)
    tested = {number: (at, verdict) for at, (number, verdict, _) in enumerate(found, 1)}
    nodes = history(count, culprit, tested)
    proofs = (
        ("culprit", culprit, "bad", "panic: mutex sched lock not owned at kern/sched.c:412"),
        ("parent", culprit - 1, "good", "good: 12 of 12 checks"),
        ("revert", count, "good", "good: 12 of 12 checks"),
    )
    return Report(
        repository="/home/ada/src/os",
        good=(commit(0),),
        bad=commit(count),
        vm="amd64",
        test="tests/sched.sh --threads 4",
        culprits=(commit(culprit),),
        probability=0.9968,
        diffstat=" sys/kern/sched.c | 14 +++++++-------\n sys/sys/sched.h  |  2 ++\n"
        " 2 files changed, 9 insertions(+), 7 deletions(-)\n",
        message=f"{WORK[culprit % 6]}\n\nA woken thread was put at the end, so that a thread of a"
        " higher class\nwaited for a whole quantum. The lock is taken by the caller.\n",
        steps=tuple(step(number, said, left, at) for at, (number, said, left) in enumerate(found)),
        proofs=tuple(
            Proof(
                commit=commit(number), subject=WORK[number % 6], role=role, verdict=verdict,
                agrees=True, reason=reason, seconds=201.5,
            )
            for role, number, verdict, reason in proofs
        ),
        nodes=nodes,
        started=1_763_881_200,
        seconds=912.4,
        builds=9,
        boots=11,
        folded=sum(node.state == "folded" for node in nodes),
        full_build_seconds=1840,
        saved_seconds=1840 * len(found) - 912.4,
        excerpt="FreeBSD 15.0-CURRENT amd64\nTimecounters tick every 1.000 msec\nstart: sched\n"
        "panic: mutex sched lock not owned at /mnt/src/sys/kern/sched.c:412\ncpuid = 1\n"
        "time = 1763881401\nKDB: stack backtrace:\ndb_trace_self_wrapper() at"
        " db_trace_self_wrapper+0x2b/frame 0xfffffe0008a3ea10\nvpanic() at vpanic+0x132/frame"
        " 0xfffffe0008a3eb40\nsched_wakeup() at sched_wakeup+0x8f/frame 0xfffffe0008a3ebc0\n",
        commands=(
            f"doit test:{commit(culprit)}:amd64",
            f"doit test:{commit(culprit - 1)}:amd64",
            f"doit bisect --good {commit(0)} --bad {commit(count)} --vm amd64",
        ),
        finished=True,
    )  # fmt: skip


def unfinished(count: int = 60) -> Report:
    """The same, stopped after four steps."""
    whole = sample(count)
    question = {commit(number) for number in range(16, 31)}  # what step 4 left of 60
    nodes = tuple(
        replace(node, state="open", step=None, why="")
        if node.commit in question and node.state != "folded" and node.step != 3
        else replace(node, state="cleared", step=None)
        if (node.step or 0) > 4
        else node
        for node in whole.nodes
    )
    return replace(
        whole, culprits=(), probability=0, diffstat="", message="", steps=whole.steps[:4],
        proofs=(), nodes=nodes, excerpt="", finished=False,
    )  # fmt: skip

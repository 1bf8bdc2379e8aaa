"""labtasks: content-hashed builds for operating-system developers.

The rooms, in the order in which a commit passes through them. Each knows nothing of the later ones
of its own part; import-linter has the exact layers.

What everybody needs
    words live error                     words for a person, on a terminal; refusals
    digest globs                         BLAKE3; paths that match
    atomic memory                        files written whole; what was learned once
    process supervisor signals           commands: short questions, long work, and how both end

A ref becomes a commit, and a commit a key
    config settings recipe               what the person wrote: lab.toml and the recipe, checked
    events session                       a recipe's console, and its shell
    addressee machine remote             lab.toml's tables of who is told, and of machines
    git git_objects demo                 names to commits, trees to differences; a demo
    tools binding lab                    the recipe filled in; what every later room is given
    identity guest_tools widened         what builds, and what builds were seen to read besides
    base key                             what decides an artifact, hashed or explained

Is it in the store, or nearly so?
    layer seal locks manifest store      file trees on one another; sealed artifacts of them
    source abi                           a commit's files; what a kernel and a world must agree on
    trace trace_*                        what a build read, job by job
    candidate reuse                      the ladder: which rung holds, from which artifact

The steps are run, watched, and sealed
    namespace processor                  constant paths for the steps; one processor for small ones
    builder overlay lane                 run in overlays, or in copies; what they left
    bpf recorder tracing                 watched by a program in the kernel, or by strace, or not
    ssh reach site listing parcel guest  the same on another machine
    guest_disk remote_folder             its trees there: on a disk, or in a folder
    remote_script                        the shell text for that
    outset workspace failure doubt attempt  one build: given its place, run, disbelieved, sealed
    objfs artifact                       an image of what was built; the line that joins all this

It is installed, booted and judged
    qemu accelerator qmp qcow2           a virtual machine as data, what runs it, its disks
    vm vm_files attach image             the lab's machines, up and down; a terminal; a Debian
    plug through                         disks in a machine, which installs onto a clone of a base
    console judge                        a serial console as named events, and what they come to
    typist tester errand way             who runs a test: init, a typist, ssh, this host
    watch testbed verdict trial          booted and watched; what was found is kept

Which commit changed the verdict?
    graph search choice flaky            the search: git's rules, what to test next, and how often
    gitlog progress journal prospect     what has been found so far, and how long it goes on
    probe outlook series                 one commit's verdict; what it will cost; when it is sure
    view case proof ahead hunt           a bisect: shown, written down, proved, built beside, driven
    record spent savings                 what it took, from its journal; what spared work, and why
    report summary lanes picture page    told: for a terminal, a program, a browser

Commands
    kinds tasks loader dodo              doit's tasks
    commands explain verify again        doit's commands: why, is it true, and once more
    bisect_command by_hand bisect_status `doit bisect`
    objection                            what is refused before its journal is written
    care survey gc room remains          what the cache holds, and may hold
    checkup doctor                       whether all is well: in a machine, here
    main init outfit                     `labtasks`; a lab is made, and with it its machines
    completion reference                 what a shell offers; lab.toml's page
    eitri                                several builds in sequence
    muninn transparent witness passing   any command undisturbed
    news notify apprised                 what is told at its end, to whom, by what channel
"""

__version__ = "0.1.0"

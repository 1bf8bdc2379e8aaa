"""labtasks: content-hashed builds for operating-system developers.

The rooms, in the order in which a commit passes through them; each knows nothing of the later ones:

    live error digest              what everybody needs: words on a terminal, refusals, BLAKE3
    process supervisor signals     commands: short questions, long work, and how they end
    qemu accelerator qmp qcow2 ssh a virtual machine as data; what runs it; ways into it; its disks
    addressee apprised notify      who is told, and by what channel
    remote machine image           [ssh.<name>] and [vm.<name>] of lab.toml; a build machine's disk
    settings recipe events         what the person wrote
    lab binding git git_objects    what follows from it, and what the repository holds
    atomic memory                  files written whole; what was learned once
    identity widened               what builds, and what builds were seen to read besides
    key                            what decides an artifact, as a list that is hashed or explained
    graph search choice flaky      which commit changed a verdict, and which to test next
    gitlog progress journal        what a bisect has found so far, and git's format for it
    prospect                       how long it will still go on
    trace trace_*                  what a build read, by whichever tracer there is
    globs layer manifest locks store
                                   file trees stacked on one another, and sealed artifacts of them
    source abi                     a commit's files; what a kernel and a world must agree on
    candidate reuse                how much work may be skipped: the ladder, the cheapest base
    namespace processor bpf recorder builder overlay lane workspace tracing
                                   run a recipe's steps where they see constant paths, watched
    reach site guest parcel listing guest_disk remote_folder remote_script guest_tools
                                   the same on another machine, virtual or not
    attempt doubt failure          one build: run, disbelieved, sealed; its log
    objfs artifact                 export what was built; the whole pipeline
    events console judge           a serial console as named events, and what they come to
    base plug through              install onto a clone of a base root, in a machine
    session typist                 a shell or a login as data; a script typed at a prompt
    tester errand way              who runs a test: init, a typist, ssh, this host
    watch testbed verdict trial    boot what was installed, test it, keep the verdict
    probe outlook series           one commit's verdict; what it will cost; how often to ask
    view case proof ahead          a bisect: shown, written down, proved, built beside
    hunt record                    driven, and told in the end
    vm vm_files attach             machines brought up and down; a terminal on a console
    survey gc room remains         what the cache holds, and may hold
    checkup doctor                 whether all is well: in a machine, here
    words report lanes picture page
                                   what a bisect found: for a terminal, a program, a browser
    explain verify                 why, and is it true
    kinds tasks loader commands bisect_command bisect_status care main
                                   doit's side, and the `labtasks` command
    completion reference           what a shell offers; lab.toml's page
    eitri                          several builds in sequence, by doit's tasks
    witness passing transparent news muninn
                                   any command undisturbed, and what is told at its end
"""

__version__ = "0.1.0"

"""labtasks: content-hashed builds for operating-system developers.

The rooms, in the order in which a commit passes through them; each knows nothing of the later ones:

    error digest process           what everybody needs: refusals, BLAKE3, external commands
    lab recipe git                 what the person wrote, and what the repository holds
    key                            what decides an artifact, as a list that is hashed or explained
    trace trace_*                  what a build read
    store layer                    sealed artifacts, and file trees stacked on one another
    source                         a commit's files, brought up to date by writing only what differs
    reuse                          how much work may be skipped: the ladder, the cheapest base
    builder                        run a recipe's steps where they see constant paths
    artifact                       the pipeline itself: key -> store -> ladder -> build -> seal
    objfs boot                     export what was built; start it
    explain verify                 why, and is it true
    tasks loader commands main     doit's side, and the `labtasks` command
"""

__version__ = "0.1.0"

"""labtasks: content-hashed builds for operating-system developers.

The rooms, in the order in which a commit passes through them; each knows nothing of the later ones:

    error digest process           what everybody needs: refusals, BLAKE3, external commands
    lab recipe git                 what the person wrote, and what the repository holds
    key                            what decides an artifact, as a list that is hashed or explained
    trace trace_*                  what a build read, by whichever tracer there is
    layer locks store              file trees stacked on one another, and sealed artifacts of them
    source abi                     a commit's files; what a kernel and a world must agree on
    candidate reuse                how much work may be skipped: the ladder, the cheapest base
    namespace processor builder overlay lane workspace tracing
                                   run a recipe's steps where they see constant paths, watched
    attempt doubt failure          one build: run, disbelieved, sealed; its log
    objfs artifact boot            export what was built; the whole pipeline; start the result
    explain verify                 why, and is it true
    tasks loader commands main     doit's side, and the `labtasks` command
"""

__version__ = "0.1.0"

"""What everybody stands on: words for a person, hashes, files, and commands.

words live error            words for a person, on a terminal; refusals
space                       a full disk
digest globs                BLAKE3; paths that match
atomic memory               files written whole; what was learned once
process supervisor signals  commands: short questions, long work, and how both end
namespace                   the same paths for every build's commands
"""

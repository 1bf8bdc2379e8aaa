"""A ref becomes a commit, and a commit the key of an artifact.

git_objects git             trees to differences; names to commits
identity guest_tools        what builds: its release and its tools, here and on a machine
widened                     what builds were seen to read besides
key                         what decides an artifact, hashed or explained
"""

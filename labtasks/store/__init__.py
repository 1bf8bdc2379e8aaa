"""What is in the store, and what it spares.

layer seal locks            file trees on one another, what they were sealed as; who holds what
manifest store              sealed artifacts, and the only judge of whether one exists
source abi                  a commit's files; what a kernel and a world must agree on
candidate reuse             the ladder: which rung holds, from which artifact
"""

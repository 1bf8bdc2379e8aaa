"""The steps are run, watched, and sealed.

builder processor           how steps are run; one processor where there is little to do
overlay lane                in overlays, or in copies; what they left
workspace                   which of these, or another machine's (site), a lab's builder gives
outset doubt leftover       what a build starts from; why not to believe what it left
failure                     why it failed
attempt                     one build: given its place, run, disbelieved, sealed
objfs artifact              an image of what was built; the line that joins all this
"""

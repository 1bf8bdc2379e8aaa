"""How a lab is, and what keeps it well.

survey quota                what the cache holds, and may hold
gc remains                  what it can do without, and what belongs to nothing
checkup doctor              whether all is well: in a machine, here
care                        `doit status`, `gc` and `doctor`
"""

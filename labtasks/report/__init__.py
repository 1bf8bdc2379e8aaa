"""What a bisect found, told.

record spent savings        what it took, from its journal; what spared work, and why
report summary              a structure for programs; for a terminal
lanes picture page          for a browser
"""

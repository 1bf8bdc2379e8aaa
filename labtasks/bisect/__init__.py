"""Which commit changed the verdict.

graph search choice flaky   the search: git's rules, what to test next, and how often
gitlog progress journal     what has been found so far, in git's words and in ours
probe forecast series       one commit's verdict; what it will cost; when it is sure
prospect view               how long it goes on, and what is seen of it
case ahead proof hunt       written down, built beside, proved; and who drives
"""

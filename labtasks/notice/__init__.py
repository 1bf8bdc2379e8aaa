"""Any command undisturbed, and somebody told when it ends.

transparent witness relay   run as if alone, its signals and its output
muninn                      the command for that
news notify apprised        what is told, to whom, by what channel
"""

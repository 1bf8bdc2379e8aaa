"""What a person types.

kinds tasks loader          doit's tasks, and how any ref becomes one
commands explain verify shell    doit's commands: why, is it true, and what failed
bisect_command by_hand bisect_status    `doit bisect`
objection                   what is refused before its journal is written
main init init_debian       `labtasks`; a lab is made, and with it its machines
completion reference        what a shell offers; lab.toml's page
eitri                       several builds in sequence
"""

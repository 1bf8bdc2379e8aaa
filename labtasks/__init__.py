"""labtasks: content-hashed builds for operating-system developers.

The packages, in the order in which a commit passes through them; each one's docstring names its
modules. A module knows nothing of the later ones; import-linter has the exact order.

    ground    what everybody stands on: words, hashes, files, commands
    lab       what a person wrote, lab.toml and the recipe
    key       a ref becomes a commit, and a commit a key
    store     what is in the store, and what it spares
    trace     what a build read, job by job
    build     the steps are run, watched, and sealed
    site      the same on another machine
    vm        virtual machines, and what is installed onto their disks
    test      what was installed is booted and judged
    bisect    which commit changed the verdict
    report    what a bisect found, told
    command   what a person types; dodo.py is the table of contents
    care      how a lab is, and what keeps it well
    notice    any command undisturbed, and somebody told when it ends

Beside them lie data: recipes, the demo OS, and what makes a Debian a machine of a lab (images).
"""

__version__ = "0.1.0"

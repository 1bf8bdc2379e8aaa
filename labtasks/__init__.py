"""labtasks: content-hashed builds for operating-system developers.

The packages, each with what it stands on above it; each one's docstring names its modules. None
knows of those below it, but for a dozen imports, which pyproject.toml names with their reasons.

    ground    what everybody stands on: words, hashes, files, commands
    lab       what a person wrote, lab.toml and the recipe
    key       a ref becomes a commit, and a commit a key
    trace     what a build read, job by job
    store     what is in the store, and what it spares
    site      another machine, on which a build is a guest
    vm        virtual machines, and what is installed onto their disks
    build     the steps are run, watched, and sealed
    test      what was installed is booted and judged
    notice    any command undisturbed, and somebody told when it ends
    bisect    which commit changed the verdict
    report    what a bisect found, told
    command   what a person types; dodo.py is the table of contents
    care      how a lab is, and what keeps it well

Beside them lie data: recipes, the demo OS, and what makes a Debian a machine of a lab (images).
"""

__version__ = "0.1.0"

"""The tiny operating system: its first tree, its recipe, and the changes the tests make to it.

World: programs of bin/*.c, and a file that is installed as it is. Kernel: objects of sys/*.c, a
configuration put together from sys/conf/*, and what the world's `tool` prints. include/ is shared;
include/local/ is searched first and does not exist; sys/machine is a link to one of two folders.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

RECIPE = r"""
about = "a tiny system"
identity = ["cc --version"]
[tools]
make = "make"
cc = "gcc"
[options.level]
help = "How hard the compiler tries."
default = "0"
[options.trim]
help = "Whether something is left out."
default = "no"
choices = { no = "", yes = "TRIM=1" }
[files]
"tiny.conf" = "conf one"
[env]
O = "{obj}"
LEVEL = "{level}"
[world]
steps = ["make -j{jobs} -f bin/Makefile {trim}"]
outputs = ["world/**"]
volatile = ["**/*.d"]
depends = ["**/*.d"]
unseen = ["bin/Makefile", "bin/motd"]
[kernel]
inputs = ["sys", "include"]
steps = ["make -j{jobs} -f sys/Makefile {trim}"]
outputs = ["kernel/kernel"]
depends = ["**/*.d"]
unseen = ["sys/Makefile", "sys/conf/**"]
[abi]
version = { file = "include/param.h", pattern = '#define VERSION (\d+)' }
paths = ["sys/syscalls"]
"""

_BIN_MAKEFILE = """\
CFLAGS = -O$(or $(LEVEL),0) -Iinclude/local -Iinclude $(if $(TRIM),-DTRIM)
PROGRAMS = $(patsubst bin/%.c,$(O)/world/%,$(wildcard bin/*.c))
all: $(PROGRAMS) $(O)/world/etc/motd
$(O)/world/%: bin/%.c bin/Makefile
	@mkdir -p $(@D)
	cc $(CFLAGS) -MD -MF $@.d -o $@ $<
$(O)/world/etc/motd: bin/motd bin/Makefile
	@mkdir -p $(@D)
	rm -f $@ && cp $< $@
-include $(wildcard $(O)/world/*.d)
"""

_SYS_MAKEFILE = """\
CFLAGS = -O$(or $(LEVEL),0) -Iinclude/local -Iinclude -Isys/machine $(if $(TRIM),-DTRIM)
OBJECTS = $(patsubst sys/%.c,$(O)/kernel/%.o,$(wildcard sys/*.c))
CONF = $(sort $(wildcard sys/conf/*))
$(O)/kernel/kernel: $(OBJECTS) $(O)/kernel/conf.o $(O)/kernel/list $(O)/world/tool
	ld -r -o $@ $(OBJECTS) $(O)/kernel/conf.o
$(O)/kernel/conf.o: $(CONF) $(O)/kernel/list $(O)/world/tool sys/Makefile
	{ echo "const char conf[] ="; cat $(CONF); echo ";"; } > $(O)/kernel/conf.c
	printf 'const char by[] = "%s";\\n' $$($(O)/world/tool) >> $(O)/kernel/conf.c
	cc -c -o $@ $(O)/kernel/conf.c
$(O)/kernel/list: FORCE
	@mkdir -p $(@D)
	@echo $(CONF) $(OBJECTS) > $@.new; cmp -s $@.new $@ || cp $@.new $@; rm $@.new
FORCE:
$(O)/kernel/%.o: sys/%.c sys/Makefile
	@mkdir -p $(@D)
	cc $(CFLAGS) -MD -MF $@.d -c -o $@ $<
-include $(wildcard $(O)/kernel/*.d)
"""

_BASE = {
    "bin/Makefile": _BIN_MAKEFILE,
    "sys/Makefile": _SYS_MAKEFILE,
    "include/param.h": "#define VERSION 100\n#define SHARED 1\n",
    "include/kern.h": "#define KERN 1\n",
    "bin/hello.c": "#include <param.h>\nint main(void) { return SHARED; }\n",
    "bin/old.c": "int main(void) { return 0; }\n",
    "bin/tool.c": '#include <unistd.h>\nint main(void) { return write(1, "t1", 2) != 2; }\n',
    "bin/motd": "welcome\n",
    "sys/a.c": "#include <param.h>\n#include <kern.h>\nint a = SHARED + KERN;\n",
    "sys/b.c": "#include <kern.h>\n#include <md.h>\nint b = KERN + MD;\n",
    "sys/c.c": "int c = 1;\n",
    "sys/x86/md.h": "#define MD 1\n",
    "sys/arm/md.h": "#define MD 2\n",
    "sys/arm/start.c": "int start;\n",
    "sys/conf/10-base": '"base "\n',
    "sys/conf/20-more": '"more "\n',
    "sys/syscalls": "1 exit\n",
    "docs/guide": "read me\n",
}


def write_base(root: Path) -> None:
    """The first tree."""
    for path, text in _BASE.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "sys/machine").symlink_to("x86")


def _write(path: str, text: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)

    return change


def _append(path: str, text: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        with (root / path).open("a") as file:
            file.write(text)

    return change


def _symlink(root: Path) -> None:
    (root / "sys/machine").unlink()
    (root / "sys/machine").symlink_to("arm")


def _folder_for_file(root: Path) -> None:
    (root / "docs/guide").unlink()
    _write("docs/guide/one", "now a folder\n")(root)


CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda _root: None,
    "docs": _append("docs/guide", "more\n"),
    "docs-folder": _folder_for_file,
    "arch": _append("sys/arm/start.c", "int more;\n"),
    "arch-header": _write("sys/arm/md.h", "#define MD 3\n"),
    "kernel-c": _append("sys/c.c", "int more = 1;\n"),
    "kernel-comment": _append("sys/c.c", "/* only said */\n"),
    "kernel-header": _write("include/kern.h", "#define KERN 2\n"),
    "shared-header": _write("include/param.h", "#define VERSION 101\n#define SHARED 2\n"),
    "world-c": _append("bin/hello.c", "int more = 1;\n"),
    "world-motd": _append("bin/motd", "be careful\n"),
    "world-tool": _write(
        "bin/tool.c", '#include <unistd.h>\nint main(void) { return write(1, "t2", 2) != 2; }\n'
    ),
    "world-tool-again": _write(
        "bin/tool.c", '#include <unistd.h>\nint main(void) { return write(1, "t3", 2) != 2; }\n'
    ),
    "world-tool-comment": _append("bin/tool.c", "/* only said */\n"),
    "makefile": lambda root: (root / "sys/Makefile").write_text(
        _SYS_MAKEFILE.replace("-Isys/machine", "-Isys/machine -DUNUSED -fcommon -fno-ident")
    ),
    "unseen-file": _write("sys/notes.txt", "nobody looks for this\n"),
    "listed-file": _write("sys/conf/30-new", '"new "\n'),
    "listed-gone": lambda root: (root / "sys/conf/20-more").unlink(),
    "source-gone": lambda root: (root / "sys/c.c").unlink(),
    "source-renamed": lambda root: (root / "sys/c.c").rename(root / "sys/d.c"),
    "program-gone": lambda root: (root / "bin/old.c").unlink(),
    "mode": lambda root: (root / "sys/c.c").chmod(0o755),
    "mode-installed": lambda root: (root / "bin/motd").chmod(0o755),
    "symlink": _symlink,
    "syscalls": _append("sys/syscalls", "2 fork\n"),
    "earlier-header": _write("include/local/kern.h", "#define KERN 7\n"),
    "broken": _append("sys/c.c", "int broken = ;\n"),
}
"""Each is one commit on `base`, tagged with its name."""

"""The way of a commit, one kind of artifact after the other. `doit build:<ref>` takes it."""

from labtasks.command.tasks import DOIT_CONFIG, Tasks, machines, tasks

__all__ = ["DOIT_CONFIG"]


def task_src() -> Tasks:
    return tasks("src", "the sources of a commit, without .git")


def task_toolchain() -> Tasks:
    return tasks("toolchain", "what builds a kernel where no world is built")


def task_world() -> Tasks:
    return tasks("world", "the world's objects")


def task_kernel() -> Tasks:
    return tasks("kernel", "the kernel's objects, on a world")


def task_build() -> Tasks:
    return tasks("build", "sources, world and kernel as one obj-fs")


def task_objfs() -> Tasks:
    return tasks("objfs", "the obj-fs as a file-system image")


def task_root() -> Tasks:
    return tasks("root", "a world installed: what a test VM's root is made from")


def task_install() -> Tasks:
    return tasks("install", "a kernel installed, beside its world's root")


def task_test() -> Tasks:
    return tasks("test", "boot what was installed, and judge it")


def task_boot() -> Tasks:
    return tasks("boot", "boot what was installed, now, and keep no verdict")


def task_up() -> Tasks:
    return machines("up", "bring a virtual machine up")


def task_down() -> Tasks:
    return machines("down", "bring a virtual machine down")

"""Virtual machines, and what is installed onto their disks.

qemu accelerator qmp qcow2  a machine as data, what runs it, its monitor, its disks
vm_files vm                 what it needs before it starts; up and down
attach image                a person's terminal on it; a Debian for it
hotplug installer install      disks in a machine, which installs onto a clone of a base
"""

"""Shell text for a machine where a build is a guest: POSIX, and no more than a BSD has.

The folder of a lab there holds `kept/<layer>` with src, obj and `chain` (the clones it lies over),
and `build.*` of a build under way. Pure text; what runs it is remote_folder.
"""

from __future__ import annotations

HELLO = """\
umask 022
mkdir -p "$folder/$lab/kept" && cd "$folder/$lab" || exit 1
echo "home $(pwd -P)"
echo "system $(uname -s)"
echo "user $(id -u)"
echo "cpus $(getconf _NPROCESSORS_ONLN 2>/dev/null || getconf NPROCESSORS_ONLN)"
for one in kept/*/chain; do
	[ -f "$one" ] || continue
	name=${one#kept/}
	echo "kept ${name%/chain} $(cat "$one")"
done
for one in build.*; do [ -d "$one" ] && echo "left $one"; done
kind=none
"""
"""Variables: folder, lab. Says what the machine is, a fact a line."""

TRY = """\
if [ $kind = none ]; then
	rm -rf probe
	mkdir -p probe/a probe/b probe/up probe/work && : >probe/a/f
	(cd probe && {1}) >/dev/null 2>&1 && [ -c probe/up/f ] && kind={0}
	chmod -R u+rwx probe && rm -rf probe
fi
"""
"""Proves one kind of namespace by entering it; a format: the kind, and the command."""

OPEN = """\
umask 022
for one in $gone; do rm -rf "kept/$one"; done
mkdir "$build" && cd "$build" && mkdir files out home && echo "$build" >owner || exit 1
"""
"""Variables: build, base, gone, root. The owner's file says what is mounted: a nullfs gives files a
device number of its own, so that they never are "the same" as those below.
"""

FOLDERS = "mkdir src obj\n"
"""After OPEN, where clones lie under them."""

COPIES = """\
if [ "$base" ]; then cp -RPp "../kept/$base/src" "../kept/$base/obj" . || exit 1
else mkdir src obj; fi
mount | grep -q " on $root " && { echo "$root is in use there: umount it" >&2; exit 1; }
if [ "$(uname -s)" = Linux ]; then mount --bind . "$root"; else mount -t nullfs "$PWD" "$root"; fi
"""
"""After OPEN, where the trees are copies and the machine's own /mnt shows them."""

KEEP = """\
if [ "$(cat "$root/owner" 2>/dev/null)" = "$build" ]; then
	umount "$root/src" 2>/dev/null
	umount "$root" || exit 1
fi
rm -rf kept/new && mkdir kept/new || exit 1
mv "$build/src" "$build/obj" kept/new/ && echo "$chain" >kept/new/chain || exit 1
sync
mv kept/new "kept/$name" || exit 1
for work in "$build"/work.*; do [ -d "$work" ] && chmod -R u+rwx "$work"; done
rm -rf "$build"
ls -t kept | tail -n "+$((room + 1))" | while read -r old; do rm -rf "kept/$old"; done
"""
"""Variables: build, name, chain, room (how many stay), root."""

CLEAR = """\
boot=$(eval "$boot")
shown=$(cat "$root/owner" 2>/dev/null)
for build in build.*; do
	[ -d "$build" ] || continue
	if [ -f "$build/step" ] && read -r group session since <"$build/step" &&
		[ "$since" = "$boot" ] || [ "$shown" = "$build" ]; then
		end_step "$build/step"
	fi
	tries=0
	while [ "$(cat "$root/owner" 2>/dev/null)" = "$build" ]; do
		umount "$root/src" 2>/dev/null
		umount "$root" 2>/dev/null && break
		[ $tries -lt 50 ] || exit 1
		sleep 0.1; tries=$((tries + 1))
	done
	for work in "$build"/work.*; do [ -d "$work" ] && chmod -R u+rwx "$work"; done
	rm -rf "$build"
done
:
"""
"""After END_STEP, variables: boot (a command), root. Ends what runs and removes what is not kept. A
mount survives no restart, whatever the clock says: FreeBSD counts its time of boot from that.
"""

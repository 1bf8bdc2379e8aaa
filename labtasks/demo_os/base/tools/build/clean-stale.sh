#!/bin/sh
# clean-stale.sh srctop objtop: remove object directories whose sources are gone.
srctop=$1
objtop=$2

for dir in "$objtop"/world/*/*; do
	test -d "$dir" || continue
	rel=${dir#"$objtop"/world/}
	test -f "$srctop/$rel/Makefile" || rm -rf "$dir"
done

"""`[ssh.<name>]` of lab.toml: another machine that builds, as a person describes it.

Knows nothing of how it is reached, or of what runs on it.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Meta = msgspec.Meta

System = Literal["Linux", "FreeBSD"]


class Ssh(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[ssh.<name>]`: the descriptions are its reference. Paths are relative to the lab."""

    host: Annotated[str, Meta(description="Its name or address.", min_length=1)]
    port: Annotated[int, Meta(description="The port of its sshd.", ge=1, le=65535)] = 22
    user: Annotated[
        str,
        Meta(
            description="Whom to log in as. Linux gives any user mounts of his own where user "
            "namespaces are allowed; FreeBSD needs root.",
            min_length=1,
        ),
    ] = "root"
    key: Annotated[
        str,
        Meta(
            description="The private key to log in with; empty for the lab's own, which is made "
            "when first needed: its public half is cache/vm/id_ed25519.pub."
        ),
    ] = ""
    host_key: Annotated[
        str,
        Meta(
            description='Its host key, as in "ssh-ed25519 AAAA..."; empty to take the one it has '
            "at the first connection, and no other ever after."
        ),
    ] = ""
    folder: Annotated[
        str,
        Meta(
            description="The folder there that holds trees and their clones; relative to the "
            "user's home. Linux: not itself on an overlay.",
            min_length=1,
        ),
    ] = "labtasks"
    system: Annotated[
        System, Meta(description="What runs on it, Linux or FreeBSD: recipes differ.")
    ] = "Linux"
    jobs: Annotated[
        int, Meta(description="Jobs of one make there; 0 means one per processor of it.", ge=0)
    ] = 0
    wait: Annotated[
        float,
        Meta(
            description="Seconds in which a machine that was lost in mid-build must be back for "
            "the build to be tried once more.",
            ge=0,
        ),
    ] = 60.0
    options: Annotated[
        list[str],
        Meta(description='More options for ssh, as in "ProxyJump=gate": -o goes before each.'),
    ] = []

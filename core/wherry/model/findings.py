"""What a check of the engine against its host finds."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Finding:
    """One thing on which the records and the host disagree.

    A mendable one is mended by a repair, which loses nothing of a user's; of others `mend` says what a person can do.
    """

    kind: str  # of thing: mount, link, snapshot, ...
    object: str  # which one
    text: str  # what is wrong with it
    mend: str  # what mends it
    mendable: bool = True
    mended: bool = False
    error: str = ""  # why a repair failed

"""How an engine is to run, as its daemon has it from the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from wherry_engine.engine.defaults import Defaults
from wherry_engine.engine.resolv_conf import ResolvConf


@attrs.frozen(kw_only=True)
class Settings:
    """How this engine is to run."""

    data_root: Path
    exec_root: Path
    storage_driver: str = "overlay2"
    defaults: Defaults = Defaults()  # of containers
    labels: Sequence[str] = ()  # of this engine, shown in its info
    default_runtime: str = ""  # "" chooses
    bip: str = ""  # the predefined bridge's gateway address with its subnet, as 172.17.0.1/16
    dns: ResolvConf = ResolvConf()  # for containers that do not say otherwise, in place of the host's
    driver_configs: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)  # by "family/name"
    preferred: Mapping[str, str] = attrs.field(factory=dict)  # distribution, by "family/name"
    environment: Mapping[str, str] = attrs.field(factory=dict)  # of the supervisor
    trusted: Sequence[str] = ()  # distributions whose observers may run in the engine
    debug: bool = False
    live_restore: bool = True  # containers run on when the engine ends
    shutdown_timeout: int = 15  # s that they get to end, where they do not

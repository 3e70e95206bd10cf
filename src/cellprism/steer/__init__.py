"""Turn features up and down, find recipes that change cell types, and measure what chance would do.

``cellprism.steer`` is also the public function: Python binds a package's name in its parent as soon as anything in it
is imported, so whoever writes ``cp.steer(...)`` may be handed this package. Calling it calls ``steer.intervene.steer``.
"""

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from cellprism.steer.intervene import steer

        return steer(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage

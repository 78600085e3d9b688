"""Imports inference scripts so that files of the same name in two models stay two modules.

With one model, its folder is on ``sys.path``, as in SageMaker's containers. With many, each folder
is a package with a unique name: ``import helpers`` in it finds its own ``helpers.py`` first, as its
modules get an ``__import__`` that looks there (Python takes it from a module's builtins). Other
ways to import (``importlib.import_module("helpers")``, a pickle that names ``helpers.Net``) do not
find such modules.
"""

import builtins
import importlib
import importlib.util
import itertools
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

NUMBERS = itertools.count(1)
PREFIX = "facegan_own_code_"


class PrivateLoader(SourceFileLoader):
    """Runs a module with an ``__import__`` of its own."""

    def __init__(self, name: str, path: str, imports: "PrivateImports") -> None:
        super().__init__(name, path)
        self.imports = imports

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code."""
        own = vars(builtins) | {"__import__": self.imports.import_name}
        vars(module)["__builtins__"] = own
        super().exec_module(module)

    def set_data(self, path: str, data: Any, *, _mode: int = 0o666) -> None:
        """Write no .pyc into a model's folder."""


class PrivateFinder:
    """Finds the modules of one package; Python calls it for every import."""

    def __init__(self, imports: "PrivateImports") -> None:
        self.imports = imports

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of the package, else None."""
        if not name.startswith(self.imports.package + "."):
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = PrivateLoader(name, spec.loader.path, self.imports)
        return spec


class PrivateImports:
    """The modules of one folder, as a package with a unique name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = f"{PREFIX}{next(NUMBERS)}"
        self.finder = PrivateFinder(self)

    def load(self, stem: str, is_private: bool) -> ModuleType:
        """Import a file of the folder by its name without ".py"."""
        if is_private:
            package = ModuleType(self.package)
            package.__path__ = [str(self.folder)]
            sys.modules[self.package] = package
            sys.meta_path.insert(0, self.finder)
            return importlib.import_module(f"{self.package}.{stem}")
        name = f"{self.package}_{stem}"  # not the plain one, which an installed package may have
        spec = importlib.util.spec_from_file_location(name, self.folder / f"{stem}.py")
        assert spec is not None and spec.loader is not None  # it ends in .py
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    def import_name(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Import from the folder first, then as usual; its modules call this as ``__import__``."""
        top, _, rest = name.partition(".")
        if level or not self.holds(top):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        found = importlib.import_module(f"{self.package}.{name}")
        if not fromlist:
            return found if not rest else sys.modules[f"{self.package}.{top}"]
        for wanted in fromlist:  # `from package import module`
            if wanted != "*" and not hasattr(found, wanted) and hasattr(found, "__path__"):
                importlib.import_module(f"{self.package}.{name}.{wanted}")
        return found

    def holds(self, top: str) -> bool:
        """Return whether the folder has a module or a package of a name."""
        folder = self.folder / top
        if (self.folder / f"{top}.py").is_file() or (folder / "__init__.py").is_file():
            return True
        # An installed package comes before a plain folder, as on sys.path.
        return bool(top) and folder.is_dir() and importlib.util.find_spec(top) is None

    def forget(self) -> None:
        """Remove the modules from Python, so that their memory can be freed."""
        if self.finder in sys.meta_path:
            sys.meta_path.remove(self.finder)
        for name in [*sys.modules]:
            if name == self.package or name.startswith((f"{self.package}.", f"{self.package}_")):
                del sys.modules[name]
